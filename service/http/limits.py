"""Rate limits per subject and per client address.

Each process counts for itself, so the limits protect one process; a quota over all processes
belongs in a gateway or a firewall in front of them. Windows are fixed (the clock's minutes), so
around the turn of a minute a caller can make twice as many requests.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from cachetools import LRUCache

from service.settings import ApiSettings

MOST_COUNTED: Final = 50_000
"""A limit counts at most this many callers at once. A further caller replaces the one whose last
request is oldest."""

UNITS: Final = {"second": 1, "minute": 60, "hour": 3600}


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `amount` requests of one caller in a window of `seconds`."""

    name: str
    amount: int
    seconds: int
    _counts: LRUCache[str, tuple[int, int]] = field(default_factory=lambda: LRUCache(MOST_COUNTED))
    """The number of the window and the requests counted in it, by caller."""

    def count(self, who: str, now: float, *, more: int = 1) -> Standing:
        """Count `more` requests of a caller and return its standing. `now`: seconds since 1970."""
        window = int(now) // self.seconds
        last_window, used = self._counts.get(who, (window, 0))
        used = more + (used if last_window == window else 0)
        self._counts[who] = window, used
        return Standing(self, used, self.seconds - int(now) % self.seconds)


@dataclass(frozen=True, slots=True)
class Standing:
    """How much of a limit a caller has used in the current window."""

    limit: Limit
    used: int
    seconds_left: int

    @property
    def is_exceeded(self) -> bool:
        return self.used > self.limit.amount

    def headers(self) -> dict[str, str]:
        """As in draft-ietf-httpapi-ratelimit-headers."""
        name, left = self.limit.name, max(0, self.limit.amount - self.used)
        return {
            "RateLimit": f'"{name}";r={left};t={self.seconds_left}',
            "RateLimit-Policy": f'"{name}";q={self.limit.amount};w={self.limit.seconds}',
        }


class Limiter:
    """The limits of one process, as in the settings."""

    def __init__(self, settings: ApiSettings) -> None:
        self._subject = _limit("subject", settings.rate_limit_subject)
        self._address = _limit("address", settings.rate_limit_address)
        self._failures = _limit("failures", settings.rate_limit_failures)

    def admitted(self, subject: str, address: str, now: float) -> Standing:
        """Count an authenticated request and return the caller's standing.

        The standing of the address, which others share, is returned only if the address has
        exceeded its limit and the caller has not.
        """
        own = self._subject.count(subject, now)
        shared = self._address.count(address, now)
        return shared if shared.is_exceeded and not own.is_exceeded else own

    def refused(self, address: str, now: float) -> Standing:
        """Count a refused request of an address."""
        return self._failures.count(address, now)

    def failures(self, address: str, now: float) -> Standing:
        """The standing of an address by its refused requests; counts nothing."""
        return self._failures.count(address, now, more=0)


def limiter_of(settings: ApiSettings) -> Limiter | None:
    """The limits of the settings; None if they are off."""
    return Limiter(settings) if settings.rate_limit_enabled else None


def _limit(name: str, text: str) -> Limit:
    """The limit of a setting, such as `600/minute`."""
    amount, unit = text.split("/")
    return Limit(name, int(amount), UNITS[unit])
