"""One run through every operation of the API, kept as the examples of its OpenAPI document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from http.client import HTTPConnection
from typing import Any, Final

from service.api.discovery import EXAMPLES
from service.bootstrap import build_ports, redis_stores
from service.core.dead_letters import set_aside_ride
from service.core.transition import stored_ride
from service.stores.photos import S3Photos
from tests.support.fakes_redis import FakeRoundQueue
from tests.support.infrastructure import wait_until
from tests.support.stack import Answer, Stack

PICKUP: Final = {"latitude": 40.7128, "longitude": -74.006}
DROPOFF: Final = {"latitude": 40.758, "longitude": -73.9855}
FAR: Final = {"latitude": 40.85, "longitude": -73.87}
UNICORN: Final = {
    "unicorn_id": "shadowfax",
    "account_sub": "driver-1",
    "name": "Shadowfax",
    "color": "White",
    "gender": "Male",
    "auto_accept": False,
    "location": PICKUP,
}
BUCKET: Final = "wildrydes-photos"
MOST_SHOWN: Final = 2
"""Entries of a list that an example keeps."""


class Session:
    """Calls a running stack and remembers, by operation id, what was sent and answered."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        scopes = "wildrydes/rides.read wildrydes/rides.write"
        self._tokens: Mapping[str, str | None] = {
            "": None,
            "rider": stack.mint.access_token(sub="rider-1", username="amelie", scope=scopes),
            "driver": stack.unicorn_token("driver-1"),
            "admin": stack.admin_token(),
            "machine": stack.mint.machine_token(),
        }
        self.kept: dict[str, Any] = {}

    def call(
        self,
        operation: str,
        who: str,
        method: str,
        path: str,
        body: object = None,
        query: Mapping[str, str] | None = None,
        sent: Mapping[str, str] | None = None,
        **ids: str,
    ) -> Any:
        """Call, and keep the first example of each operation and status; returns the JSON."""
        search = "?" + "&".join(f"{n}={v}" for n, v in query.items()) if query else ""
        headers = {name.replace("-", "_"): value for name, value in (sent or {}).items()}
        token = self._tokens[who]
        answer = self._stack.call(method, path.format(**ids) + search, body, token=token, **headers)
        assert answer.status < 300, (operation, answer.status, answer.body)
        self._keep(operation, answer, body=body, query=query, sent=sent, ids=ids)
        return answer.json if answer.body else None

    def refused(self, body: object) -> None:
        """Keep the answer to a request of a ride that is not as it has to be."""
        answer = self._stack.call("POST", "/v1/rides", body, token=self._tokens["rider"])
        assert answer.status == 422
        self.kept["problem"] = answer.json

    def stream(self, operation: str, who: str, path: str, events: int, **ids: str) -> None:
        """Keep the opening and the first events of a stream."""
        connection = HTTPConnection("127.0.0.1", self._stack.port, timeout=20)
        headers = {"Authorization": f"Bearer {self._tokens[who]}"}
        connection.request("GET", path.format(**ids), headers=headers)
        answer, text = connection.getresponse(), b""
        while text.count(b"\n\n") <= events:
            text += answer.readline()
        connection.close()
        stripped = Answer(answer.status, {}, json.dumps(text.decode()).encode())
        self._keep(operation, stripped, ids=ids)

    def _keep(self, operation: str, answer: Answer, **given: Any) -> None:
        names = {"ids": "path", "query": "query", "sent": "headers", "body": "request"}
        known = self.kept.setdefault(
            operation,
            {names[n]: v for n, v in given.items() if v or (n == "body" and v is not None)},
        )
        answers = known.setdefault("answers", {})
        if answer.body:
            answers.setdefault(str(answer.status), _short(answer.json))


def _short(shown: Any) -> Any:
    """The same with at most two entries of each list."""
    if isinstance(shown, dict):
        return {name: _short(value) for name, value in shown.items()}
    return [_short(each) for each in shown[:MOST_SHOWN]] if isinstance(shown, list) else shown


def run(stack: Stack) -> dict[str, Any]:
    """Every operation that answers JSON or a stream, at least once."""
    session = Session(stack)
    _photo(stack)
    _public(session)
    _fleet(session)
    _ride_that_is_completed(session)
    _rides_that_end_early(session)
    _city(session)
    _service(session)
    _dead_letters(session, stack)
    _workshop(session)
    _account(session)
    return dict(sorted(session.kept.items()))


def _public(to: Session) -> None:
    to.call("healthz", "", "GET", "/healthz")
    to.call("readyz", "", "GET", "/readyz")
    to.call("protected_resource", "", "GET", "/.well-known/oauth-protected-resource")


