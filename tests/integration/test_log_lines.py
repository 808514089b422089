"""Log lines of real processes: one JSON object each, with the ids that tie them together."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.infrastructure import wait_until
from tests.support.stack import Stack

pytestmark = pytest.mark.stack(LOG_LEVEL="DEBUG")

HERE = {"latitude": 40.7128, "longitude": -74.0060}
SECRETS = ("Rosalind", "hospital", "Orlando")


def lines(stack: Stack, role: str) -> Sequence[Any]:
    # What Python or a library warns of goes to stderr, in its own form.
    return [json.loads(line) for line in stack.log(role).splitlines() if line.startswith("{")]


def test_request_id_and_ride_id_go_from_the_request_to_the_claim(stack: Stack) -> None:
    stack.on_duty("driver", HERE)
    request_id = uuid.uuid4().hex
    answer = stack.call(
        "POST",
        "/v1/rides",
        {"pickup": HERE, "note": "ask for Rosalind"},
        token=stack.rider_token("rider"),
        Prefer="wait=20",
        X_Request_Id=request_id,
    )
    ride_id = answer.json["ride_id"]
    assert answer.status == 201

    def told(role: str) -> list[str]:
        ids = {"request_id": request_id, "ride_id": ride_id}.items()
        return [line["message"] for line in lines(stack, role) if ids <= line.items()]

    wait_until(lambda: "request" in told("web"), "the request's line")
    wait_until(lambda: "ride matched" in told("worker"), "the claim's line")


def test_no_log_line_holds_a_text_that_people_wrote(stack: Stack) -> None:
    rider = stack.rider_token("rider")
    body = {"pickup": {"latitude": 1, "longitude": 1}, "note": "Rosalind"}
    ride_id = stack.call("POST", "/v1/rides", body, token=rider).json["ride_id"]
    reason = {"reason": "my mother is in hospital"}
    path = f"/v1/rides/{ride_id}"
    assert stack.call("POST", f"{path}/cancel", reason, token=rider).status == 200
    # Refused bodies, too: the faults are told to the client, not to the log.
    too_long = {"pickup": HERE, "note": "Orlando" * 1000}
    assert stack.call("POST", "/v1/rides", too_long, token=rider).status == 422
    assert stack.call("POST", f"{path}/cancel", {"reason": 7, "x": "Orlando"}, token=rider).status
    wait_until(lambda: "/v1/rides/<ride_id>/cancel" in stack.log("web"), "the requests' lines")
    for role in ("web", "worker", "beat"):
        for secret in SECRETS:
            assert secret not in stack.log(role)


@pytest.mark.parametrize("role", ["web", "worker", "beat"])
def test_stdout_holds_nothing_but_json_lines(stack: Stack, role: str) -> None:
    wait_until(lambda: role == "beat" or lines(stack, role), "the first line")
    others = [line for line in stack.log(role).splitlines() if not line.startswith("{")]
    assert not any("celery" in line and "v5" in line for line in others)
    assert all(set(line) >= {"level", "logger", "timestamp"} for line in lines(stack, role))
