"""Traces across processes: from the request, through the broker, to the claim.

Off unless `OTEL_EXPORTER_OTLP_ENDPOINT` is set. While off, OpenTelemetry is not imported and a span
costs one function call. Spans hold routes, zones and ids, but no text of a rider.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Final

from service.settings import Settings

if TYPE_CHECKING:
    from service.observability.otel import Tracing

Carrier = Mapping[str, str]
"""Headers that carry a span's identity (W3C Trace Context: `traceparent`)."""

NOTHING: Final[Carrier] = {}
_NO_SPAN: Final[AbstractContextManager[None]] = nullcontext()

_tracing: Tracing | None = None


def begin(settings: Settings, role: str) -> None:
    """Start tracing if the settings say so. Call once per process, after any fork."""
    global _tracing
    if settings.otel_exporter_otlp_endpoint:
        from service.observability.otel import Tracing

        _tracing = Tracing(role, settings.otel_exporter_otlp_endpoint)


def end() -> None:
    """Send the remaining spans and stop; for processes that do not end by Python's own exit."""
    global _tracing
    ending, _tracing = _tracing, None
    if ending:
        ending.shutdown()


def is_on() -> bool:
    return _tracing is not None


def span(
    name: str, *, of_ride: str = "", kind: str = "internal", carrier: Carrier = NOTHING
) -> AbstractContextManager[None]:
    """A span around the block: a child of the carrier's span, or else of this thread's current one.

    With `of_ride`, the span is linked to the request of that ride, which may be in another trace,
    because under load many requests share one job.
    """
    return _tracing.span(name, of_ride, kind, carrier) if _tracing else _NO_SPAN


def describe(**attributes: str | int) -> None:
    """Add attributes to the current span."""
    if _tracing:
        _tracing.describe(attributes)


def carrier() -> dict[str, str]:
    """The headers by which another process continues the current span; empty without a span."""
    return _tracing.carrier() if _tracing else {}


def remember(ride_id: str, traceparent: str | None) -> None:
    """Remember the span of a ride's request, so that the span of its claim can be linked to it."""
    if _tracing and traceparent:
        _tracing.remember(ride_id, traceparent)