def _fleet(to: Session) -> None:
    at = {"unicorn_id": "shadowfax"}
    one = "/v1/admin/unicorns/{unicorn_id}"
    any_version = {"If-Match": "*"}
    to.call("enroll_unicorn", "admin", "POST", "/v1/admin/unicorns", UNICORN)
    to.call("show_unicorn", "admin", "GET", one, **at)
    painted = {"color": "Silver"}
    to.call("change_unicorn", "admin", "PATCH", one, painted, sent={"If-Match": '"1"'}, **at)
    extra = {"unicorn_id": "binky", "name": "Binky", "color": "Grey", "gender": "Male"}
    to.call("enroll_unicorn", "admin", "POST", "/v1/admin/unicorns", extra)
    to.call("remove_unicorn", "admin", "DELETE", one, sent=any_version, unicorn_id="binky")
    to.call("list_unicorns", "admin", "GET", "/v1/admin/unicorns", query={"limit": "2"})
    to.call("set_availability", "driver", "PUT", "/v1/fleet/me/availability", {"available": True})
    report = {**PICKUP, "heading": 90.0, "speed": 5.5}
    to.call("report_position", "driver", "PUT", "/v1/fleet/me/position", report)
    old = {**report, "recorded_at": "2026-01-31T08:00:00Z"}
    to.call("report_position", "driver", "PUT", "/v1/fleet/me/position", old)
    late = {"unicorn_id": "shadowfax", **PICKUP, "recorded_at": "2026-01-31T08:00:00Z"}
    bulk = {"positions": [{"unicorn_id": "shadowfax", **PICKUP}, late]}
    to.call("report_positions", "machine", "POST", "/v1/fleet/positions", bulk)
    to.call("list_advice", "machine", "GET", "/v1/fleet/advice")
    to.call("show_advice", "admin", "GET", "/v1/admin/advice")


def _ride_that_is_completed(to: Session) -> None:
    order = {"pickup": PICKUP, "dropoff": DROPOFF, "note": "by the fountain"}
    to.refused({**order, "pickup": {**PICKUP, "latitude": 91}})
    to.call(
        "estimate_ride", "rider", "POST", "/v1/estimates", {"pickup": PICKUP, "dropoff": DROPOFF}
    )
    near = {name: str(value) for name, value in PICKUP.items()}
    to.call("show_nearby", "rider", "GET", "/v1/unicorns/nearby", query=near)
    key = {"Idempotency-Key": "my-first-ride"}
    ride = to.call("request_ride", "rider", "POST", "/v1/rides", order, sent=key)
    at = {"ride_id": ride["ride_id"]}
    wait_until(lambda: to.call("show_me", "driver", "GET", "/v1/fleet/me")["ride"], "an offer")
    to.kept.pop("show_me")
    to.call("show_me", "driver", "GET", "/v1/fleet/me")
    for step in ("accept", "arrive", "start", "complete"):
        path = "/v1/fleet/me/rides/{ride_id}/{step}"
        place = PICKUP if step == "arrive" else None
        to.call(step, "driver", "POST", path, place, **at, step=step)
        if step == "accept":
            again = {**key, "Prefer": "wait=10"}
            to.call("request_ride", "rider", "POST", "/v1/rides", order, sent=again)
            to.call("show_live_ride", "rider", "GET", "/v1/rides/{ride_id}/live", **at)
            to.stream("follow_ride", "rider", "/v1/rides/{ride_id}/events", 2, **at)
            seen = "/v1/fleet/me/rides/{ride_id}/photo"
            to.call("show_rider", "driver", "GET", seen, **at)
    to.kept["advance_ride"] = to.kept.pop("arrive")
    for step in ("accept", "start", "complete"):
        to.kept.pop(step)
    to.call("list_driven_rides", "driver", "GET", "/v1/fleet/me/rides", query={"limit": "2"})
    to.call("show_ride", "rider", "GET", "/v1/rides/{ride_id}", **at)
    rating = {"stars": 5, "comment": "sparkling"}
    to.call("rate_ride", "rider", "POST", "/v1/rides/{ride_id}/rating", rating, **at)
    to.call("show_any_ride", "admin", "GET", "/v1/admin/rides/{ride_id}", **at)
    to.call("show_timeline", "admin", "GET", "/v1/admin/rides/{ride_id}/timeline", **at)


