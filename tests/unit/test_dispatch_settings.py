"""What an operator sets is what rounds weigh."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from service.matching.match import Tuning
from service.settings import Settings
from worker import dependencies

ENVIRONMENT = {"aws_region": "eu-central-1", "redis_url": "redis://127.0.0.1:1"}


def tuned(monkeypatch: pytest.MonkeyPatch, **changes: float) -> Tuning:
    """Nothing connects before the first round."""
    monkeypatch.setattr(dependencies, "_built", [])
    dependencies.build(Settings.model_validate(ENVIRONMENT | changes))
    return dependencies.dependencies().dispatcher.tuning


def test_the_defaults_are_those_of_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tuned(monkeypatch) == Tuning()


def test_the_weights_of_fairness_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    tuning = tuned(monkeypatch, dispatch_waiting_weight=0.3, dispatch_idle_weight=0.05)
    assert (tuning.waiting_weight, tuning.idle_weight) == (0.3, 0.05)


@pytest.mark.parametrize("name", ["dispatch_waiting_weight", "dispatch_idle_weight"])
@pytest.mark.parametrize("value", [-0.1, float("inf"), float("nan")])
def test_a_weight_without_meaning_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValidationError, match=name):
        Settings.model_validate(ENVIRONMENT | {name: value})
