"""How often one caller may come: limits per subject and per client address.

Each process counts for itself and tells Redis in batches, so that a request costs a round trip at
most every `SYNC_SECONDS`, not each. The price: callers who spread over several processes are found
out that much later. Spans of time are fixed and the same everywhere (the clock's minutes), so a
caller may come twice as often around the turn of one.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import limits

from service.model.errors import Unavailable
from service.settings import ApiSettings

logger = logging.getLogger(__name__)

SYNC_SECONDS: Final = 0.2
MOST_COUNTED: Final = 50_000
"""Callers counted at once per limit and process. If there are more, some are forgotten here, not
in Redis."""


class Counters(Protocol):
    """What all processes share (`service.stores.redis.limits`)."""

    def add(self, hits: Mapping[str, tuple[int, int]]) -> Mapping[str, int]: ...


@dataclass(slots=True)
class _Count:
    """`told`: what Redis said last, at least our own; `fresh`: ours since then."""

    told: int = 0
    fresh: int = 0

    def take(self) -> int:
        """What is to be told now."""
        taken, self.fresh = self.fresh, 0
        self.told += taken
        return taken


@dataclass(slots=True)
class Limit:
    """At most `amount` in a span of `seconds`; what this process knows of the current span."""

    name: str
    amount: int
    seconds: int
    policy: str
    """For `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers)."""
    _span: int = -1
    _counts: dict[str, _Count] = field(default_factory=dict)

    def hit(self, who: str, now: float) -> tuple[str, _Count]:
        """Count one more. Returns the counter and its name, which is another in the next span."""
        span = int(now) // self.seconds
        if span != self._span or len(self._counts) >= MOST_COUNTED:
            self._span, self._counts = span, {}
        count = self._counts.get(who)
        if count is None:
            count = self._counts[who] = _Count()
        count.fresh += 1
        return f"{self.name}:{span}:{who}", count

    def known(self, who: str, now: float) -> _Count:
        """What is counted in the current span; nothing is changed."""
        is_current = int(now) // self.seconds == self._span
        return self._counts.get(who, _Count()) if is_current else _Count()


def limit_of(name: str, text: str) -> Limit:
    """`text` as in the settings: `600/minute`."""
    item = limits.parse(text)
    seconds = item.get_expiry()
    return Limit(name, item.amount, seconds, f'"{name}";q={item.amount};w={seconds}')


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a caller stands with a limit."""

    limit: Limit
    used: int
    seconds_left: int

    @property
    def is_exceeded(self) -> bool:
        return self.used > self.limit.amount

    def headers(self) -> dict[str, str]:
        left = max(0, self.limit.amount - self.used)
        return {
            "RateLimit": f'"{self.limit.name}";r={left};t={self.seconds_left}',
            "RateLimit-Policy": self.limit.policy,
        }


class Limiter:
    """Limits of one process. Without Redis only failures are limited, by what it saw itself."""

    def __init__(self, counters: Counters, *, subject: str, address: str, failures: str) -> None:
        self._counters = counters
        self._subject = limit_of("subject", subject)
        self._address = limit_of("address", address)
        self._failures = limit_of("failures", failures)
        self._untold: dict[str, tuple[_Count, int]] = {}
        self._told_at = -math.inf
        self._is_shared = False

    def admitted(self, subject: str, address: str, now: float) -> Standing:
        """Count a request of somebody we know, who stands so afterwards.

        How busy others at the same address are is not shown, unless that is what stops it.
        """
        own = self._count(self._subject, subject, now)
        shared = self._count(self._address, address, now)
        self._tell(now)
        standing = self._standing(self._subject, own, now)
        neighbours = self._standing(self._address, shared, now)
        if not self._is_shared:
            return replace(standing, used=min(standing.used, self._subject.amount))
        return neighbours if neighbours.is_exceeded and not standing.is_exceeded else standing

    def refused(self, address: str, now: float) -> Standing:
        """Count a request that was not let in."""
        count = self._count(self._failures, address, now)
        self._tell(now)
        return self._standing(self._failures, count, now)

    def failures(self, address: str, now: float) -> Standing:
        """How an address stands with its refused requests, without counting one more."""
        count = self._failures.known(address, now)
        return self._standing(self._failures, count, now)

    def _count(self, limit: Limit, who: str, now: float) -> _Count:
        name, count = limit.hit(who, now)
        self._untold[name] = (count, limit.seconds)
        return count

    def _standing(self, limit: Limit, count: _Count, now: float) -> Standing:
        return Standing(limit, count.told + count.fresh, limit.seconds - int(now) % limit.seconds)

    def _tell(self, now: float) -> None:
        """Tell Redis what it does not know, and hear what others told it."""
        # The wall clock may be set back.
        if abs(now - self._told_at) < SYNC_SECONDS:
            return
        self._told_at = now
        news, self._untold = self._untold, {}
        hits = {name: (count.take(), seconds) for name, (count, seconds) in news.items()}
        try:
            answers = self._counters.add(hits)
        except Unavailable as error:
            self._lost(error)
            return
        self._is_shared = True
        for name, (count, _) in news.items():
            count.told = max(count.told, answers[name])

    def _lost(self, error: Unavailable) -> None:
        if self._is_shared:
            logger.warning("rate limits suspended", extra={"cause": str(error)})
        self._is_shared = False


def limiter_of(settings: ApiSettings, counters: Counters) -> Limiter | None:
    """The limits of the settings; none if they are off."""
    if not settings.rate_limit_enabled:
        return None
    return Limiter(
        counters,
        subject=settings.rate_limit_subject,
        address=settings.rate_limit_address,
        failures=settings.rate_limit_failures,
    )
