"""What this process counts, for Prometheus. Names and labels never come from a client."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge

REFUSALS: Final = Counter(
    "wildrydes_refusals", "Requests that were not let in, by reason.", ["reason"]
)
KEY_SET_AGE: Final = Gauge(
    "wildrydes_key_set_age_seconds", "Since the token issuer's keys were last fetched."
)
