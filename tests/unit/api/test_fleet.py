"""What unicorns see and do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from service.http.route import declared_routes
from service.model import Location, Position, PositionProblem
from service.model.errors import Unavailable
from tests.support.api import Api, build_api
from tests.support.builders import NOW, a_ride, a_usable_unicorn
from tests.support.service import hear_through

HERE = {"latitude": 40.7, "longitude": -74.0}


@pytest.fixture
def api() -> Api:
    api = build_api()
    api.ports.unicorns.create(a_usable_unicorn(account_sub="driver-1"))
    return api


def call(api: Api, method: str, path: str, body: Any = None, **headers: str) -> Any:
    return api.call(method, f"/v1/fleet/me{path}", body, token="driver", headers=headers)


def report(api: Api, seconds: float, **changes: float) -> Any:
    """A position recorded so many seconds after the test began."""
    recorded_at = (NOW + timedelta(seconds=seconds)).isoformat()
    return call(api, "PUT", "/position", HERE | changes | {"recorded_at": recorded_at})


def claim(api: Api, **ride_changes: Any) -> None:
    ride, free = a_ride(**ride_changes), api.ports.unicorns.get("u1")
    assert free
    api.ports.rides.create(ride)
    api.claim(ride, free)


def test_a_unicorn_without_a_ride_is_shown_alone(api: Api) -> None:
    answer = call(api, "GET", "")
    assert answer.headers["ETag"] == 'W/"1"'
    assert answer.json == {
        "ride": None,
        "advice": None,
        "unicorn": {
            "unicorn_id": "u1",
            "version": 1,
            "account_sub": "driver-1",
            "name": "Shadowfax",
            "color": "White",
            "gender": "Male",
            "auto_accept": True,
            "state": "available",
            "accepting": True,
            "location": None,
            "position_at": None,
            "position_problem": None,
            "ride_id": None,
        },
    }


def test_a_unicorn_sees_its_ride_without_its_rider(api: Api) -> None:
    claim(api)
    ride = call(api, "GET", "").json["ride"]
    assert (ride["ride_id"], ride["status"]) == ("ride-1", "matched")
    assert "rider_id" not in ride


def test_an_unchanged_unicorn_is_304_and_a_ride_is_news(api: Api) -> None:
    headers = {"If-None-Match": '"1"', "Prefer": "wait=9"}
    answer = call(api, "GET", "", **headers)
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (304, "wait=9")
    claim(api)
    assert call(api, "GET", "", **headers).status_code == 200


def test_a_driver_that_waits_calls_again_before_its_unicorn_counts_as_silent() -> None:
    api = build_api(unicorn_stale_seconds=20)
    api.ports.unicorns.create(a_usable_unicorn(account_sub="driver-1"))
    answer = call(api, "GET", "", Prefer="wait=30", **{"If-None-Match": '"1"'})
    assert answer.headers["Preference-Applied"] == "wait=10"


def test_waiting_without_a_version_ends_at_once_when_there_is_a_ride(api: Api) -> None:
    claim(api)
    answer = call(api, "GET", "", Prefer="wait=9")
    assert answer.json["unicorn"]["ride_id"] == "ride-1"


def test_an_account_without_a_unicorn_is_404(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.ports.unicorns, "of_account", lambda _: None)
    for method, path, body in (
        ("GET", "", None),
        ("PUT", "/position", HERE),
        ("PUT", "/availability", {"available": True}),
        ("POST", "/rides/ride-1/accept", None),
    ):
        answer = call(api, method, path, body)
        assert (answer.status_code, answer.json["reason"]) == (404, "not_found")


def test_a_position_is_noted_and_answered_with_the_version(api: Api) -> None:
    answer = call(api, "PUT", "/position", HERE | {"heading": 359.9, "speed": 6})
    assert (answer.status_code, answer.data, answer.headers["ETag"]) == (204, b"", 'W/"1"')
    assert "Content-Type" not in answer.headers
    assert api.ports.fleet.position("u1", NOW) == Position(Location(40.7, -74.0), NOW, 359.9, 6.0)
    assert call(api, "GET", "").json["unicorn"]["position_at"] == "2026-11-23T02:46:28.123Z"


@pytest.mark.parametrize("ahead", [0.5, 30])
def test_a_clock_a_little_ahead_means_now_and_hides_nothing(api: Api, ahead: float) -> None:
    assert report(api, ahead).status_code == 204
    api.pass_time(4)
    assert report(api, 4, latitude=40.701).status_code == 204
    position = api.ports.fleet.position("u1", api.clock[0])
    assert position
    assert position.location.latitude == 40.701


@pytest.mark.parametrize(
    ("seconds", "reason"), [(30.001, "recorded_in_the_future"), (-60.001, "recorded_too_long_ago")]
)
def test_a_report_of_another_time_is_ignored_and_answered_with_the_servers_time(
    api: Api, seconds: float, reason: str
) -> None:
    answer = report(api, seconds)
    told = {"ignored": reason, "server_time": "2026-11-23T02:46:28.123Z"}
    assert (answer.status_code, answer.json) == (200, told)
    assert api.ports.fleet.position("u1", NOW) is None


def test_a_phone_whose_reports_are_all_of_another_time_has_a_problem(api: Api) -> None:
    for _ in range(7):
        report(api, -7200)
        api.pass_time(10)
    assert call(api, "GET", "").json["unicorn"]["position_problem"] == "recorded_too_long_ago"
    staff = api.call("GET", "/v1/admin/unicorns/u1", token="admin")
    assert staff.json["position_problem"] == "recorded_too_long_ago"
    report(api, 70)
    assert call(api, "GET", "").json["unicorn"]["position_problem"] is None


def test_a_phone_two_hours_behind_is_not_contactable(api: Api) -> None:
    api.ports.fleet.begin_epoch(NOW - timedelta(hours=1))
    for _ in range(10):
        report(api, -7200)
        hear_through(api.ports.fleet, api.clock[0], api.clock[0] + timedelta(seconds=10))
        api.pass_time(10)
    assert call(api, "GET", "").json["unicorn"]["state"] == "non_contactable"


def test_a_phone_that_rests_and_polls_is_contactable_while_it_has_a_ride(api: Api) -> None:
    api.ports.fleet.begin_epoch(NOW - timedelta(hours=1))
    claim(api)
    hear_through(api.ports.fleet, NOW, NOW + timedelta(minutes=5))
    api.pass_time(300)
    assert call(api, "GET", "").json["unicorn"]["state"] == "reserved"
    assert api.ports.fleet.presence("u1", api.clock[0]).silence == timedelta()


CALLS = {
    "GET ": None,
    "PUT /position": HERE,
    "PUT /availability": {"available": True},
    "GET /rides": None,
    "GET /rides/ride-1/photo": None,
    "POST /rides/ride-1/arrive": {},
}


@pytest.mark.parametrize("made", CALLS)
def test_each_call_of_a_driver_shows_that_it_is_there(api: Api, made: str) -> None:
    """Also if it is answered with 404 or 409."""
    api.ports.fleet.begin_epoch(NOW - timedelta(hours=1))
    claim(api)
    hear_through(api.ports.fleet, NOW, NOW + timedelta(minutes=5))
    api.pass_time(300)
    method, _, path = made.partition(" ")
    call(api, method, path, CALLS[made])
    assert api.ports.fleet.presence("u1", api.clock[0]).silence == timedelta()


def test_these_are_all_calls_of_a_driver(api: Api) -> None:
    declared = declared_routes(api.app).values()
    rules = {f"{each.method} {each.rule}" for each in declared if "/fleet/me" in each.rule}
    urls = api.app.url_map.bind("")
    assert rules == {
        f"{method} {rule.rule}"
        for method, _, path in (made.partition(" ") for made in CALLS)
        for rule, _ in [urls.match(f"/v1/fleet/me{path}", method, return_rule=True)]
    }


def test_minus_one_is_a_heading_or_speed_that_is_not_known(api: Api) -> None:
    assert call(api, "PUT", "/position", HERE | {"heading": -1, "speed": -1.0}).status_code == 204
    position = api.ports.fleet.position("u1", NOW)
    assert position
    assert (position.heading, position.speed) == (None, None)
    assert call(api, "PUT", "/position", HERE | {"heading": -2}).status_code == 422


def test_a_step_takes_the_position_that_the_app_reports(api: Api) -> None:
    claim(api)
    pickup = a_ride().pickup
    sent = {"heading": -1, "speed": 0, "recorded_at": NOW.isoformat()}
    at_pickup = {"latitude": pickup.latitude, "longitude": pickup.longitude, **sent}
    assert call(api, "POST", "/rides/ride-1/arrive", at_pickup).status_code == 200


def test_the_tag_covers_the_ride_too(api: Api) -> None:
    claim(api)
    tags = [call(api, "GET", "").headers["ETag"]]
    for step in ("arrive", "start"):
        call(api, "POST", f"/rides/ride-1/{step}")
        answer = call(api, "GET", "", **{"If-None-Match": tags[-1], "Prefer": "wait=9"})
        assert answer.status_code == 200
        tags.append(answer.headers["ETag"])
    assert len(set(tags)) == 3
    assert call(api, "GET", "", **{"If-None-Match": tags[-1]}).status_code == 304


def test_the_tag_covers_what_is_known_of_the_unicorn_by_its_calls(api: Api) -> None:
    hear_through(api.ports.fleet, NOW - timedelta(hours=1), NOW)
    api.ports.fleet.begin_epoch(NOW - timedelta(hours=1))
    api.ports.fleet.record("u1", Position(Location(40.7, -74.0), NOW), NOW)
    well = call(api, "GET", "").headers["ETag"]
    problem = {"u1": PositionProblem.TOO_LONG_AGO}
    api.ports.fleet.ignore_all(problem, NOW - timedelta(seconds=60))
    answer = call(api, "GET", "", **{"If-None-Match": well, "Prefer": "wait=9"})
    assert answer.status_code == 200
    assert answer.json["unicorn"]["position_problem"] == "recorded_too_long_ago"
    again = call(api, "GET", "", **{"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    assert call(api, "PUT", "/position", HERE).headers["ETag"] != answer.headers["ETag"]


def test_a_position_that_is_kept_aside_answers_with_the_same_tag(api: Api) -> None:
    call(api, "PUT", "/position", HERE)
    for latitude in range(8):
        api.pass_time(10)
        answer = call(api, "PUT", "/position", HERE | {"latitude": 10 * latitude})
        shown = call(api, "GET", "")
        assert answer.headers["ETag"] == shown.headers["ETag"]
    assert shown.json["unicorn"]["position_problem"] == "implausible_jump"


def test_position_and_availability_answer_with_the_same_tag_and_no_read_of_the_ride(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim(api)
    call(api, "POST", "/rides/ride-1/arrive")
    tag = call(api, "GET", "").headers["ETag"]
    with monkeypatch.context() as patched:
        patched.setattr(api.ports.rides, "get", lambda _: pytest.fail("a read"))
        assert call(api, "PUT", "/position", HERE).headers["ETag"] == tag
        on = call(api, "PUT", "/availability", {"available": True})
        assert on.headers["ETag"] == tag
    assert call(api, "PUT", "/availability", {"available": False}).headers["ETag"] != tag


def test_a_ride_whose_version_is_not_known_has_no_tag(api: Api) -> None:
    claim(api)
    unicorn = api.ports.unicorns.get("u1")
    assert unicorn
    api.ports.fleet.refresh(unicorn, NOW)
    assert "ETag" not in call(api, "PUT", "/position", HERE).headers


def test_a_position_is_noted_while_the_unicorn_cannot_be_read(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: str) -> None:
        raise Unavailable("DynamoDB is away")

    monkeypatch.setattr(api.ports.unicorns, "get", away)
    assert call(api, "PUT", "/position", HERE).status_code == 204
    assert api.ports.fleet.position("u1", NOW)


def test_going_off_duty_and_on_again(api: Api) -> None:
    off = call(api, "PUT", "/availability", {"available": False})
    assert (off.json["state"], off.json["version"]) == ("non_operational", 2)
    assert off.headers["ETag"] == 'W/"2"'
    again = call(api, "PUT", "/availability", {"available": False})
    assert again.json["version"] == 2
    on = call(api, "PUT", "/availability", {"available": True})
    assert (on.json["state"], on.json["accepting"]) == ("available", True)


def test_a_ride_is_moved_along_step_by_step(api: Api) -> None:
    claim(api)
    for step, status in (
        *(("arrive", "arrived"), ("start", "in_progress"), ("complete", "completed")),
    ):
        for _ in range(2):
            answer = call(api, "POST", f"/rides/ride-1/{step}")
            assert (answer.status_code, answer.json["status"]) == (200, status)
            assert "rider_id" not in answer.json
    assert call(api, "GET", "").json["unicorn"]["state"] == "available"


def test_a_step_out_of_order_is_409(api: Api) -> None:
    claim(api)
    answer = call(api, "POST", "/rides/ride-1/complete", {})
    assert (answer.status_code, answer.json["reason"]) == (409, "illegal_transition")


def test_a_ride_of_another_unicorn_is_404(api: Api) -> None:
    api.ports.rides.create(a_ride())
    assert call(api, "POST", "/rides/ride-1/arrive").status_code == 404


def test_an_unknown_step_is_404(api: Api) -> None:
    assert call(api, "POST", "/rides/ride-1/teleport").status_code == 404


def test_a_unicorn_far_away_must_insist_and_only_staff_see_how_far_it_was(api: Api) -> None:
    claim(api, dropoff=Location(40.7644, -73.9730))
    far_away = HERE | {"latitude": 40.9}
    call(api, "POST", "/rides/ride-1/accept")
    first = call(api, "POST", "/rides/ride-1/arrive", far_away)
    assert (first.status_code, first.json["reason"]) == (409, "too_far_away")
    api.pass_time(30)
    assert call(api, "POST", "/rides/ride-1/arrive", far_away).status_code == 200
    assert api.call("GET", "/v1/admin/rides/ride-1", token="admin").json["arrived_distance_metres"]
    for step in ("start", "complete"):
        assert call(api, "POST", f"/rides/ride-1/{step}", far_away).status_code == 200
    seen = api.call("GET", "/v1/admin/rides/ride-1", token="admin").json
    assert min(seen["arrived_distance_metres"], seen["completed_distance_metres"]) > 500
    rider_sees = api.call("GET", "/v1/rides/ride-1").json
    assert rider_sees["status"] == "completed"
    assert not {"arrived_distance_metres", "completed_distance_metres"} & rider_sees.keys()
