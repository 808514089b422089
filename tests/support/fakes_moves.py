"""What repositioning remembers, in memory, for tests whose unit is pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from service.core.ports import LastRun, Outlook
from service.model import Advice
from service.stores.redis.moves import QUARTER, REMEMBERED
from tests.support.fakes_redis import FakeFleetIndex, FakeWaitingRides


class FakeMoves:
    """`MoveMemory` in memory, beside the fleet that is told and the rides that wait."""

    def __init__(
        self, fleet: FakeFleetIndex | None = None, waiting: FakeWaitingRides | None = None
    ) -> None:
        self._fleet = fleet or FakeFleetIndex()
        self._waiting = waiting or FakeWaitingRides()
        self.runs: dict[str, LastRun] = {}
        self.told: dict[str, Sequence[Advice]] = {}

    def zones(self, now: datetime) -> Sequence[str]:
        requests = self._waiting.requests.items()
        return sorted({zone for (zone, *_), each in requests if each.at > now - REMEMBERED})

    def outlook(self, zone: str, now: datetime) -> Outlook:
        here = int(now.timestamp()) // QUARTER
        return Outlook(
            requests=[
                each
                for (of, quarter, _), each in self._waiting.requests.items()
                if of == zone and quarter in {here - 1, here}
            ],
            planned=frozenset(
                plan.unicorn_id for plan in self._waiting.plans.get(zone, {}).values()
            ),
            last=self.runs.get(zone),
            since=self._fleet.epoch,
        )

    def advise(self, zone: str, run: LastRun, advice: Sequence[Advice]) -> None:
        for each in self.told.get(zone, ()):
            self._fleet.advice.pop(each.unicorn_id, None)
        self.runs[zone], self.told[zone] = run, advice
        self._fleet.advice.update((each.unicorn_id, each) for each in advice)

    def advised(self, zones: Collection[str], now: datetime) -> Sequence[Advice]:
        found = [each for zone in zones for each in self.told.get(zone, ()) if each.holds(now)]
        return sorted(found, key=lambda each: each.unicorn_id)
