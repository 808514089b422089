"""Numbers of the contract that other tests use by their names: a client sees when one changes."""

from __future__ import annotations

import inspect
from datetime import timedelta

from service.api import (
    fields,
    health,
    positions,
    staff_map,
    staff_operations,
    staff_rides,
    streams,
    workshop,
)
from service.auth import claims, gateway, iam, jwks, refresher, revocation, sts, verifier
from service.auth.schedule import Timing
from service.entrypoints import connection, crowds
from service.http import audit, bodies, cors, cursors, gate, headers, limits


def test_waits_and_streams_are_as_long_and_as_many_as_promised() -> None:
    assert (headers.LONGEST_WAIT_SECONDS, workshop.WAIT_SECONDS) == (30, 10)
    assert (gate.POLLS_PER_SUBJECT, gate.STREAMS_PER_SUBJECT) == (20, 5)
    assert (gate.SUPERSEDE_SECONDS, streams.COMMENT_SECONDS) == (10, 15)


def test_a_process_limits_itself_as_promised() -> None:
    assert (gate.PATIENCE_SECONDS, gate.SHARES) == (1, {"subject": 4, "address": 2})
    assert limits.MOST_COUNTED == 50_000
    assert health.PROBE_SECONDS < 1, "the answer of /readyz comes within a second"
    assert staff_operations.RECONCILE_SECONDS < 30, "balancers and gateways end longer requests"
    assert cors.PREFLIGHT_SECONDS == 600


def test_keys_tokens_and_revocations_live_as_long_as_promised() -> None:
    assert Timing() == Timing(
        soft=600,
        hard=6 * 3600,
        cooldown=5,
        deadline=3,
        first_retry=1,
        longest_retry=30,
        longest_absence=60,
    )
    assert (refresher.WAITING_AT_MOST, jwks.LARGEST_DOCUMENT_BYTES) == (32, 64 * 1024)
    assert (verifier.LONGEST_TOKEN, iam.LONGEST_CREDENTIAL) == (7 * 1024, 7 * 1024)
    assert (iam.OLDEST_SECONDS, sts.DEADLINE_SECONDS, sts.MOST_AT_ONCE) == (300, 3, 8)
    assert (gateway.CREDENTIALS_SECONDS, gateway.SIGNATURE_SECONDS) == (3600, 300)
    assert revocation.FRESH_SECONDS + revocation.PAUSE_SECONDS < 5, "in effect within 5 s"
    assert (claims.LONGEST_IDENTIFIER, claims.LONGEST_SESSION_SECONDS) == (256, 30 * 86_400)
    assert claims.AccessClaims(issuers=(), client_ids=()).leeway_seconds == 30
    defaults = {
        iam.IamVerifier: {"leeway_seconds": 30},
        jwks.Endpoint: {"deadline_seconds": 3},
        verifier.TokenVerifier: {"remembered_tokens": 10_000},
    }
    for part, expected in defaults.items():
        parameters = inspect.signature(part).parameters
        assert {name: parameters[name].default for name in expected} == expected
    assert (jwks.SMALLEST_KEY_BITS, jwks.LARGEST_KEY_BITS) == (2048, 4096)
    assert (1024, range(342, 684)) == (verifier.LONGEST_HEADER, verifier._SIGNATURE_LENGTHS)


def test_bodies_and_lists_are_as_long_as_promised() -> None:
    assert (bodies.BODY_LIMIT, positions.BULK_LIMIT) == (16 * 1024, 128 * 1024)
    assert (bodies.FAULTS_NAMED, workshop.LISTED) == (50, 100)
    assert (fields.PageQuery().limit, staff_map.Oldest().limit) == (20, 20)
    assert timedelta(days=1) == staff_rides.LISTED
    assert timedelta(seconds=30) == staff_rides.CLOCK_SKEW
    assert (audit._LONGEST_CAUSE, audit._LONGEST_ADDRESS) == (200, 64)
    assert (cursors._CODE_BYTES, fields._SMALLEST_DEGREES) == (16, 1e-9)
    assert limits.UNITS == {"second": 1, "minute": 60, "hour": 3600}


def test_connections_are_limited_as_promised() -> None:
    assert (connection.REQUEST_SECONDS, connection.ANSWER_SECONDS) == (5, 10)
    assert connection.HEAD_BYTES == 32 * 1024
    assert (crowds.CROWD, crowds.PAUSE_SECONDS, crowds.PATIENCE_SECONDS) == (100, 0.005, 0.05)
