"""Workers, queues, dead letters and the pause, as staff sees and steers them."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest

from service.core import staff
from service.core.dead_letters import CAUSE, set_aside_ride
from service.core.sweep import sweep
from service.http.context import Dependencies
from service.matching.zones import zone_of
from service.model import RepositioningLevel, UnicornState
from service.model.errors import Unavailable
from service.model.operations import DeadLetter, DeadLetterKind, Heartbeat, QueueLength
from tests.support.api import Api
from tests.support.builders import BATTERY_PARK, NOW, a_ride, a_unicorn

ZONE = zone_of(BATTERY_PARK)
PICKUP = {"latitude": 40.7128, "longitude": -74.0060}
LEAN: dict[str, Any] = {"repositioning": "lean", "repositioning_by_zone": {}}


def call(api: Api, method: str, path: str, body: Any = None) -> Any:
    return api.call(method, f"/v1/admin{path}", body, token="admin")


def oversight(api: Api) -> Any:
    dependencies: Dependencies = api.app.extensions["dispatch"]
    return dependencies.oversight


def test_workers_are_shown_with_their_state(api: Api) -> None:
    heartbeat = Heartbeat(
        host="host-1",
        pid=7,
        version="2026.11",
        started_at=NOW - timedelta(hours=1),
        beat_at=NOW - timedelta(seconds=2),
        active=1,
        done=20,
        failed=3,
        memory_bytes=123_456_789,
        revision="abc123",
    )
    oversight(api).workers.known.append(heartbeat)
    answer = call(api, "GET", "/workers")
    assert answer.json == {
        "workers": [
            {
                "worker_id": "host-1:7",
                "state": "running",
                "host": "host-1",
                "pid": 7,
                "version": "2026.11",
                "revision": "abc123",
                "started_at": "2026-11-23T01:46:28.123Z",
                "last_beat": "2026-11-23T02:46:26.123Z",
                "active": 1,
                "done": 20,
                "failed": 3,
                "memory_bytes": 123_456_789,
            }
        ],
        "next_cursor": None,
    }
    api.pass_time(10)
    assert call(api, "GET", "/workers").json["workers"][0]["state"] == "lost"


def test_queues_are_shown_with_the_oldest_waiting_ride(api: Api) -> None:
    oversight(api).queues.known[0] = QueueLength("dispatch", 4, 2)
    api.call("POST", "/v1/rides", {"pickup": PICKUP})
    api.pass_time(12.5)
    assert call(api, "GET", "/queues").json == {
        "queues": [
            {"name": "dispatch", "ready": 4, "unacked": 2, "oldest_waiting_seconds": 12.5},
            {"name": "sweep", "ready": 0, "unacked": 0, "oldest_waiting_seconds": None},
        ],
        "next_cursor": None,
    }


def test_the_oldest_waiting_ride_is_shown_although_many_are_due_sooner(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staff, "MOST_READ", 1)
    api.call("POST", "/v1/rides", {"pickup": PICKUP})
    api.pass_time(3)
    sweep(api.ports, api.clock[0])
    api.call("POST", "/v1/rides", {"pickup": PICKUP})
    assert call(api, "GET", "/queues").json["queues"][0]["oldest_waiting_seconds"] == 3


def test_a_redis_that_is_away_is_503(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise Unavailable("Redis: ConnectionError")

    monkeypatch.setattr(oversight(api).workers, "heartbeats", away)
    answer = call(api, "GET", "/workers")
    assert (answer.status_code, answer.json["reason"]) == (503, "unavailable")


def test_dead_letters_are_listed_and_replayed(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    ride = a_ride()
    api.ports.rides.create(ride)
    set_aside_ride(api.ports, api.ports.dead_letters, ride, NOW)
    of_the_release_before = DeadLetter(
        dead_letter_id="message-1",
        kind=DeadLetterKind.MESSAGE,
        cause="not a job",
        set_aside_at=NOW + timedelta(seconds=1),
        excerpt="?",
    )
    api.ports.dead_letters.put(of_the_release_before)
    first = call(api, "GET", "/dead-letters?limit=1").json
    assert [letter["kind"] for letter in first["dead_letters"]] == ["message"]
    rest = call(api, "GET", f"/dead-letters?limit=1&cursor={first['next_cursor']}").json
    assert rest["dead_letters"] == [
        {
            "dead_letter_id": "ride-ride-1",
            "kind": "ride",
            "cause": CAUSE,
            "set_aside_at": "2026-11-23T02:46:28.123Z",
            "replayed_at": None,
            "ride_id": "ride-1",
            "zone": ride.zone,
            "excerpt": None,
        }
    ]
    with caplog.at_level(logging.INFO, "service.audit"):
        answer = call(api, "POST", "/dead-letters/ride-ride-1/replay")
    assert answer.status_code == 202
    assert answer.json["replayed_at"] == "2026-11-23T02:46:28.123Z"
    lines = [record for record in caplog.records if record.name == "service.audit"]
    assert [(line.message, line.dead_letter_id) for line in lines] == [
        ("dead letter replayed", "ride-ride-1")
    ]
    assert call(api, "POST", "/dead-letters/ride-ride-1/replay", {}).json == answer.json
    assert call(api, "POST", "/dead-letters/ride-ride-1/replay", {"x": 1}).status_code == 422
    assert call(api, "POST", "/dead-letters/ride-2/replay").status_code == 404


def test_riders_are_told_of_a_pause(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "service.audit"):
        answer = call(api, "PUT", "/dispatch", {"paused": True})
    assert (answer.status_code, answer.json) == (200, {"paused": True, "zones": []} | LEAN)
    (line,) = [record for record in caplog.records if record.name == "service.audit"]
    assert (line.message, line.zone) == ("dispatch paused", "everywhere")
    refused = api.call("POST", "/v1/rides", {"pickup": PICKUP})
    assert (refused.status_code, refused.json["reason"]) == (503, "dispatch_paused")
    assert refused.headers["Retry-After"] == "30"
    assert "was not stored" in refused.json["detail"]
    assert api.call("GET", "/v1/rides").json["rides"] == []
    assert call(api, "PUT", "/dispatch", {"paused": False}).json["paused"] is False
    assert api.call("POST", "/v1/rides", {"pickup": PICKUP}).status_code == 202


def test_a_zone_is_paused_alone(api: Api) -> None:
    answer = call(api, "PUT", "/dispatch", {"paused": True, "zone": ZONE})
    assert answer.json == {"paused": False, "zones": [ZONE]} | LEAN
    assert call(api, "GET", "/dispatch").json == answer.json
    assert api.call("POST", "/v1/rides", {"pickup": PICKUP}).status_code == 503
    london = {"latitude": 51.5, "longitude": -0.12}
    assert api.call("POST", "/v1/rides", {"pickup": london}).status_code == 202
    answer = call(api, "PUT", "/dispatch", {"paused": False, "zone": ZONE})
    assert answer.json == {"paused": False, "zones": []} | LEAN


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"paused": "yes"},
        {"paused": 1},
        {"paused": None},
        {"zone": ZONE},
        {"repositioning": "strongest"},
        {"repositioning": True},
        {"repositioning": None},
        {"repositioning": "lean", "zone": "downtown"},
        {"paused": True, "zone": "downtown"},
        {"paused": True, "zone": ""},
        {"paused": True, "zone": "852a1073fffffff"},
        {"paused": True, "zone": ZONE.upper()},
        {"paused": True, "zone": f"{ZONE}\n"},
        {"paused": True, "zone": "000000000000000"},
        {"paused": True, "zones": []},
    ],
)
def test_a_bad_change_of_dispatch_is_422(api: Api, body: Any) -> None:
    assert call(api, "PUT", "/dispatch", body).status_code == 422
    assert call(api, "GET", "/dispatch").json == {"paused": False, "zones": []} | LEAN


def test_repositioning_is_chosen_for_a_zone_and_turned_off_everywhere(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    control = api.ports.control
    with caplog.at_level(logging.INFO, "service.audit"):
        answer = call(api, "PUT", "/dispatch", {"repositioning": "strong", "zone": ZONE})
    (line,) = [record for record in caplog.records if record.name == "service.audit"]
    assert (line.message, line.zone, line.weight) == ("repositioning changed", ZONE, "strong")
    assert answer.json["repositioning_by_zone"] == {ZONE: "strong"}
    assert answer.json["repositioning"] == "lean"
    assert (answer.json["paused"], answer.json["zones"]) == (False, [])
    assert control.current().level_of(ZONE) is RepositioningLevel.STRONG
    call(api, "PUT", "/dispatch", {"repositioning": "off", "paused": True})
    answer = call(api, "PUT", "/dispatch", {"paused": False})
    assert (answer.json["repositioning"], answer.json["paused"]) == ("off", False)
    assert control.current().level_of(ZONE) is RepositioningLevel.OFF


def test_an_admin_mends_a_unicorn_that_is_reserved_for_nothing(api: Api) -> None:
    ports = api.app.extensions["dispatch"].ports
    stuck = a_unicorn(state=UnicornState.RESERVED, accepting=True, ride_id="gone")
    ports.unicorns.create(stuck)
    answer = call(api, "POST", "/reconcile", {})
    assert answer.status_code == 200
    assert answer.json == {
        "unicorns": 1,
        "rides": 0,
        "repairs": [{"what": "unicorn_freed", "ride_id": "gone", "unicorn_id": "u1"}],
        "complete": True,
    }
    assert ports.unicorns.get("u1").can_take_a_ride
    assert call(api, "POST", "/reconcile", {}).json["repairs"] == []


def test_changes_by_staff_are_listed_newest_first(api: Api) -> None:
    call(api, "PUT", "/dispatch", {"paused": True})
    api.pass_time(1)
    api.ports.rides.create(a_ride())
    call(api, "POST", "/rides/ride-1/cancel", {"reason": "storm"})
    first = call(api, "GET", "/audit?limit=1").json
    [entry] = first["entries"]
    assert entry.pop("audit_id")
    assert entry.pop("request_id")
    assert entry == {
        "at": "2026-11-23T02:46:29.123Z",
        "action": "ride canceled",
        "sub": "admin-1",
        "client_id": "client",
        "method": "POST",
        "route": "/v1/admin/rides/<ride_id>/cancel",
        "subjects": {"ride_id": "ride-1"},
    }
    rest = call(api, "GET", f"/audit?limit=1&cursor={first['next_cursor']}").json
    assert [entry["action"] for entry in rest["entries"]] == ["dispatch paused"]
    assert rest["next_cursor"] is None


def test_reads_and_refusals_leave_no_audit_entry(api: Api) -> None:
    call(api, "GET", "/workers")
    api.call("POST", "/v1/admin/rides/ride-1/cancel", {}, token="rider")
    assert call(api, "GET", "/audit").json == {"entries": [], "next_cursor": None}


def test_one_action_leaves_one_audit_entry_however_much_it_mends(api: Api) -> None:
    for name in ("u1", "u2"):
        busy = a_unicorn(unicorn_id=name, ride_id="gone", state=UnicornState.RESERVED)
        api.ports.unicorns.create(busy)
    call(api, "POST", "/reconcile")
    [entry] = call(api, "GET", "/audit").json["entries"]
    assert (entry["action"], entry["subjects"]) == ("reconciled", {"repairs": "2"})


def test_an_action_is_done_and_logged_although_its_audit_entry_cannot_be_kept(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(_: object) -> None:
        raise Unavailable("DynamoDB: ProvisionedThroughputExceededException")

    monkeypatch.setattr(oversight(api).audit, "put", away)
    with caplog.at_level(logging.INFO):
        assert call(api, "PUT", "/dispatch", {"paused": True}).status_code == 200
    messages = [record.message for record in caplog.records]
    assert {"dispatch paused", "audit entry not stored"} <= set(messages)
