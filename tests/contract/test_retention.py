"""Rides that ended are kept as long as wanted, and forget their rider when asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from service.core.erasure import Erasure, erase_rider, renew_expiry
from service.core.ports import RideHistory
from service.core.rides import RideOrder, request_ride
from service.model import ERASED, CanceledBy, Rating, Ride, RideStatus
from service.model.errors import IdempotencyKeyReused
from service.stores.dynamodb.assignments import DynamoAssignments
from service.stores.dynamodb.listings import DynamoRideHistory
from service.stores.dynamodb.rides import DynamoRides
from service.stores.dynamodb.schema import create_tables
from service.stores.dynamodb.unicorns import DynamoUnicorns
from tests.support.builders import (
    CENTRAL_PARK,
    NOW,
    a_finished_ride,
    a_matched_pair,
    a_ride,
    a_usable_unicorn,
)
from tests.support.dynamodb import fresh_settings, service_client
from tests.support.fakes import FakeRides
from tests.support.fakes_oversight import FakeRideHistory
from tests.support.infrastructure import MiniStack
from tests.support.service import Service

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEPT = timedelta(days=30)


class Tables:
    """Stores that keep rides for a month."""

    def __init__(self, client: DynamoDBClient) -> None:
        settings = fresh_settings()
        create_tables(client, settings)
        self._client, self._table = client, settings.rides_table
        self.rides = DynamoRides(client, settings.rides_table, retention=KEPT)
        self.rides_for_ever = DynamoRides(client, settings.rides_table)
        self.history = DynamoRideHistory(client, settings.rides_table)
        self.unicorns = DynamoUnicorns(client, settings.unicorns_table)
        self.assignments = DynamoAssignments(
            client, settings.rides_table, settings.unicorns_table, retention=KEPT
        )

    def expire(self, ride: Ride) -> None:
        """What DynamoDB does by itself when the time has come."""
        self._client.delete_item(TableName=self._table, Key={"ride_id": {"S": ride.ride_id}})

    def item(self) -> Any:
        key = {"ride_id": {"S": "ride-1"}}
        return self._client.get_item(TableName=self._table, Key=key)["Item"]

    def expires_at(self) -> str | None:
        return self.item().get("expires_at", {}).get("N")


@pytest.fixture
def tables(ministack: MiniStack) -> Iterator[Tables]:
    with service_client(ministack) as client:
        yield Tables(client)


def epoch(ride: Ride) -> str:
    assert ride.ended_at
    return str(int((ride.ended_at + KEPT).timestamp()))


def test_a_ride_expires_a_while_after_it_was_canceled(tables: Tables) -> None:
    ride = a_ride()
    tables.rides.create(ride)
    assert tables.expires_at() is None
    ended = ride.canceled(CanceledBy.RIDER, None, NOW)
    tables.rides.save(ride, ended)
    assert tables.expires_at() == epoch(ended) == str(int((NOW + KEPT).timestamp()))


def test_a_ride_expires_a_while_after_its_trip_and_a_rating_changes_nothing(tables: Tables) -> None:
    ride, unicorn = a_ride(), a_usable_unicorn()
    tables.rides.create(ride)
    tables.unicorns.create(unicorn)
    matched, reserved = a_matched_pair(ride, unicorn)
    tables.assignments.commit((ride, matched), (unicorn, reserved))
    assert tables.expires_at() is None
    done = replace(matched.arrived(NOW, KEPT).started(NOW).completed(NOW), version=3)
    tables.assignments.commit((matched, done), (reserved, reserved.released(ride.ride_id, NOW)))
    assert tables.expires_at() == epoch(done)
    tables.rides.save(done, done.rated(Rating(5)))
    assert tables.expires_at() == epoch(done)


@pytest.mark.parametrize("process", ["rides", "rides_for_ever"])
def test_a_ride_that_is_requested_once_more_does_not_expire(tables: Tables, process: str) -> None:
    ride = a_ride()
    tables.rides.create(ride)
    given_up = ride.unmatched(NOW)
    tables.rides.save(ride, given_up)
    assert tables.expires_at() == epoch(given_up)
    getattr(tables, process).save(given_up, given_up.replayed(NOW, timedelta(seconds=180)))
    assert tables.expires_at() is None


def test_retention_applies_to_a_ride_that_ended_before_it_was_set(tables: Tables) -> None:
    ride = a_ride()
    tables.rides_for_ever.create(ride)
    ended = ride.canceled(CanceledBy.RIDER, None, NOW)
    tables.rides_for_ever.save(ride, ended)
    assert tables.expires_at() is None
    long_ago, later = NOW - timedelta(days=90), NOW + timedelta(days=90)
    assert list(renew_expiry(tables.rides, tables.history, long_ago, later)) == [ended]
    assert tables.expires_at() == epoch(ended)
    assert tables.rides.get("ride-1") == ended


def test_turning_retention_off_removes_the_expiry_of_rides(tables: Tables) -> None:
    ride = a_ride()
    tables.rides.create(ride)
    ended = ride.canceled(CanceledBy.RIDER, None, NOW)
    tables.rides.save(ride, ended)
    assert tables.expires_at() == epoch(ended)
    long_ago, later = NOW - timedelta(days=90), NOW + timedelta(days=90)
    assert list(renew_expiry(tables.rides_for_ever, tables.history, long_ago, later)) == [ended]
    assert tables.expires_at() is None


@pytest.fixture(params=["fake", "dynamodb"])
def service(request: pytest.FixtureRequest) -> Service:
    if request.param == "fake":
        return Service()
    return Service(rides=request.getfixturevalue("tables").rides)


def test_a_forgotten_rider_leaves_rides_without_a_trace(service: Service) -> None:
    service.rides.create(a_finished_ride(ride_id="ended", rider_id="leaver"))
    service.rides.create(a_ride(ride_id="open", rider_id="leaver"))
    service.rides.create(a_finished_ride(ride_id="other", rider_id="stayer"))
    assert erase_rider(service.rides, service.dead_letters, "leaver", NOW) == Erasure(1, ("open",))
    ended = service.rides.get("ended")
    assert ended
    before = a_finished_ride(ride_id="ended")
    assert before.unicorn
    assert ended == replace(
        before,
        rider_id=ERASED,
        version=before.version + 1,
        pickup=before.pickup.blurred(),
        dropoff=CENTRAL_PARK.blurred(),
        unicorn=replace(before.unicorn, location=before.unicorn.location.blurred()),
        note=None,
        cancel_reason=None,
        rating=Rating(5),
        request_id="",
        fingerprint=None,
    )
    assert service.rides.get("other") == a_finished_ride(ride_id="other", rider_id="stayer")
    listed = service.rides.list_of_rider("leaver", status=None, limit=10, start=None)
    assert [ride.ride_id for ride in listed.items] == ["open"]


def spoil(service: Service, ride_id: str) -> None:
    """Make a stored ride unreadable, as a change by hand can."""
    if isinstance(service.rides, FakeRides):
        service.rides.spoil(ride_id)
    else:
        no_number = {":it": {"S": "many"}}
        service.rides._updated(ride_id, "SET fresh_deadlines = :it", no_number)


def test_a_forgotten_rider_leaves_no_trace_in_a_ride_that_cannot_be_read(service: Service) -> None:
    for name in ("readable", "spoilt"):
        service.rides.create(a_finished_ride(ride_id=name, rider_id="leaver"))
    service.rides.create(a_ride(ride_id="open", rider_id="leaver"))
    service.rides.create(a_finished_ride(ride_id="other", rider_id="stayer"))
    for name in ("spoilt", "open", "other"):
        spoil(service, name)
    assert list(service.rides.unreadable_of_rider("stayer")) == ["other"]
    for expected in (Erasure(2, ("open",)), Erasure(0, ("open",))):
        assert erase_rider(service.rides, service.dead_letters, "leaver", NOW) == expected
        assert list(service.rides.unreadable_of_rider("leaver")) == ["open"]
    assert not service.rides.blank("other", "leaver", open_since=NOW)
    assert list(service.rides.unreadable_of_rider("stayer")) == ["other"]


def test_an_open_ride_that_cannot_be_read_counts_as_ended_after_a_day(service: Service) -> None:
    service.rides.create(a_ride(ride_id="open", rider_id="leaver", requested_at=NOW))
    spoil(service, "open")
    day = timedelta(days=1)
    for now, expected in ((NOW + day, Erasure(0, ("open",))), (NOW + 2 * day, Erasure(1, ()))):
        assert erase_rider(service.rides, service.dead_letters, "leaver", now) == expected
    assert not service.rides.due(NOW + 3 * day, 9)
    assert list(service.rides.unreadable_of_rider("leaver")) == []


def test_of_a_ride_that_cannot_be_read_only_its_ids_and_expiry_stay(tables: Tables) -> None:
    tables.rides.create(a_finished_ride())
    tables.rides.save(a_finished_ride(), rated := a_finished_ride(version=7))
    tables.rides._updated("ride-1", "SET fresh_deadlines = :it", {":it": {"S": "many"}})
    assert tables.rides.blank("ride-1", rated.rider_id, open_since=NOW)
    assert tables.item().keys() == {"ride_id", "expires_at", "last_write_id"}


def test_a_ride_that_can_be_read_by_now_is_not_blanked(tables: Tables) -> None:
    tables.rides.create(a_finished_ride())
    assert not tables.rides.blank("ride-1", "rider-1", open_since=NOW)
    assert not tables.rides.blank("nobody", "rider-1", open_since=NOW)
    assert tables.rides.get("ride-1") == a_finished_ride()


@pytest.fixture
def history(service: Service, request: pytest.FixtureRequest) -> RideHistory:
    if isinstance(service.rides, FakeRides):
        return FakeRideHistory(service.rides)
    found: RideHistory = request.getfixturevalue("tables").history
    return found


def test_a_changed_retention_applies_only_to_ended_rides_of_the_time_span(
    service: Service, history: RideHistory
) -> None:
    day = timedelta(days=1)
    for name, age in (("r0", 0 * day), ("r1", day), ("r2", 40 * day), ("older", 60 * day)):
        service.rides.create(a_finished_ride(ride_id=name, requested_at=NOW - age))
    service.rides.create(a_ride(ride_id="open"))
    stored = {name: service.rides.get(name) for name in ("r0", "r1", "r2", "older", "open")}
    for _ in range(2):
        written = renew_expiry(service.rides, history, NOW - 50 * day, NOW)
        assert [ride.ride_id for ride in written] == ["r0", "r1", "r2"]
    assert {name: service.rides.get(name) for name in stored} == stored


def test_a_ride_that_another_process_changes_is_not_written_again(
    service: Service, history: RideHistory
) -> None:
    for name, age in (("a", 0), ("b", 1)):
        at = NOW - timedelta(minutes=age)
        service.rides.create(a_finished_ride(ride_id=name, requested_at=at))
    written = renew_expiry(service.rides, history, NOW - timedelta(days=1), NOW)
    assert next(written).ride_id == "a"
    changing = service.rides.get("b")
    assert changing
    changed = changing.rated(Rating(1))
    service.rides.save(changing, changed)
    assert list(written) == []
    assert service.rides.get("b") == changed


def test_an_open_ride_does_not_keep_older_rides_from_being_forgotten(service: Service) -> None:
    older = NOW - timedelta(days=1)
    for name, at in (("1", NOW), ("3", older - timedelta(days=1))):
        service.rides.create(a_ride(ride_id=f"open-{name}", rider_id="leaver", requested_at=at))
    service.rides.create(a_finished_ride(ride_id="ended", rider_id="leaver", requested_at=older))
    assert erase_rider(service.rides, service.dead_letters, "leaver", NOW) == Erasure(
        1, ("open-1", "open-3")
    )


def test_forgetting_continues_where_it_was_interrupted(service: Service) -> None:
    for number in range(3):
        service.rides.create(a_finished_ride(ride_id=f"r{number}", rider_id="leaver"))
    first = service.rides.get("r1")
    assert first
    service.rides.save(first, first.erased())
    assert erase_rider(service.rides, service.dead_letters, "leaver", NOW) == Erasure(2, ())
    assert erase_rider(service.rides, service.dead_letters, "leaver", NOW) == Erasure(0, ())


ORDER = RideOrder(rider_id="rider-1", pickup=CENTRAL_PARK, idempotency_key="key", request_id="r")


def test_an_idempotency_key_names_its_ride_as_long_as_the_ride_is_kept(service: Service) -> None:
    ride, _ = request_ride(service.ports, ORDER, NOW)
    ended = ride.canceled(CanceledBy.RIDER, None, NOW)
    service.rides.save(ride, ended)
    much_later = NOW + timedelta(days=400)
    assert request_ride(service.ports, ORDER, much_later) == (ended, True)


def test_a_key_whose_ride_has_expired_makes_a_new_ride(tables: Tables) -> None:
    service = Service(rides=tables.rides)
    ride, _ = request_ride(service.ports, ORDER, NOW)
    tables.expire(ride)
    again, replayed = request_ride(service.ports, ORDER, NOW)
    assert (again.ride_id, again.status, replayed) == (ride.ride_id, RideStatus.REQUESTED, False)


def test_a_key_whose_rider_was_forgotten_stays_used(service: Service) -> None:
    ride, _ = request_ride(service.ports, ORDER, NOW)
    service.rides.save(ride, ride.canceled(CanceledBy.RIDER, None, NOW))
    erase_rider(service.rides, service.dead_letters, "rider-1", NOW)
    with pytest.raises(IdempotencyKeyReused):
        request_ride(service.ports, ORDER, NOW)
