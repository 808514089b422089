"""What staff reads of workers and of the pause."""

from __future__ import annotations

from datetime import timedelta

from service.model.operations import DispatchState, Heartbeat, WorkerState
from tests.support.builders import NOW

HEARTBEAT = Heartbeat(
    host="worker-1",
    pid=7,
    version="1.0",
    started_at=NOW,
    beat_at=NOW,
    active=1,
    done=2,
    failed=0,
    memory_bytes=4,
)


def test_a_worker_that_missed_four_beats_is_lost() -> None:
    assert HEARTBEAT.state_at(NOW + timedelta(seconds=8)) is WorkerState.RUNNING
    assert HEARTBEAT.state_at(NOW + timedelta(seconds=8.001)) is WorkerState.LOST


def test_a_worker_is_named_among_all_machines() -> None:
    assert HEARTBEAT.worker_id == "worker-1:7"


def test_a_pause_covers_its_zones_or_everything() -> None:
    assert DispatchState(zones=frozenset({"a"})).is_paused("a")
    assert not DispatchState(zones=frozenset({"a"})).is_paused("b")
    assert DispatchState(everywhere=True).is_paused("b")
