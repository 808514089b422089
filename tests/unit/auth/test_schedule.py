"""When keys are fetched, in numbers."""

from __future__ import annotations

from service.auth.schedule import ABSENT_KIDS, AbsentKids, Schedule, Timing

TIMING = Timing()


def least(low: float, high: float) -> float:
    return low


def most(low: float, high: float) -> float:
    return high


def test_the_first_fetch_is_due_at_once() -> None:
    schedule = Schedule(TIMING, most)
    assert schedule.due_at < 0
    assert schedule.may_seek(0.0)


def test_a_good_fetch_is_repeated_before_the_set_is_stale_each_process_at_its_own_time() -> None:
    for jitter, due_at in ((least, 480.0), (most, 570.0)):
        schedule = Schedule(TIMING, jitter)
        schedule.started(0.0)
        schedule.succeeded(0.0)
        assert schedule.due_at == due_at < TIMING.soft


def test_the_cooldown_counts_from_the_attempt() -> None:
    schedule = Schedule(TIMING, most)
    schedule.started(100.0)
    schedule.succeeded(102.0)
    assert not schedule.may_seek(104.9)
    assert schedule.may_seek(105.0)


def test_failures_back_off_exponentially_up_to_a_limit_and_a_success_ends_it() -> None:
    schedule = Schedule(TIMING, most)
    waits = []
    for _ in range(7):
        schedule.started(0.0)
        schedule.failed(0.0)
        waits.append(schedule.due_at)
    assert waits == [1, 2, 4, 8, 16, 30, 30]
    assert not schedule.may_seek(29.9)
    schedule.succeeded(0.0)
    schedule.failed(0.0)
    assert schedule.due_at == 1


def test_a_thousand_failures_do_not_overflow() -> None:
    schedule = Schedule(TIMING, least)
    for _ in range(2000):
        schedule.failed(0.0)
    assert schedule.due_at == 30 * 0.75


def test_retry_after_is_the_time_to_the_next_attempt_in_whole_seconds() -> None:
    schedule = Schedule(TIMING, most)
    assert schedule.retry_after(0.0) == 1
    for _ in range(3):
        schedule.failed(10.0)
    assert schedule.retry_after(10.5) == 4
    assert schedule.retry_after(20.0) == 1


def test_an_absent_kid_is_left_alone_for_as_long_as_it_was_already_sought() -> None:
    absent = AbsentKids(TIMING)
    now = 0.0
    pauses = []
    for _ in range(6):
        absent.add("old", now)
        began = now
        while absent.holds("old", now):
            now += 1
        pauses.append(now - began)
    assert pauses == [5, 10, 20, 40, 60, 60]
    assert not absent.holds("other", 0.0)


def test_a_flood_of_absent_kids_pushes_out_the_oldest() -> None:
    absent = AbsentKids(TIMING)
    for number in range(ABSENT_KIDS + 1):
        absent.add(f"kid-{number}", 0.0)
    assert not absent.holds("kid-0", 0.0)
    assert absent.holds("kid-1", 0.0)
    assert absent.holds(f"kid-{ABSENT_KIDS}", 0.0)
