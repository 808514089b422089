"""The sweep handles every open ride that is due, whatever was lost before."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest.mock import Mock

import pytest

from service.core.sweep import Swept, sweep
from service.core.timeouts import handle_due
from service.core.unicorns import Step
from service.model import Pairing, RideStatus, UnicornState
from service.model.errors import Unavailable
from tests.support.service import PICKUP, Service


def run(service: Service, after_seconds: float) -> None:
    service.later(after_seconds)
    sweep(service.ports, service.now)
    service.run_published_rounds()


@pytest.fixture(autouse=True)
def an_epoch_long_ago(service: Service) -> None:
    service.fleet.begin_epoch(service.now)


def test_a_ride_whose_job_was_lost_is_matched_after_the_first_retry(service: Service) -> None:
    service.on_duty()
    ride = service.request()
    service.forget_waiting()
    run(service, 1)
    assert service.stored(ride).status is RideStatus.REQUESTED
    run(service, 2)
    assert service.stored(ride).status is RideStatus.MATCHED


def test_a_ride_that_no_unicorn_can_take_is_tried_again_until_its_deadline(
    service: Service,
) -> None:
    ride = service.request()
    for _ in range(59):
        run(service, 3)
    assert service.stored(ride).status is RideStatus.REQUESTED
    run(service, 5)
    ended = service.stored(ride)
    assert (ended.status, ended.due_at) == (RideStatus.UNMATCHED, None)


def test_the_last_try_is_at_the_deadline_and_not_after(service: Service) -> None:
    ride = service.request()
    service.now = ride.deadline_at - timedelta(seconds=0.5)
    sweep(service.ports, service.now)
    assert service.stored(ride).due_at == ride.deadline_at


def test_a_planned_ride_is_due_last_when_its_plan_runs_out(service: Service) -> None:
    ride = service.request()
    end = service.ports.rules.ends_at(ride, planned=True)
    service.now = end - timedelta(seconds=0.5)
    service.waiting.plans[ride.zone] = {ride.ride_id: Pairing(ride.ride_id, "u1", 60, 500)}
    sweep(service.ports, service.now)
    assert service.stored(ride).due_at == end


def test_a_ride_with_a_plan_outlives_its_deadline(service: Service) -> None:
    ride = service.request()
    service.later(200)
    service.waiting.plans[ride.zone] = {ride.ride_id: Pairing(ride.ride_id, "u1", 60, 500)}
    sweep(service.ports, service.now)
    assert service.stored(ride).status is RideStatus.REQUESTED
    service.waiting.plans.clear()
    run(service, 5)
    assert service.stored(ride).status is RideStatus.UNMATCHED


def test_an_expired_offer_frees_both_sides_for_others(service: Service) -> None:
    ride = service.matched(auto_accept=False)
    run(service, 14)
    assert service.stored(ride).status is RideStatus.OFFERED
    service.later(2)
    sweep(service.ports, service.now)
    back = service.stored(ride)
    assert back.status is RideStatus.REQUESTED
    assert (back.excluded, back.missed_by) == (frozenset(), {"u1"})
    assert back.deadline_at == ride.deadline_at
    assert service.stored_unicorn().state is UnicornState.AVAILABLE


def test_a_new_redis_ends_no_offer_before_its_time(service: Service) -> None:
    ride = service.matched(auto_accept=False)
    service.fleet.epoch = None
    service.later(14)
    sweep(service.ports, service.now)
    assert service.stored(ride).status is RideStatus.OFFERED


def test_the_due_time_of_a_ride_moves_once_a_minute_at_most_and_rarely_during_its_trip(
    service: Service,
) -> None:
    def looks(seconds: int) -> int:
        seen = set()
        for _ in range(seconds // 4):
            service.drives_to(PICKUP)
            run(service, 4)
            seen.add(service.stored(ride).due_at)
        return len(seen)

    ride = service.matched()
    assert looks(580) <= 11
    service.takes(ride, Step.ARRIVE, Step.START)
    assert looks(1200) <= 2


def test_a_ride_in_progress_ends_after_more_than_half_an_hour_of_silence(service: Service) -> None:
    service.fleet.begin_epoch(service.now)
    ride = service.matched()
    ride = service.takes(ride, Step.ARRIVE, Step.START)
    service.fleet.hear("u1", service.now)
    now = service.later(30 * 60)
    assert handle_due(service.ports, ride, now) == now + timedelta(seconds=1)
    assert handle_due(service.ports, ride, service.later(0.001)) is None
    assert service.stored(ride).status is RideStatus.CANCELED


def test_a_new_redis_is_refilled_at_once_and_no_unicorn_looks_silent() -> None:
    service = Service()
    ride, waiting = service.matched(), service.request("rider-2")
    service.forget_waiting()
    service.later(1)
    sweep(service.ports, service.now)
    assert waiting.ride_id in service.waiting.rides[waiting.zone]
    service.later(3600)
    assert service.stored(ride).status is RideStatus.MATCHED


def test_two_sweeps_at_once_publish_one_job(service: Service) -> None:
    service.request()
    service.forget_waiting()
    service.later(3)
    sweep(service.ports, service.now)
    service.waiting.marks.clear()
    sweep(service.ports, service.now)
    assert len(service.rounds.published) == 1


def test_a_sweep_that_runs_out_of_time_leaves_the_rest_to_the_next(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.core.sweep.BATCH_RIDES", 2)
    one_shard(service)
    rides = [service.request(f"rider-{number}") for number in range(5)]
    service.forget_waiting()
    service.later(3)
    answers = iter([True, True, False])
    assert sweep(service.ports, service.now, lambda: next(answers)).rides == 4
    assert set(service.waiting.rides[rides[0].zone]) == {ride.ride_id for ride in rides[:4]}
    assert sweep(service.ports, service.now).rides == 1
    assert sweep(service.ports, service.now).rides == 0


def one_shard(service: Service) -> None:
    """All rides are due in the order of their requests."""
    service.rides.shards = ("all",)


class Poison(Exception):
    """A defect that one ride brings to light."""


def poison(service: Service, monkeypatch: pytest.MonkeyPatch, ids: set[str], port: str) -> None:
    """Each call of this method with one of these rides fails."""
    owner = service.waiting if port == "add" else service.rides
    method = getattr(owner, port)

    def failing(*args: Any, **options: Any) -> object:
        if any(ride_id in repr(args) for ride_id in ids):
            raise Poison(port)
        return method(*args, **options)

    monkeypatch.setattr(owner, port, failing)


@pytest.mark.parametrize("port", ["save", "add"])
def test_rides_whose_step_always_fails_hold_up_no_other_ride(
    service: Service, monkeypatch: pytest.MonkeyPatch, port: str
) -> None:
    poisoned = {service.request(f"bad-{number}").ride_id for number in range(60)}
    poison(service, monkeypatch, poisoned, port)
    service.later(1)
    healthy = [service.request(f"good-{number}") for number in range(60)]
    service.later(200 if port == "save" else 3)
    service.waiting.rides.clear()
    monkeypatch.setattr("service.core.sweep.MOST_DUE", 10)
    for _ in range(8):
        sweep(service.ports, service.now)
    for ride in healthy:
        ended = service.stored(ride).status is RideStatus.UNMATCHED
        assert ended or ride.ride_id in service.waiting.rides[ride.zone]


def test_a_ride_whose_step_fails_is_put_back_twice_as_late_each_time(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    ride = service.request()
    poison(service, monkeypatch, {ride.ride_id}, "save")
    service.later(180)
    pauses = []
    for _ in range(6):
        sweep(service.ports, service.now)
        due_at = service.stored(ride).due_at
        assert due_at
        pauses.append((due_at - service.now).total_seconds())
        service.now = due_at
    assert pauses == [4, 8, 16, 32, 60, 60]
    monkeypatch.undo()
    sweep(service.ports, service.now)
    assert service.stored(ride).status is RideStatus.UNMATCHED


def test_a_look_that_succeeds_resets_the_count_of_failures(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    ride = service.request()
    poison(service, monkeypatch, {ride.ride_id}, "add")
    run(service, 3)
    assert service.stored(ride).failed_looks == 1
    monkeypatch.undo()
    run(service, 4)
    assert service.stored(ride).failed_looks == 0


def test_deadlines_and_expiries_come_before_rides_that_only_wait(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_shard(service)
    offered = service.matched(auto_accept=False)
    service.later(12)
    for number in range(30):
        service.request(f"rider-{number}")
    service.later(4)
    monkeypatch.setattr("service.core.sweep.MOST_DUE", 10)
    time_left = iter([True])
    sweep(service.ports, service.now, lambda: next(time_left, False))
    assert service.stored(offered).status is RideStatus.REQUESTED


def test_with_a_slow_store_a_sweep_works_for_as_long_as_it_read(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep works on the rides for as long as reading them took, even beyond its budget."""
    one_shard(service)
    for number in range(9):
        service.request(f"rider-{number}")
    service.later(200)
    due, save, clock = service.rides.due_in_batches, service.rides.save, [0.0]

    def slowly(*args: Any) -> Any:
        for rides in due(*args):
            clock[0] += 5
            yield rides

    def end(*args: Any) -> None:
        clock[0] += 1
        save(*args)

    monkeypatch.setattr(service.rides, "due_in_batches", slowly)
    monkeypatch.setattr(service.rides, "save", end)
    swept = sweep(service.ports, service.now, lambda: clock[0] < 2, monotonic=lambda: clock[0])
    assert swept == Swept(shards=1, rides=5)


