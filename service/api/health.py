"""Public health routes for load balancers and operators."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Final, Literal

from flask import Blueprint, Flask, Response, current_app

from service.api.views import View
from service.auth import policy
from service.http.problems import RETRY_SOON
from service.http.responses import answer
from service.http.route import Route

if TYPE_CHECKING:
    from service.probes import Probe

blueprint: Final = Blueprint("health", __name__)
_READINESS: Final = "readiness"
logger = logging.getLogger(__name__)

REQUIRED: Final = frozenset({"dynamodb", "keys"})
"""Parts without which the service cannot work. If any other part fails, rides are still stored and
are matched when that part is back."""

PROBE_SECONDS: Final = 0.8
"""All probes run at once, so the answer comes within a second."""


class HealthView(View):
    status: Literal["ok"]


class ReadinessView(View):
    status: Literal["ready", "degraded", "unavailable"]
    failing: list[str]


class Readiness:
    """Runs the probes in parallel. A probe that hangs counts as failed and is not started again."""

    def __init__(self, probes: Mapping[str, Probe]) -> None:
        self._probes = probes
        self._pool = ThreadPoolExecutor(max(1, len(probes)), "probe")
        self._running: dict[str, Future[bool]] = {}

    def failing(self) -> list[str]:
        answers = {name: self._ask(name) for name in self._probes}
        wait(answers.values(), timeout=PROBE_SECONDS)
        return [name for name, answered in answers.items() if not _is_good(name, answered)]

    def _ask(self, name: str) -> Future[bool]:
        running = self._running.get(name)
        if running is None or running.done():
            running = self._running[name] = self._pool.submit(self._probes[name])
        return running


def _is_good(name: str, answered: Future[bool]) -> bool:
    if not answered.done():
        return False
    error = answered.exception()
    if error:
        logger.warning("probe failed", extra={"probe": name, "cause": repr(error)})
    return error is None and answered.result()


def install(app: Flask, probes: Mapping[str, Probe]) -> None:
    app.extensions[_READINESS] = Readiness(probes)


@Route(blueprint, "GET", "/healthz", policy=policy.PUBLIC, answers={200: HealthView})
def healthz() -> Response:
    """Show that the process answers; nothing else is checked."""
    return answer(200, HealthView(status="ok"))


@Route(
    blueprint,
    "GET",
    "/readyz",
    policy=policy.PUBLIC,
    answers={200: ReadinessView, 503: ReadinessView},
)
def readyz() -> Response:
    """Tell within a second whether the parts that the service needs can be used."""
    failing = current_app.extensions[_READINESS].failing()
    if not REQUIRED.isdisjoint(failing):
        return answer(503, ReadinessView(status="unavailable", failing=failing), RETRY_SOON)
    return answer(200, ReadinessView(status="degraded" if failing else "ready", failing=failing))
