"""When a silence counts, when an offer could be answered, and when a silence is an outage."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from service.model import Hearing, SilentTogether
from service.model.presence import silent_together
from tests.support.builders import NOW

STALE = timedelta(seconds=60)
GAP = timedelta(seconds=15)
TICK = timedelta(milliseconds=1)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


HEARS = Hearing(epoch=ago(3600), since=ago(1800), last=NOW, gap=GAP)


@pytest.mark.parametrize(
    ("hearing", "heard", "seconds"),
    [
        (HEARS, ago(70), 70),
        (HEARS, None, 1800),
        (HEARS, ago(2000), 1800),
        (replace(HEARS, epoch=ago(40)), ago(70), 40),
        (replace(HEARS, last=ago(20)), ago(70), 50),
        (replace(HEARS, last=ago(80)), ago(70), 0),
        (replace(HEARS, last=ago(-5)), ago(70), 70),
        (replace(HEARS, epoch=None), ago(70), 0),
        (replace(HEARS, since=None), ago(70), 0),
        (HEARS, ago(-15), 0),
        (HEARS, ago(-15) + TICK, 1800),
    ],
)
def test_only_time_in_which_every_process_hears_counts_as_silence(
    hearing: Hearing, heard: datetime | None, seconds: float
) -> None:
    """The last two: a call from the future, before a clock was set back, is left out."""
    assert hearing.silence(heard, NOW) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("hearing", "called", "refused", "could"),
    [
        (HEARS, ago(10), None, True),
        (HEARS, ago(15), None, True),
        (HEARS, ago(15) - TICK, None, False),
        (HEARS, None, None, False),
        (HEARS, ago(10), ago(15) - TICK, True),
        (HEARS, ago(10), ago(15), False),
        (HEARS, ago(10), ago(1), False),
        (replace(HEARS, since=ago(15)), ago(10), None, True),
        (replace(HEARS, since=ago(15) + TICK), ago(10), None, False),
        (replace(HEARS, since=None), ago(10), None, False),
        (replace(HEARS, last=None), ago(10), None, False),
        (replace(HEARS, last=ago(15)), ago(10), None, True),
        (replace(HEARS, last=ago(15) - TICK), ago(10), None, False),
    ],
)
def test_an_offer_could_be_answered_if_every_call_since_could_be_heard(
    hearing: Hearing, called: datetime | None, refused: datetime | None, could: bool
) -> None:
    assert hearing.could_answer(called, refused, ago(15), NOW) == could


@pytest.mark.parametrize(
    ("silent", "assigned", "is_outage"),
    [(2, 2, False), (3, 3, True), (3, 12, True), (3, 13, False), (25, 100, True), (24, 100, False)],
)
def test_three_unicorns_and_a_quarter_of_the_fleet_are_an_outage(
    silent: int, assigned: int, is_outage: bool
) -> None:
    assert SilentTogether(silent, assigned).is_outage == is_outage


@pytest.mark.parametrize(
    ("heard", "shares"),
    [
        (ago(70), True),
        (ago(100), True),
        (ago(100) - TICK, False),
        (ago(40), True),
        (ago(40) + TICK, False),
        (ago(30), False),
    ],
)
def test_a_silence_is_shared_that_began_within_half_a_stale_time(
    heard: datetime, shares: bool
) -> None:
    found = silent_together("u1", {"u1": ago(70), "u2": heard}, HEARS, NOW, STALE)
    assert found == SilentTogether(1 + shares, 2)
