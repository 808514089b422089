"""How rides and unicorns are written down."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.model import Location, Ride, RideStatus, Trip
from service.observability import traces
from service.stores.dynamodb.items import (
    SHARDS,
    ride_from,
    ride_item,
    shard_of,
    text,
    unicorn_from,
    unicorn_item,
)
from service.stores.entries import (
    UnknownSchema,
    dump_ride,
    dump_unicorn,
    load_advice,
    load_plan,
    load_position,
    load_ride,
    load_unicorn,
    trace_of,
)
from service.stores.records import UNREADABLE, instant_of, instant_text
from tests.support.builders import NOW, a_finished_ride, a_matched_pair, a_ride, a_usable_unicorn

OPEN = [status for status in RideStatus if not a_ride(status=status).is_terminal]


def test_an_instant_is_written_in_utc_with_milliseconds() -> None:
    assert instant_text(NOW) == "2026-11-23T02:46:28.123Z"
    assert instant_text(NOW.replace(microsecond=0)) == "2026-11-23T02:46:28.000Z"
    assert instant_text(NOW.astimezone(timezone(timedelta(hours=-5)))) == instant_text(NOW)


@given(st.lists(st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC)), max_size=5))
def test_instants_sort_as_text(instants: list[datetime]) -> None:
    texts = sorted(instant_text(instant) for instant in instants)
    assert [instant_of(text) for text in texts] == sorted(instant_of(text) for text in texts)


def test_a_new_ride_has_the_attributes_the_model_names() -> None:
    assert ride_item(a_ride()) == {
        "ride_id": {"S": "ride-1"},
        "rider_id": {"S": "rider-1"},
        "pickup": {"M": {"latitude": {"N": "40.7033"}, "longitude": {"N": "-74.017"}}},
        "zone": {"S": "852a1073fffffff"},
        "requested_at": {"S": "2026-11-23T02:46:28.123Z"},
        "deadline_at": {"S": "2026-11-23T02:49:28.123Z"},
        "due_at": {"S": "2026-11-23T02:46:30.123Z"},
        "status": {"S": "requested"},
        "version": {"N": "1"},
        "request_id": {"S": "request-1"},
        "fingerprint": {"S": "fingerprint-1"},
        "shard": {"S": shard_of("ride-1")},
        "day_shard": {"S": f"2026-11-23#{shard_of('ride-1')}"},
    }


def test_a_full_ride_has_every_field_of_the_model() -> None:
    names = {field.name for field in fields(Ride)}
    assert names - ride_item(a_finished_ride()).keys() == {"due_at"}


def test_an_assigned_ride_names_its_unicorn_where_a_condition_finds_it() -> None:
    item = ride_item(a_matched_pair(a_ride(), a_usable_unicorn())[0])
    assert item["unicorn_id"] == {"S": "u1"}
    assert item["unicorn"]["M"]["unicorn_id"] == {"S": "u1"}


@pytest.mark.parametrize("status", OPEN)
def test_an_open_ride_is_in_the_index_of_due_rides(status: RideStatus) -> None:
    assert {"shard", "due_at"} <= ride_item(a_ride(status=status)).keys()


def test_a_ride_that_ended_is_not_in_the_index_of_due_rides() -> None:
    assert not {"shard", "due_at"} & ride_item(a_finished_ride()).keys()


def test_rides_spread_evenly_over_the_shards() -> None:
    counts = Counter(shard_of(f"ride-{n}") for n in range(8000))
    assert set(counts) == set(SHARDS)
    assert max(counts.values()) < 1200


@given(
    st.floats(-90, 90, allow_nan=False),
    st.floats(-180, 180, allow_nan=False, allow_subnormal=False),
)
def test_places_survive_exactly(latitude: float, longitude: float) -> None:
    place = Location(latitude, longitude)
    ride = a_ride(pickup=place, dropoff=place)
    unicorn = a_usable_unicorn(trip=Trip(place, None, NOW))
    assert ride_from(ride_item(ride)) == load_ride(dump_ride(ride)) == ride
    assert unicorn_from(unicorn_item(unicorn)) == load_unicorn(dump_unicorn(unicorn)) == unicorn


def test_an_entry_is_the_ride_without_what_people_wrote() -> None:
    entry = dump_ride(a_finished_ride(note="personal", cancel_reason="personal"))
    assert "personal" not in entry
    assert load_ride(entry) == a_finished_ride(note=None, cancel_reason=None)


@pytest.mark.parametrize(
    ("load", "parts"),
    [
        (load_ride, [{}]),
        (load_unicorn, [{}]),
        (load_position, [0, 40.7, -74.0, None, None]),
        (partial(load_plan, "ride-1"), ["u1", 60, 300]),
        (partial(load_advice, "u1"), ["cell", 40.7, -74.0, 0, 1, "riders_expected"]),
    ],
)
def test_an_entry_of_another_schema_is_refused(
    load: Callable[[str], object], parts: list[object]
) -> None:
    with pytest.raises(UnknownSchema):
        load(json.dumps([2, *parts]))


def test_loading_a_ride_writes_no_tracing_state(monkeypatch: pytest.MonkeyPatch) -> None:
    remembered: list[object] = []
    monkeypatch.setattr(traces, "remember", lambda *noted: remembered.append(noted))
    monkeypatch.setattr(traces, "carrier", lambda: {"traceparent": "00-1-2-01"})
    entry = dump_ride(a_finished_ride())
    assert load_ride(entry).ride_id == "ride-1"
    assert trace_of(entry) == "00-1-2-01"
    assert not remembered


def test_the_error_of_a_ride_that_cannot_be_read_names_the_ride() -> None:
    item = ride_item(a_ride(ride_id="ride-7")) | {"requested_at": text("yesterday")}
    with pytest.raises(UNREADABLE) as failed:
        ride_from(item)
    assert failed.value.__notes__ == ["ride ride-7"]
