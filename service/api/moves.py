"""Where idle unicorns should wait, for the machines that steer them and for staff."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Response

from service.api.unicorn_views import AdviceListView
from service.auth import policy
from service.core.unicorns import valid_advice
from service.http.context import dependencies
from service.http.responses import answer
from service.http.route import Route

blueprint: Final = Blueprint("moves", __name__)


@Route(
    blueprint,
    "GET",
    "/v1/fleet/advice",
    policy=policy.FLEET_TELEMETRY,
    answers={200: AdviceListView},
)
def list_advice() -> Response:
    """List where idle unicorns should wait, for machines that steer whole fleets.

    The list is renewed every `REPOSITION_SECONDS`. A unicorn that it does not name may stay where
    it is.
    """
    return _advice()


@Route(
    blueprint, "GET", "/v1/admin/advice", policy=policy.ADMIN_READ, answers={200: AdviceListView}
)
def show_advice() -> Response:
    """Show where idle unicorns are sent to wait, for the map of staff.

    The list is renewed every `REPOSITION_SECONDS`.
    """
    return _advice()


def _advice() -> Response:
    deps = dependencies()
    advice = valid_advice(deps.ports.moves, deps.ports.fleet, deps.now())
    return answer(200, AdviceListView.of(advice=advice))
