"""A ride that is triggered again a second after its request, and that no round has read since."""

from __future__ import annotations

import pytest

from service.stores.redis.waiting import is_unseen
from tests.support.builders import NOW, a_ride

REQUESTED = int(NOW.timestamp() * 1000)


@pytest.mark.parametrize(
    ("unread_since", "again", "unseen"),
    [(0, 1001, True), (999, 1001, True), (1000, 1001, False), (0, 1000, False), (0, 500, False)],
)
def test_a_ride_is_unseen_if_its_first_trigger_waits_for_a_second(
    unread_since: int, again: int, unseen: bool
) -> None:
    ride = a_ride(requested_at=NOW)
    assert is_unseen(ride, REQUESTED + unread_since, REQUESTED + again) is unseen
