"""The lease of a job on a zone, with the fenced reads and writes of its rounds.

`waiting` beside this module explains mark and lease. Every script first checks that no other job
holds the lease.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

from service.core.ports import LeaseLost, PlaceInLine, WaitingZone
from service.model import Pairing, Ride
from service.model.errors import Unavailable
from service.observability import traces
from service.observability.instruments import ROUND_RIDES, ROUND_SECONDS, TRIGGER_LAG
from service.stores.entries import (
    UnknownSchema,
    dump_place,
    dump_plan,
    load_place,
    load_plan,
    load_waiting_ride,
    note_unreadable,
    readable,
    trace_of,
)
from service.stores.records import UNREADABLE
from service.stores.redis import keys, scripts
from service.stores.redis.link import RedisLink

logger = logging.getLogger(__name__)

LEASE_MS: Final = 2000
"""How long a lease lasts, in milliseconds: twice a job's work budget. A holder that dies blocks its
zone for this long at most."""
RENEW_SECONDS: Final = LEASE_MS / 1000 / 4
"""How often the holder renews the lease. Two renewals in a row may fail: the third one is tried
after 1.5 s. A fourth would come at the moment at which the lease expires."""
RUNNING_MS: Final = 600_000
"""How long Redis keeps the list of a round's rides, in milliseconds. A zone with a waiting ride
never goes that long without a round."""
PLANS_MS: Final = 15_000
"""How long Redis keeps plans, in milliseconds: longer than the time between two rounds of a zone
with a waiting ride. Each round makes new plans."""

READ_BY_A_ROUND: Final = (
    keys.mark,
    keys.waiting,
    keys.plans,
    keys.running,
    keys.alone,
    keys.triggered,
    keys.resume,
)


class RedisRoundLease:
    """One job's lease on a zone. A thread renews it, because a claim may take longer than 2 s."""

    def __init__(self, link: RedisLink, zone: str, owner: str) -> None:
        self._link = link
        self._owner = owner
        self._began = 0.0
        self._report: dict[str, object] = {}
        self._suspects: set[str] | None = None
        """None until the first round begins."""
        self._over = threading.Event()
        self.zone = zone
        self._renewal = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._renewal.start()

    def begin_round(self) -> WaitingZone:
        self._began = time.perf_counter()
        rides, plans, suspects, triggered, resume = self._fenced(
            scripts.BEGIN_ROUND, READ_BY_A_ROUND, LEASE_MS, RUNNING_MS
        )
        self._observe(len(rides) // 2, triggered)
        self._suspects = set(suspects[::2])
        return WaitingZone(
            rides=self._readable_rides(_pairs(rides)),
            plans={
                ride_id: plan
                for ride_id, text in _pairs(plans)
                if (plan := readable("plan", load_plan, ride_id, text))
            },
            suspects={
                ride_id: int(count) if count.isdecimal() else 0
                for ride_id, count in _pairs(suspects)
            },
            resume_at=readable("plan", load_place, resume),
        )

    def finish_round(self, plans: Sequence[Pairing], resume_at: PlaceInLine | None) -> None:
        seconds = time.perf_counter() - self._began
        ROUND_SECONDS.observe(seconds)
        if self._report.get("rides"):
            # docker/ecs/scaling.yaml makes metrics from these fields.
            logger.info("round", extra={**self._report, "round_seconds": round(seconds, 4)})
        suspects = self._suspects or ()
        self._fenced(
            scripts.FINISH_ROUND,
            (keys.plans, keys.running, keys.resume),
            PLANS_MS,
            RUNNING_MS,
            dump_place(resume_at) if resume_at else "",
            len(suspects),
            *suspects,
            *(part for plan in plans for part in (plan.ride_id, dump_plan(plan))),
        )

    def try_alone(self, ride_id: str) -> None:
        self._fenced(scripts.TRY_ALONE, (keys.alone,), ride_id, RUNNING_MS)

    def clear(self, ride_id: str) -> None:
        self._fenced(scripts.CLEAR_SUSPECT, (keys.running, keys.alone), ride_id)
        if self._suspects:
            self._suspects.discard(ride_id)

    def release_unless_marked(self) -> bool:
        left = bool(self._call(scripts.LEAVE_LEASE, (keys.mark,)))
        if left:
            self._over.set()
        return left

    def release(self) -> None:
        self._give_back(0)

    def release_after_error(self) -> None:
        self._give_back(0) if self._suspects is None else self._give_back(1, *self._suspects)

    def _give_back(self, *failed: object) -> None:
        self._over.set()
        self._call(scripts.RELEASE_LEASE, (keys.mark, keys.running), *failed)

    def _renew(self) -> None:
        while not self._over.wait(RENEW_SECONDS):
            with suppress(Unavailable):
                if not self._call(scripts.RENEW_LEASE, (keys.mark,), LEASE_MS):
                    return

    def _fenced(self, script: str, names: tuple[keys.OfZone, ...], *args: Any) -> Any:
        answer = self._call(script, names, *args)
        if answer is None:
            raise LeaseLost(f"another job has the lease of zone {self.zone}")
        return answer

    def _call(self, script: str, names: tuple[keys.OfZone, ...], *args: Any) -> Any:
        of_zone = [name(self.zone) for name in (keys.lease, *names)]
        return self._link.run(script, of_zone, self._owner, *args)

    def _observe(self, rides: int, triggered: str | None) -> None:
        self._report = {"zone": self.zone, "rides": rides}
        ROUND_RIDES.observe(rides)
        if triggered and triggered.isdecimal():
            # The clocks of two machines may differ, so a negative lag counts as none.
            lag = max(0, now_ms() - int(triggered)) / 1000
            TRIGGER_LAG.observe(lag)
            self._report["trigger_lag_seconds"] = lag

    def _readable_rides(self, entries: Iterable[tuple[str, str]]) -> Sequence[Ride]:
        """The rides. An unreadable entry is dropped; the sweep adds its ride again.

        An entry of another release stays, for that release or the sweep.
        """
        rides, unreadable = [], []
        for ride_id, text in entries:
            try:
                rides.append(load_waiting_ride(self.zone, ride_id, text))
                if traces.is_on():
                    traces.remember(ride_id, trace_of(text))
            except UnknownSchema as error:
                logger.warning("waiting ride skipped", extra={"cause": repr(error)})
            except UNREADABLE as error:
                note_unreadable("ride", error)
                unreadable.append(ride_id)
        if unreadable:
            with self._link.use() as client:
                client.hdel(keys.waiting(self.zone), *unreadable)
        return rides


def _pairs(flat: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The (field, value) pairs of a hash from a script's flat list."""
    return zip(flat[::2], flat[1::2], strict=True)


def now_ms() -> int:
    return int(time.time() * 1000)
