"""A ride as a stream: what is sent, when it ends, who may open how many."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from service.http.gate import STREAMS_PER_SUBJECT, SUPERSEDE_SECONDS, Gate
from service.model import CanceledBy, Position, Ride
from service.model.errors import Unavailable
from tests.support.api import PRINCIPALS, Api, a_principal, build_api
from tests.support.builders import CENTRAL_PARK, NOW, a_ride
from tests.support.fakes import FakeRides
from tests.support.fakes_oversight import FakeRevocations

PATH = "/v1/rides/ride-1/events"


class Reader:
    """Reads a stream event by event; comments and the opening apart."""

    def __init__(self, answer: TestResponse) -> None:
        assert answer.status_code == 200
        self.answer = answer
        self._chunks: Iterator[bytes] = iter(answer.response)
        self.comments = 0

    def next(self) -> tuple[str, str | None, Any]:
        """Name, id and data of the next event."""
        for chunk in self._chunks:
            lines = dict(line.split(": ", 1) for line in chunk.decode().split("\n") if ": " in line)
            if "event" in lines:
                return lines["event"], lines.get("id"), json.loads(lines["data"])
            self.comments += chunk == b":\n\n"
        raise StopIteration

    def next_named(self, name: str) -> Any:
        """The data of the next event of this name."""
        while True:
            event, _, data = self.next()
            if event == name:
                return data


def open_stream(api: Api, last: str | None = None, token: str = "rider") -> TestResponse:
    return api.call("GET", PATH, token=token, headers={"Last-Event-ID": last} if last else {})


@pytest.fixture
def ride(api: Api) -> Ride:
    ride = a_ride()
    api.ports.rides.create(ride)
    return ride


def cancel(api: Api, ride: Ride) -> None:
    api.ports.rides.save(ride, ride.canceled(CanceledBy.RIDER, None, NOW))


def test_a_stream_shows_the_ride_and_each_new_version_until_it_ends(api: Api, ride: Ride) -> None:
    stream = Reader(open_stream(api))
    assert stream.answer.content_type == "text/event-stream"
    assert stream.answer.headers["X-Accel-Buffering"] == "no"
    assert stream.answer.headers["Cache-Control"] == "no-store"
    name, number, shown = stream.next()
    assert (name, number) == ("ride", "1")
    assert shown == api.call("GET", "/v1/rides/ride-1").json
    cancel(api, ride)
    assert stream.next_named("ride")["status"] == "canceled"
    assert stream.next() == ("end", None, {"reason": "ride_ended"})
    with pytest.raises(StopIteration):
        stream.next()


def test_the_stream_is_open_before_there_is_news(api: Api, ride: Ride) -> None:
    assert next(iter(open_stream(api).response)) == b"retry: 1000\n\n"


def test_a_stream_tells_where_the_unicorn_is_only_when_it_moved(api: Api, ride: Ride) -> None:
    api.match(ride)
    stream = Reader(open_stream(api))
    stream.next()
    name, number, live = stream.next()
    assert (name, number, live["location"]) == ("live", None, None)
    api.ports.fleet.record("u1", Position(CENTRAL_PARK, NOW), NOW)
    assert stream.next_named("live")["location"]["latitude"] == CENTRAL_PARK.latitude
    cancel(api, api.ports.rides.get("ride-1") or ride)
    assert [stream.next()[0] for _ in range(2)] == ["ride", "end"]


def test_a_silent_stream_is_kept_open_by_comments(
    api: Api, ride: Ride, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, reads = Reader(open_stream(api)), 0
    stream.next()
    get = FakeRides.get

    def get_until_canceled(rides: FakeRides, ride_id: str) -> Ride | None:
        nonlocal reads
        reads += 1
        if reads == 20:
            monkeypatch.setattr(FakeRides, "get", get)
            cancel(api, ride)
        return get(rides, ride_id)

    monkeypatch.setattr(FakeRides, "get", get_until_canceled)
    assert stream.next_named("ride")["status"] == "canceled"
    assert 2 <= stream.comments < reads


def test_a_version_that_was_seen_is_not_sent_again(api: Api, ride: Ride) -> None:
    stream = Reader(open_stream(api, last="1"))
    assert stream.next()[0] == "live"
    cancel(api, ride)
    assert stream.next_named("ride")["version"] == 2


def test_a_client_that_has_seen_the_end_gets_204(api: Api, ride: Ride) -> None:
    cancel(api, ride)
    assert open_stream(api, "2").status_code == 204


def test_a_client_that_names_a_future_version_has_seen_nothing(api: Api, ride: Ride) -> None:
    stream = Reader(open_stream(api, last="7"))
    assert stream.next_named("ride")["version"] == 1
    cancel(api, ride)
    assert stream.next_named("ride")["version"] == 2


@pytest.mark.parametrize("last", [None, "1", "3", "x", "-3", "²", "9" * 50])
def test_a_client_that_has_not_seen_the_end_gets_it(api: Api, ride: Ride, last: str | None) -> None:
    cancel(api, ride)
    stream = Reader(open_stream(api, last))
    assert stream.next_named("ride")["status"] == "canceled"
    assert stream.next()[0] == "end"


def test_another_riders_ride_is_not_there(api: Api, ride: Ride) -> None:
    assert open_stream(api, token="other").status_code == 404


def test_a_stream_ends_with_its_token(
    api: Api, ride: Ride, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = a_principal(expires_at=int(NOW.timestamp()) + 60)
    monkeypatch.setitem(PRINCIPALS, "rider", soon)
    stream = Reader(open_stream(api))
    assert stream.next()[0] == "ride"
    api.pass_time(59)
    assert stream.next()[0] == "live"
    api.pass_time(2)
    assert stream.next_named("end") == {"reason": "token_expired"}


def test_a_stream_that_is_stopped_ends_without_a_word(api: Api, ride: Ride) -> None:
    stream = Reader(open_stream(api))
    stream.next()
    api.app.extensions["stop"]()
    with pytest.raises(StopIteration):
        stream.next()


def test_a_stream_outlives_a_store_that_is_away_for_a_moment(
    api: Api, ride: Ride, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Reader(open_stream(api))
    stream.next()
    get, failures = FakeRides.get, 0

    def fail_twice(rides: FakeRides, ride_id: str) -> Ride | None:
        nonlocal failures
        failures += 1
        if failures <= 2:
            raise Unavailable("away")
        monkeypatch.setattr(FakeRides, "get", get)
        cancel(api, ride)
        return get(rides, ride_id)

    monkeypatch.setattr(FakeRides, "get", fail_twice)
    assert stream.next_named("ride")["status"] == "canceled"


def test_a_sixth_stream_ends_the_oldest_once_in_ten_seconds(
    api: Api, ride: Ride, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setitem(
        api.app.extensions,
        "gate",
        Gate(max_in_flight=9, max_waiters=99, monotonic=lambda: clock[0]),
    )
    streams = [Reader(open_stream(api)) for _ in range(STREAMS_PER_SUBJECT)]
    for stream in streams:
        stream.next()
    newest = Reader(open_stream(api))
    assert newest.next()[0] == "ride"
    assert streams[0].next_named("end") == {"reason": "superseded"}
    clock[0] = SUPERSEDE_SECONDS - 1
    refused = open_stream(api)
    assert (refused.status_code, refused.json["reason"]) == (429, "too_many_streams")
    assert refused.headers["Retry-After"] == "10"
    assert streams[1].next()[0] == "live"
    assert open_stream(api, token="other").status_code == 404
    clock[0] = SUPERSEDE_SECONDS + 1
    assert open_stream(api).status_code == 200
    assert streams[1].next_named("end") == {"reason": "superseded"}


def test_a_request_that_opens_no_stream_ends_none(api: Api, ride: Ride) -> None:
    ended = a_ride(ride_id="ended").canceled(CanceledBy.RIDER, None, NOW)
    api.ports.rides.create(ended)
    streams = [Reader(open_stream(api)) for _ in range(STREAMS_PER_SUBJECT)]
    seen_all = {"Last-Event-ID": str(ended.version)}
    assert api.call("GET", "/v1/rides/unknown/events").status_code == 404
    assert api.call("GET", "/v1/rides/ended/events", headers=seen_all).status_code == 204
    assert api.call("HEAD", PATH).status_code == 200
    assert [streams[0].next()[0] for _ in range(2)] == ["ride", "live"]
    assert open_stream(api).status_code == 200
    assert streams[0].next_named("end") == {"reason": "superseded"}


def test_a_stream_of_a_ride_that_is_no_longer_the_riders_ends(
    api: Api, ride: Ride, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Reader(open_stream(api))
    stream.next()
    monkeypatch.setattr(FakeRides, "get", lambda *_: replace(ride, rider_id="erased", version=2))
    assert stream.next_named("end") == {"reason": "ride_not_found"}


def test_a_token_revoked_during_the_wait_gets_no_news() -> None:
    revocations = FakeRevocations()
    api = build_api(revocations=revocations)
    api.ports.rides.create(ride := a_ride())
    stream = Reader(open_stream(api, last="1"))
    revocations.put("jti", "jti", revoked_at=NOW, expires_at=NOW + timedelta(days=1))
    api.pass_time(6)
    cancel(api, ride)
    assert stream.next() == ("end", None, {"reason": "token_revoked"})


def test_a_place_of_a_stream_that_was_closed_is_free_at_once(api: Api, ride: Ride) -> None:
    streams = [open_stream(api) for _ in range(STREAMS_PER_SUBJECT)]
    streams.pop().close()
    assert open_stream(api).status_code == 200
    assert not Reader(streams[0]).next_named("live")["location"]


def test_a_stream_that_was_never_read_gives_its_place_back(api: Api, ride: Ride) -> None:
    heads = []
    for _ in range(STREAMS_PER_SUBJECT + 1):
        open_stream(api).close()
        heads.append(api.call("HEAD", PATH))
    assert {head.status_code for head in heads} == {200}
    gate = api.app.extensions["gate"]
    assert (gate.waiters, gate.in_flight) == (0, 0), "also while the answers to HEAD still exist"
