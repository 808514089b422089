"""Numbers of the use cases that are promised, or that other tests use by their names only.

What has a range instead of a value stands in `tests/unit/test_bounds.py`.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from service.bootstrap import rules_of
from service.core import (
    city_map,
    coming,
    dead_letters,
    estimates,
    geofence,
    legs,
    photos,
    pickup_etas,
    positions,
    reconcile,
    rides,
    rounds,
    statistics,
    sweep,
    timeouts,
    transition,
    travel_times,
    watch,
)
from service.core.ports import Rules, tables
from service.matching.correction import KNOTS
from service.matching.travel import GreatCircle
from service.settings import Settings


def test_the_rules_have_the_defaults_of_the_settings() -> None:
    names = [
        *("dispatch_deadline_seconds", "offer_seconds", "offers_missed_max", "no_show_seconds"),
        *("arrive_max_metres", "unicorn_stale_seconds", "dispatch_max_pickup_eta_seconds"),
        "dispatch_plan_seconds",
    ]
    defaults = {name: Settings.model_fields[name].default for name in names}
    # How many rides a rider may have is the API's to say.
    of_settings = rules_of(Settings.model_construct(**defaults, rider_max_active_rides=0))
    assert of_settings == Rules(reach_metres=of_settings.reach_metres)
    assert of_settings.reach_metres == pytest.approx(Rules().reach_metres, rel=0.01)


def seconds(*spans: timedelta) -> list[float]:
    return [span.total_seconds() for span in spans]


def test_rides_are_looked_after_as_documented() -> None:
    assert seconds(timeouts.TRIP_LOST_AFTER, rounds.OVERDUE) == [1800, 10]
    assert (sweep.MOST_DUE, sweep.BATCH_RIDES, sweep.HELP_AFTER_RIDES) == (400, 100, 200)
    assert (dead_letters.DEATHS_ALONE, transition.ATTEMPTS) == (2, 4)
    assert timedelta(days=36_500) == reconcile.FAR_AHEAD


def test_a_round_ends_in_time_and_leaves_the_rest_to_the_next() -> None:
    assert rounds.WORK_BUDGET_SECONDS == 1
    assert (rounds.LOST_CLAIM_ROUNDS, rounds.SLICE_RIDES) == (3, 2000)


def test_a_unicorn_that_does_not_come_is_judged_as_documented() -> None:
    assert seconds(coming.UNPLACED_AFTER) == [coming.SLACK_SECONDS] == [180]
    assert (coming.BETTER_SECONDS, coming.COMPARED, coming.TAKEN_BACK_SHARE) == (120, 8, 0.05)
    assert seconds(geofence.RECENT, geofence.INSIST_AFTER) == [15, 30]
    assert (positions.MOST_REPORTS, legs.ENDS_WITHIN_METRES) == (3, 500)


def test_what_is_shown_is_as_much_as_new_and_as_coarse_as_documented() -> None:
    assert (city_map.MOST_SHOWN, city_map.UPDATE_SECONDS) == (5000, 1)
    assert seconds(city_map.REMEMBERED, city_map.OVERLAP) == [60, 2]
    assert (estimates.MOST_SHOWN, estimates.MOST_READ) == (20, 60)
    assert (estimates.DECIMALS, estimates.BLUR_METRES) == (3, 80)
    assert (watch.REREAD_SECONDS, watch.LIVE_SECONDS, watch.MAX_SHOWN_ETA_FACTOR) == (5, 2, 4)
    assert seconds(pickup_etas.ASK_EVERY, statistics.MINUTE) == [10, 60]
    assert statistics.MINUTES == 60
    assert tuple(sorted(statistics.BOUNDS)) == statistics.BOUNDS
    assert (statistics.BOUNDS[0], statistics.BOUNDS[-1]) == (1, 660)


def test_lists_and_photos_have_the_bounds_that_are_documented() -> None:
    assert tables.MOST_LISTED == 1000
    assert timedelta(days=1) == rides.OPEN_WITHIN
    assert photos.UPLOAD_BYTES == 5 * 1024 * 1024
    assert seconds(photos.UPLOAD_FOR, photos.SEEN_FOR) == [300, 60]


def test_a_new_zone_expects_the_drives_of_new_york() -> None:
    knots = np.array(KNOTS)
    expected = np.exp(travel_times.NEW_YORK.by_distance) * knots / GreatCircle().reach_metres(1)
    assert expected[[0, 2, 5]] == pytest.approx([117.5, 287.0, 958.8], rel=0.001)
