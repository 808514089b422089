"""One trace from the request over the broker to the claim, sent to a real collector."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest
import redis

from service.matching.zones import zone_of
from service.model import Location
from service.stores.redis import keys
from tests.support.infrastructure import PROJECT, MiniStack, wait_until
from tests.support.otlp_server import Collector, SeenSpan
from tests.support.stack import Stack, stack_with_redis

HERE = {"latitude": 40.7128, "longitude": -74.0060}
NOTE = "by the fountain, ask for Rosalind"
POST = "POST /v1/rides"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, ministack: MiniStack, collector: Collector
) -> Iterator[Stack]:
    # No beat, because a ride that the sweep brings has lost its trace.
    with stack_with_redis(
        tmp_path_factory.mktemp("traces"),
        ministack,
        roles=("web", "worker"),
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_BSP_SCHEDULE_DELAY="100",
    ) as stack:
        yield stack


def request_ride(stack: Stack, **headers: str) -> str:
    rider = stack.rider_token(f"rider-{uuid.uuid4()}")
    body = {"pickup": HERE, "note": NOTE}
    answer = stack.call("POST", "/v1/rides", body, token=rider, **headers)
    assert answer.status in {201, 202}, answer.body
    return str(answer.json["ride_id"])


def claim_of(collector: Collector, ride_id: str) -> SeenSpan:
    def found() -> list[SeenSpan]:
        return [c for c in collector.spans("claim") if ride_id in c.attributes["ride_id"]]

    wait_until(found, "the claim's span")
    return found()[0]


def in_trace(collector: Collector, name: str, trace_id: str) -> SeenSpan:
    def found() -> list[SeenSpan]:
        return [span for span in collector.spans(name) if span.trace_id == trace_id]

    wait_until(found, f"the span {name} of the trace")
    return found()[0]


def test_one_trace_leads_from_the_request_to_the_claim(stack: Stack, collector: Collector) -> None:
    stack.on_duty(f"driver-{uuid.uuid4()}", HERE)
    trace_id, caller = uuid.uuid4().hex, "00f067aa0ba902b7"
    ride_id = request_ride(stack, traceparent=f"00-{trace_id}-{caller}-01", Prefer="wait=20")
    claim = claim_of(collector, ride_id)
    request, publish, job = (in_trace(collector, n, trace_id) for n in (POST, "publish", "round"))
    assert request.parent_id == caller
    assert publish.parent_id == request.span_id
    assert job.parent_id == publish.span_id
    assert (claim.trace_id, claim.parent_id) == (trace_id, job.span_id)
    assert [span.service for span in (request, publish, job, claim)] == [
        "wildrydes-web",
        "wildrydes-web",
        "wildrydes-worker",
        "wildrydes-worker",
    ]


def test_a_request_whose_trigger_was_coalesced_is_linked(
    stack: Stack, collector: Collector
) -> None:
    stack.on_duty(f"driver-{uuid.uuid4()}", HERE)
    stack.on_duty(f"driver-{uuid.uuid4()}", HERE)
    zone = zone_of(Location(**HERE))
    with redis.Redis.from_url(stack.redis.url) as client:
        # As if another request had asked for a round a moment ago.
        client.set(keys.mark(zone), "1", px=20_000)
        first_trace, second_trace = uuid.uuid4().hex, uuid.uuid4().hex
        first = request_ride(stack, traceparent=f"00-{first_trace}-00f067aa0ba902b7-01")
        client.delete(keys.mark(zone))
        second = request_ride(stack, traceparent=f"00-{second_trace}-00f067aa0ba902b7-01")
    claims = [claim_of(collector, ride_id) for ride_id in (first, second)]
    assert [claim.trace_id for claim in claims] == [second_trace, second_trace]
    assert [claim.links for claim in claims] == [(first_trace,), ()]


def test_spans_carry_nothing_a_rider_wrote(stack: Stack, collector: Collector) -> None:
    stack.on_duty(f"driver-{uuid.uuid4()}", HERE)
    claim_of(collector, request_ride(stack, Prefer="wait=20"))
    for name in (POST, "publish", "round", "claim"):
        for span in collector.spans(name):
            assert "Rosalind" not in str(span)


WITHOUT = """
import sys
from service.observability import traces
from service.settings import Settings
traces.begin(Settings(aws_region="x", redis_url="redis://x"), "web")
import service.api.app, worker.tasks
with traces.span("x"):
    assert traces.carrier() == {}
# What redis-py imports by itself, where it is installed, is the half about metrics.
unwanted = ("opentelemetry.sdk.trace", "opentelemetry.exporter", "google.protobuf")
sys.exit(", ".join(name for name in sys.modules if name.startswith(unwanted)) or None)
"""


def test_without_an_endpoint_no_tracer_is_imported() -> None:
    environment = {"AWS_REGION": "x", "REDIS_URL": "redis://127.0.0.1:1", "PATH": ""}
    command = [sys.executable, "-c", WITHOUT]
    assert subprocess.run(command, env=environment, cwd=PROJECT, check=False).returncode == 0
