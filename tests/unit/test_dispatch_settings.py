"""The settings of dispatch reach the rules and the rounds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import ValidationError

from service.bootstrap import rules_of
from service.core.ports import Rules
from service.matching.tuning import Tuning
from service.settings import Settings
from worker.dependencies import tuning_of

ENVIRONMENT = {"aws_region": "eu-central-1", "redis_url": "redis://127.0.0.1:1"}


def tuned(**changes: float) -> Tuning:
    return tuning_of(Settings.model_validate(ENVIRONMENT | changes))


def test_the_defaults_are_those_of_the_engine() -> None:
    assert tuned() == Tuning()


def test_the_defaults_are_those_of_the_rules() -> None:
    rules = rules_of(Settings.model_validate(ENVIRONMENT))
    # A rider of the tests stands for many, so the rules alone set no limit.
    assert rules.max_active_rides == 3
    defaults = {"reach_metres": Rules().reach_metres, "max_active_rides": 0}
    assert replace(rules, **defaults) == Rules()
    # As far as the default travel time gets within the default cap, rounded in the rules.
    assert rules.reach_metres == pytest.approx(Rules().reach_metres, rel=0.001)


def test_the_weight_of_waiting_follows_from_cap_and_deadline() -> None:
    changes = {"dispatch_max_pickup_eta_seconds": 600, "dispatch_deadline_seconds": 120}
    tuning = tuned(**changes, dispatch_equal_metres=50)
    assert (tuning.waiting_weight, tuning.overtaking_seconds) == (10, 60)
    assert tuning.equal_metres == 50


@pytest.mark.parametrize("value", [-1, float("inf"), float("nan")])
def test_a_negative_or_infinite_distance_is_refused(value: float) -> None:
    with pytest.raises(ValidationError, match="dispatch_equal_metres"):
        Settings.model_validate(ENVIRONMENT | {"dispatch_equal_metres": value})