def _rides_that_end_early(to: Session) -> None:
    far = to.call("request_ride", "rider", "POST", "/v1/rides", {"pickup": FAR})["ride_id"]
    to.call("list_waiting_rides", "admin", "GET", "/v1/admin/waiting-rides", query={"limit": "2"})
    to.call("show_map", "admin", "GET", "/v1/admin/map", query={"bbox": "-74.1,40.6,-73.8,40.9"})
    to.stream("follow_map", "admin", "/v1/admin/events", 1)
    reason = {"reason": "plans changed"}
    to.call("cancel_ride", "rider", "POST", "/v1/rides/{ride_id}/cancel", reason, ride_id=far)
    near = to.call("request_ride", "rider", "POST", "/v1/rides", {"pickup": PICKUP})["ride_id"]
    wait_until(lambda: to.call("me", "driver", "GET", "/v1/fleet/me")["ride"], "an offer")
    to.kept.pop("me")
    path = "/v1/admin/rides/{ride_id}/"
    to.call("reassign_ride", "admin", "POST", path + "reassign", {}, ride_id=near)
    storm = {"reason": "storm"}
    to.call("cancel_any_ride", "admin", "POST", path + "cancel", storm, ride_id=near)
    to.call("list_rides", "rider", "GET", "/v1/rides", query={"limit": "2"})
    to.call("list_all_rides", "admin", "GET", "/v1/admin/rides", query={"status": "completed"})


def _city(to: Session) -> None:
    to.call("show_statistics", "admin", "GET", "/v1/admin/statistics")
    to.call("list_audit_entries", "admin", "GET", "/v1/admin/audit", query={"limit": "2"})


def _service(to: Session) -> None:
    for name in ("workers", "queues", "travel_times"):
        to.call(f"list_{name}", "admin", "GET", f"/v1/admin/{name.replace('_', '-')}")
    to.call("reconcile", "admin", "POST", "/v1/admin/reconcile", {})
    to.call("revoke", "admin", "POST", "/v1/admin/revocations", {"jti": "a-stolen-token"})
    to.call("change_dispatch", "admin", "PUT", "/v1/admin/dispatch", {"paused": True})
    to.call("show_dispatch", "admin", "GET", "/v1/admin/dispatch")
    to.call("resume", "admin", "PUT", "/v1/admin/dispatch", {"paused": False})
    to.kept.pop("resume")


def _photo(stack: Stack) -> None:
    """The rider has a photo, without a file: links and forms are made without asking S3."""
    client, table = stack.ministack.dynamodb_client(), stack.settings().operations_table
    photos = S3Photos(client, table, "unused", "us-east-1")
    photos.link_identity("us-east-1:5e0b1c2a-0d4f-4c55-9c4e-1f6c7d1b8a90", "rider-1")
    photo = {":photo": {"S": "photos/1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"}}
    photos._updated("photo#rider-1", "SET photo = :photo", photo)


def _dead_letters(to: Session, stack: Stack) -> None:
    ride = to.call("request_ride", "rider", "POST", "/v1/rides", {"pickup": FAR})
    settings = stack.settings()
    redis = redis_stores(settings, timeout_seconds=2)
    client = stack.ministack.dynamodb_client()
    ports = build_ports(settings, redis, FakeRoundQueue(), client)
    stored = stored_ride(ports, ride["ride_id"])
    set_aside_ride(ports, ports.dead_letters, stored, datetime.now(UTC))
    [letter] = to.call("list_dead_letters", "admin", "GET", "/v1/admin/dead-letters")[
        "dead_letters"
    ]
    path = "/v1/admin/dead-letters/{dead_letter_id}/replay"
    name = letter["dead_letter_id"]
    to.call("replay_dead_letter", "admin", "POST", path, {}, dead_letter_id=name)


def _workshop(to: Session) -> None:
    """A unicorn that takes rides without being asked is alone on duty."""
    off, on = {"available": False}, {"accepting": True}
    to.call("set_availability", "driver", "PUT", "/v1/fleet/me/availability", off)
    rocinante = {"unicorn_id": "rocinante", "name": "Rocinante", "color": "Yellow"}
    new = {**rocinante, "gender": "Female", "location": PICKUP}
    to.call("enroll_unicorn", "admin", "POST", "/v1/admin/unicorns", new)
    path, any_version = "/v1/admin/unicorns/{unicorn_id}", {"If-Match": "*"}
    at = {"unicorn_id": "rocinante"}
    to.call("change_unicorn", "admin", "PATCH", path, on, sent=any_version, **at)
    place = {"Latitude": PICKUP["latitude"], "Longitude": PICKUP["longitude"]}
    to.call("request_workshop_ride", "rider", "POST", "/ride", {"PickupLocation": place})
    to.call("list_workshop_rides", "rider", "GET", "/ride")


def _account(to: Session) -> None:
    to.call("show_account", "rider", "GET", "/v1/me")
    to.call("upload_photo", "rider", "POST", "/v1/me/photo", {"content_type": "image/jpeg"})
    to.call("export_account", "rider", "GET", "/v1/me/export", query={"limit": "2"})
    to.call("sign_out", "rider", "POST", "/v1/me/sign-out", {})


def write(examples: Mapping[str, Any]) -> None:
    """Keep these as the document's examples."""
    EXAMPLES.write_text(json.dumps(examples, indent=1, ensure_ascii=False) + "\n")
