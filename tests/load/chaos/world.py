"""How much happens in a simulated run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Likelihoods are per tick, or per round where a round is named."""

    seed: int = 1
    unicorns: int = 25
    seconds: float = 150.0
    arrival: float = 0.1
    step: float = 0.05
    cancel: float = 0.005
    lost_jobs: float = 0.03
    lost_redis: float = 0.02
    arrival_while_reading: float = 0.2
    second_round: float = 0.2
