"""Metrics of calls to DynamoDB and of the steps of rides, on the embedded AWS."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from service.core.ports import WriteConflict
from service.model import CanceledBy, RideStatus
from service.model.errors import Unavailable
from service.settings import Settings
from service.stores.dynamodb.assignments import DynamoAssignments
from service.stores.dynamodb.client import count_calls, dynamodb_client
from service.stores.dynamodb.items import shard_of
from service.stores.dynamodb.rides import DynamoRides
from service.stores.dynamodb.schema import create_tables
from service.stores.dynamodb.unicorns import DynamoUnicorns
from tests.support.builders import NOW, a_matched_pair, a_ride, a_usable_unicorn
from tests.support.dynamodb import fresh_settings, service_client
from tests.support.infrastructure import MiniStack


class Count:
    """How much a series went up since this was made."""

    def __init__(self, name: str, **labels: str) -> None:
        self._name, self._labels = name, labels
        self._before = self._now()

    def _now(self) -> float:
        return REGISTRY.get_sample_value(self._name, self._labels) or 0.0

    @property
    def risen(self) -> float:
        return self._now() - self._before


@pytest.fixture(scope="module")
def settings(ministack: MiniStack) -> Iterator[Settings]:
    settings = fresh_settings().model_copy(update={"metrics_port": 9100})
    create_tables(ministack.dynamodb_client(), settings)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ministack.environment.items():
            patch.setenv(name, value)
        yield settings


@pytest.fixture(scope="module")
def rides(settings: Settings) -> DynamoRides:
    return DynamoRides(dynamodb_client(settings), settings.rides_table)


def test_a_call_and_what_it_consumed_are_counted(rides: DynamoRides, settings: Settings) -> None:
    calls = Count("wildrydes_dynamodb_call_duration_seconds_count", operation="PutItem")
    table = settings.rides_table
    units = Count("wildrydes_dynamodb_capacity_units_total", operation="PutItem", table=table)
    requested = Count("wildrydes_rides_requested_total")
    ride = a_ride(ride_id=str(uuid.uuid4()))
    assert rides.create(ride) is None
    assert rides.create(ride) == ride
    assert calls.risen == 2
    assert units.risen >= 1
    assert requested.risen == 1


@pytest.mark.parametrize("by", list(CanceledBy))
def test_an_end_is_counted_once_and_by_whom(rides: DynamoRides, by: CanceledBy) -> None:
    ended = Count("wildrydes_rides_ended_total", outcome="canceled", by=by.value)
    ride = a_ride(ride_id=str(uuid.uuid4()))
    rides.create(ride)
    canceled = ride.canceled(by, "a reason", NOW)
    rides.save(ride, canceled)
    with pytest.raises(WriteConflict):
        rides.save(ride, canceled)
    assert ended.risen == 1


def test_claims_are_counted_won_or_lost_and_matches_timed(
    rides: DynamoRides, settings: Settings
) -> None:
    client = dynamodb_client(settings)
    tables = settings.rides_table, settings.unicorns_table
    assignments = DynamoAssignments(client, *tables)
    ride = a_ride(ride_id=str(uuid.uuid4()))
    unicorn = a_usable_unicorn(unicorn_id=str(uuid.uuid4()))
    rides.create(ride)
    DynamoUnicorns(client, settings.unicorns_table).create(unicorn)
    matched, reserved = a_matched_pair(ride, unicorn)
    won, lost = (Count("wildrydes_claims_total", result=result) for result in ("won", "lost"))
    timed = Count("wildrydes_time_to_match_seconds_count")
    assignments.commit((ride, matched), (unicorn, reserved))
    with pytest.raises(WriteConflict):
        assignments.commit((ride, matched), (unicorn, reserved))
    assert (won.risen, lost.risen, timed.risen) == (1, 1, 1)
    assert matched.status is RideStatus.MATCHED


def test_the_metrics_count_a_ride_that_the_sweep_triggers_and_show_the_oldest(
    rides: DynamoRides,
) -> None:
    reenqueued = Count("wildrydes_sweep_reenqueued_total")
    long_ago = NOW - timedelta(days=1)
    # Requested again not long ago: its deadline is a new one.
    deadline = NOW + timedelta(seconds=60)
    old = a_ride(
        ride_id=str(uuid.uuid4()), requested_at=long_ago, due_at=long_ago, deadline_at=deadline
    )
    rides.create(old)
    batches = rides.due_in_batches(shard_of(old.ride_id), NOW, 10, 10)
    assert [list(batch) for batch in batches] == [[old]]
    oldest = REGISTRY.get_sample_value("wildrydes_oldest_waiting_timestamp_seconds")
    earliest = REGISTRY.get_sample_value("wildrydes_earliest_deadline_timestamp_seconds")
    assert (oldest, earliest) == (long_ago.timestamp(), deadline.timestamp())
    assert rides.postpone(old, NOW)
    assert not rides.postpone(old, NOW)
    assert reenqueued.risen == 1


def test_a_lost_call_is_counted_as_an_error_of_its_kind(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1")
    errors = Count(
        "wildrydes_dynamodb_errors_total", operation="GetItem", error="EndpointConnectionError"
    )
    with pytest.raises(Unavailable):
        DynamoRides(dynamodb_client(settings), settings.rides_table).get("ride-1")
    assert errors.risen >= 1


def test_a_counted_client_can_still_describe_its_tables(
    ministack: MiniStack, tables: Settings
) -> None:
    with service_client(ministack) as client:
        count_calls(client)
        assert client.describe_table(TableName=tables.rides_table)["Table"]


def test_a_ride_whose_unicorn_does_not_come_is_counted_when_it_is_noticed_and_taken_back(
    rides: DynamoRides,
) -> None:
    left, taken_back = (
        Count("wildrydes_rides_not_coming_total", outcome=each) for each in ("left", "taken_back")
    )
    matched, _ = a_matched_pair(a_ride(ride_id=str(uuid.uuid4())), a_usable_unicorn())
    rides.create(matched)
    noticed = replace(matched, not_coming=frozenset({"u1"}))
    rides.save(matched, noticed)
    rides.save(noticed, replace(noticed, due_at=NOW))
    assert (left.risen, taken_back.risen) == (1, 0)
    rides.save(noticed, noticed.not_come_to(NOW, timedelta(seconds=180)))
    assert (left.risen, taken_back.risen) == (1, 1)
