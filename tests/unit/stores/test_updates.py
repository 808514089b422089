"""What a conditional update writes, and what it requires."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from service.stores.dynamodb.updates import new_write_id, ride_update, unicorn_update
from tests.support.builders import NOW, a_matched_pair, a_ride, a_usable_unicorn


def test_only_what_changed_is_written() -> None:
    update = ride_update("Rides", a_ride(), replace(a_ride(), version=2, fresh_deadlines=1), "w1")
    assert update["UpdateExpression"] == (
        "SET #version = :version, #fresh_deadlines = :fresh_deadlines, "
        "#last_write_id = :last_write_id"
    )
    assert update["ExpressionAttributeValues"] == {
        ":version": {"N": "2"},
        ":fresh_deadlines": {"N": "1"},
        ":last_write_id": {"S": "w1"},
        ":was_version": {"N": "1"},
        ":was_status": {"S": "requested"},
    }
    assert update["Key"] == {"ride_id": {"S": "ride-1"}}


def test_a_ride_that_ends_leaves_the_index_of_due_rides() -> None:
    update = ride_update("Rides", a_ride(), a_ride().unmatched(NOW), "w1")
    assert update["UpdateExpression"].endswith(" REMOVE #due_at, #shard")


def test_a_claim_requires_that_both_sides_are_free() -> None:
    ride, unicorn = a_ride(), a_usable_unicorn()
    matched, reserved = a_matched_pair(ride, unicorn)
    ride_side = ride_update("Rides", ride, matched, "w1")
    unicorn_side = unicorn_update("Unicorns", unicorn, reserved, "w1")
    assert ride_side["ConditionExpression"] == (
        "#version = :was_version AND #status = :was_status AND "
        "attribute_not_exists(#unicorn_id) AND NOT contains(#excluded, :unicorn_id)"
    )
    assert unicorn_side["ConditionExpression"] == (
        "#version = :was_version AND #state = :was_state AND #accepting = :was_accepting AND "
        "attribute_not_exists(#ride_id)"
    )


def test_a_release_requires_that_the_unicorn_is_on_this_ride() -> None:
    _, reserved = a_matched_pair(a_ride(), a_usable_unicorn())
    update = unicorn_update("Unicorns", reserved, reserved.released("ride-1", NOW), "w1")
    assert "#ride_id = :was_ride_id" in update["ConditionExpression"]
    assert update["ExpressionAttributeValues"][":was_ride_id"] == {"S": "ride-1"}


def test_a_ride_forgets_who_stored_it_when_the_rider_is_aboard() -> None:
    matched, _ = a_matched_pair(a_ride(), a_usable_unicorn())
    arrived = matched.arrived(NOW, timedelta(minutes=10))
    update = ride_update("Rides", arrived, arrived.started(NOW), "w1")
    assert update["UpdateExpression"].endswith(" REMOVE #first_write_id")


def test_a_write_id_fits_a_request_token_and_is_new_each_time() -> None:
    ids = {new_write_id() for _ in range(100)}
    assert len(ids) == 100
    assert {len(write_id) for write_id in ids} == {22}