def test_when_time_is_up_at_most_one_batch_was_read_in_vain(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_shard(service)
    monkeypatch.setattr("service.core.sweep.BATCH_RIDES", 2)
    for number in range(9):
        service.request(f"rider-{number}")
    service.later(200)
    due, read = service.rides.due_in_batches, list[int]()

    def counted(*args: Any) -> Any:
        for rides in due(*args):
            read.append(len(rides))
            yield rides

    monkeypatch.setattr(service.rides, "due_in_batches", counted)
    left = iter([True, True, True])
    assert sweep(service.ports, service.now, lambda: next(left, False)).rides == 3
    assert sum(read) == 4


def test_rides_that_are_well_are_postponed_together(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_shard(service)
    for number in range(30):
        service.on_duty(f"u{number}")
        service.request(f"rider-{number}")
    service.run_published_rounds()
    service.later(601)
    for number in range(30):
        service.drives_to(PICKUP, f"u{number}")
    postpone_all = Mock(wraps=service.rides.postpone_all)
    monkeypatch.setattr(service.rides, "postpone_all", postpone_all)
    sweep(service.ports, service.now)
    assert [len(call.args[0]) for call in postpone_all.call_args_list] == [30]
    assert not service.rides.due(service.now, 99)


def test_a_backlog_calls_for_help_once_and_only_unlocked_shards_are_swept(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    rides = [service.request(f"rider-{number}") for number in range(80)]
    service.waiting.rides.clear()
    service.later(3)
    monkeypatch.setattr("service.core.sweep.BATCH_RIDES", 2)
    monkeypatch.setattr("service.core.sweep.HELP_AFTER_RIDES", 4)
    calls: list[str] = []
    service.rides.shards = ("0", "1", "2", "3", "4", "5", "6", "7")
    mine = set(service.rides.shards[:3])
    swept = sweep(
        service.ports,
        service.now,
        lock=lambda shard: nullcontext(shard in mine),
        call_for_help=lambda: calls.append("help"),
    )
    assert (swept.shards, len(calls)) == (3, 1)
    seen = service.waiting.rides[rides[0].zone]
    assert {service.rides.shard_of(ride_id) for ride_id in seen} == mine


def test_a_sweep_that_a_run_can_handle_calls_for_no_help(service: Service) -> None:
    service.request()
    service.later(3)
    calls: list[str] = []
    assert sweep(service.ports, service.now, call_for_help=lambda: calls.append("help")).rides == 1
    assert calls == []


def test_a_planned_ride_ends_when_its_plan_runs_out(service: Service) -> None:
    """It ends then although its unicorn seems to need only a little longer."""
    service.on_duty()
    busy = service.request(dropoff=PICKUP)
    service.run_published_rounds()
    planned = service.request("rider-2")
    hard_end = planned.deadline_at + service.ports.rules.plan_extends
    while service.now < hard_end:
        service.drives_to(PICKUP)
        sweep(service.ports, service.now)
        service.run_published_rounds()
        if service.now >= planned.deadline_at:
            assert service.waiting.plan_of(planned.zone, planned.ride_id)
        assert service.stored(planned).status is RideStatus.REQUESTED
        service.waiting.marks.clear()
        service.later(3)
    sweep(service.ports, service.now)
    assert service.stored(planned).status is RideStatus.UNMATCHED
    assert service.stored(busy).status is RideStatus.MATCHED


def test_no_round_takes_a_ride_that_is_past_its_end(service: Service) -> None:
    ride = service.request()
    service.later(181)
    service.on_duty()
    service.dispatcher.run(ride.zone, "")
    assert service.stored(ride).status is RideStatus.REQUESTED
    sweep(service.ports, service.now)
    assert service.stored(ride).status is RideStatus.UNMATCHED


@pytest.mark.parametrize(
    ("error", "level"), [(Unavailable("away"), "WARNING"), (ValueError("a defect"), "ERROR")]
)
def test_a_store_that_is_away_is_logged_as_a_warning_and_a_defect_as_an_error(
    service: Service, caplog: pytest.LogCaptureFixture, error: Exception, level: str
) -> None:
    service.on_duty()
    service.request()
    service.run_published_rounds()
    service.later(3600)
    away = Mock(wraps=service.rides, shards=service.rides.shards, **{"postpone.side_effect": error})
    blind = Mock(wraps=service.fleet, **{"entries.side_effect": error})
    sweep(replace(service.ports, rides=away, fleet=blind), service.now)
    assert [(each.levelname, each.message) for each in caplog.records] == [
        (level, "ride put back"),
        (level, "ride not put back"),
    ]
