"""Repositioning in the simulated city, by the service's own job."""

from __future__ import annotations

import random
import time
from collections import Counter, deque
from collections.abc import Collection, Mapping, Sequence

import h3

from service.matching.demand import PICKUP_RESOLUTION, Demand, Move
from service.matching.following import progress, trust_after
from service.matching.remaining import RemainingTime
from service.matching.repositioning import reposition
from service.matching.travel import TravelTimes
from service.matching.tuning import Repositioning
from service.model import FleetEntry, Location
from tests.load.bench.cabs import instant

STEP_SECONDS = 30.0


class Herding:
    """The recent demand, the advice, and the unicorns that follow it."""

    def __init__(self, knobs: Repositioning, obedience: float) -> None:
        self.knobs = knobs
        self._obedience = obedience
        self._requests: deque[tuple[float, str]] = deque()
        self._advice: dict[str, Move] = {}
        self._goal_by_unicorn: Mapping[str, str] = {}
        self._trust: Mapping[str, float] = {}
        self.steps: list[float] = []
        """CPU seconds of each step."""

    def note_request(self, pickup: Location, now: float) -> None:
        cell = h3.latlng_to_cell(pickup.latitude, pickup.longitude, PICKUP_RESOLUTION)
        self._requests.append((now, cell))

    def obeys(self, unicorn_id: str) -> bool:
        return random.Random(f"obeys {unicorn_id}").random() < self._obedience

    def step(
        self,
        fleet: Sequence[FleetEntry],
        planned: Collection[str],
        now: float,
        travel: TravelTimes,
        remaining: RemainingTime,
        trips: TravelTimes,
    ) -> Mapping[str, Location]:
        """Where to wait, by unicorn."""
        if now < self.knobs.rate_seconds:
            return {}
        began = time.process_time()
        seen = progress(list(self._advice.values()), fleet, STEP_SECONDS, travel)
        self._trust = trust_after(self._trust, seen)
        found = reposition(
            fleet,
            self._demand(now),
            instant(now),
            self.knobs,
            travel,
            remaining,
            trips,
            planned=planned,
            goal_by_unicorn=self._goal_by_unicorn,
            trust=self._trust,
        )
        self.steps.append(time.process_time() - began)
        self._goal_by_unicorn = found.goal_by_unicorn
        self._advice = {move.unicorn_id: move for move in found.moves}
        return {name: move.target for name, move in self._advice.items()}

    def _demand(self, now: float) -> Demand:
        while self._requests and self._requests[0][0] < now - self.knobs.remembered_seconds:
            self._requests.popleft()
        lately = sum(at >= now - self.knobs.rate_seconds for at, _ in self._requests)
        return Demand(Counter(cell for _, cell in self._requests), lately)
