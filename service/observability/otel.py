"""Traces by the OpenTelemetry SDK. Its `OTEL_…` variables configure it, except for the endpoint and
the time limit of an export.

A thread sends spans in batches over OTLP/HTTP. Spans that it cannot send are dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from service.memory import BoundedMemory

KINDS: Final = {
    "internal": trace.SpanKind.INTERNAL,
    "server": trace.SpanKind.SERVER,
    "producer": trace.SpanKind.PRODUCER,
    "consumer": trace.SpanKind.CONSUMER,
}
EXPORT_SECONDS: Final = 2.0
"""Time limit for sending a batch of spans. A collector that does not answer delays the end of a
process by this time, so it is shorter than the SDK's 10 s."""
MOST_REMEMBERED: Final = 10_000
"""A process remembers the spans of at most this many waiting rides, so its memory is bounded."""


class Tracing:
    """One process's tracer."""

    def __init__(self, role: str, collector_url: str) -> None:
        # OTEL_SERVICE_NAME takes precedence over this attribute.
        resource = Resource.create({"service.name": f"wildrydes-{role}"})
        # The path that the SDK itself appends for traces (OTLP/HTTP).
        exporter = OTLPSpanExporter(
            f"{collector_url.rstrip('/')}/v1/traces", timeout=EXPORT_SECONDS
        )
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("wildrydes")
        self._context = TraceContextTextMapPropagator()
        self._origins: BoundedMemory[str, str] = BoundedMemory(MOST_REMEMBERED)

    @contextmanager
    def span(
        self, name: str, of_ride: str, kind: str, carrier: Mapping[str, str]
    ) -> Iterator[None]:
        parent = self._context.extract(carrier) if carrier else None
        attributes = {"ride_id": of_ride} if of_ride else {}
        links = self._links(of_ride) if of_ride else ()
        with self._tracer.start_as_current_span(
            name, context=parent, kind=KINDS[kind], attributes=attributes, links=links
        ):
            yield

    def describe(self, attributes: Mapping[str, str | int]) -> None:
        trace.get_current_span().set_attributes(attributes)

    def carrier(self) -> dict[str, str]:
        carried: dict[str, str] = {}
        self._context.inject(carried)
        return carried

    def remember(self, ride_id: str, traceparent: str) -> None:
        self._origins[ride_id] = traceparent

    def shutdown(self) -> None:
        self._provider.shutdown()

    def _links(self, ride_id: str) -> Sequence[trace.Link]:
        origin = self._origins.take(ride_id)
        if origin is None:
            return ()
        came_with = self._context.extract({"traceparent": origin})
        context = trace.get_current_span(came_with).get_span_context()
        same = context.trace_id == trace.get_current_span().get_span_context().trace_id
        return () if same or not context.is_valid else (trace.Link(context),)
