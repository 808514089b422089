"""A collector for tests: takes spans over OTLP/HTTP and keeps them."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.support.local_server import LocalServer, QuietHandler


@dataclass(frozen=True)
class SeenSpan:
    """What a test looks at of a span."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    links: tuple[str, ...]
    """Ids of the linked traces."""
    attributes: dict[str, str]


class Collector(LocalServer):
    """Listens on a free port of 127.0.0.1; a context manager."""

    def __init__(self) -> None:
        self._spans: list[SeenSpan] = []
        collector = self

        class Handler(QuietHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                collector._spans.extend(_read(body))
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.end_headers()
                self.wfile.write(ExportTraceServiceResponse().SerializeToString())

        super().__init__(Handler, clients_keep_alive=True)

    def spans(self, name: str) -> Sequence[SeenSpan]:
        return [span for span in tuple(self._spans) if span.name == name]


def _read(body: bytes) -> list[SeenSpan]:
    request = ExportTraceServiceRequest.FromString(body)
    return [
        SeenSpan(
            service=next(
                each.value.string_value
                for each in batch.resource.attributes
                if each.key == "service.name"
            ),
            name=span.name,
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(),
            links=tuple(link.trace_id.hex() for link in span.links),
            attributes={each.key: str(each.value) for each in span.attributes},
        )
        for batch in request.resource_spans
        for scope in batch.scope_spans
        for span in scope.spans
    ]
