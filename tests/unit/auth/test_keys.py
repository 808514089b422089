"""The key set against a real endpoint that behaves in every bad way."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from service.auth.claims import AccessClaims
from service.auth.errors import AuthUnavailable, InvalidToken
from service.auth.jwks import BadKeySet, Endpoint
from service.auth.keys import KeySet, PinnedKeys
from service.auth.refresher import WAITING_AT_MOST, Refresher
from service.auth.schedule import Schedule, Timing
from service.auth.verifier import TokenVerifier
from service.entrypoints import gunicorn
from service.outbound import RequestFailed
from tests.support.key_server import KeyServer
from tests.support.token_mint import (
    CLIENT_ID,
    ISSUER,
    UPDATED_ISSUER,
    Mint,
    SigningKey,
    compact,
    jwks,
)

A, B = SigningKey("key-a"), SigningKey("key-b")
MINT_A, MINT_B = Mint(A), Mint(B)

PATIENT = Timing(deadline=60.0)
"""For an endpoint that hangs until the test lets it go."""
QUICK = Timing(soft=0.3, cooldown=0.2, deadline=5.0, first_retry=0.05, longest_retry=0.1)


class Clock:
    """The monotonic clock, and a way to let hours pass."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


class Pool:
    """A verifier on a key set on a server."""

    def __init__(self, server: KeyServer, timing: Timing) -> None:
        self.clock = Clock()
        self.keys = KeySet(
            Endpoint(server.url, deadline_seconds=timing.deadline), timing=timing, clock=self.clock
        )
        self.verifier = TokenVerifier(
            self.keys, AccessClaims(issuers=(ISSUER, UPDATED_ISSUER), client_ids=(CLIENT_ID,))
        )

    def verify(self, token: str) -> str:
        return self.verifier.verify(token, time.time()).subject

    def accepts(self, token: str) -> bool:
        try:
            return bool(self.verify(token))
        except InvalidToken:
            return False

    def warm(self) -> None:
        eventually(self.keys.ready)


@contextmanager
def pool_on(server: KeyServer, timing: Timing = PATIENT) -> Iterator[Pool]:
    pool = Pool(server, timing)
    try:
        yield pool
    finally:
        server.release()
        pool.keys.close()


@pytest.fixture
def server() -> Iterator[KeyServer]:
    with KeyServer(A) as server:
        yield server


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for what must come, without saying how soon."""
    while not condition():
        time.sleep(0.01)


def test_a_thousand_first_requests_share_one_fetch(server: KeyServer) -> None:
    tokens = [MINT_A.access_token() for _ in range(20)]
    start = threading.Barrier(250)

    def verify(number: int) -> list[str]:
        start.wait()
        return [pool.verify(tokens[(number + step) % 20]) for step in range(4)]

    with pool_on(server) as pool, ThreadPoolExecutor(250) as threads:
        assert all(all(each) for each in threads.map(verify, range(250)))
    assert server.fetches == 1


def test_a_flood_of_unknown_kids_causes_one_fetch_per_cooldown(server: KeyServer) -> None:
    timing = Timing(cooldown=0.25)
    claims = MINT_A.claims()

    def refused(number: int) -> bool:
        header = MINT_A.header(kid=f"kid-{number}")
        return not pool.accepts(compact(header, claims, b"\x01" * 256))

    with pool_on(server, timing) as pool, ThreadPoolExecutor(16) as threads:
        pool.warm()
        started = time.monotonic()
        assert all(threads.map(refused, range(2000)))
        lasted = time.monotonic() - started
    assert server.most_at_once == 1
    assert server.fetches <= 1 + 1 + lasted / timing.cooldown


def test_known_kids_are_served_while_the_endpoint_hangs(server: KeyServer) -> None:
    with pool_on(server) as pool, ThreadPoolExecutor(1) as threads:
        pool.warm()
        pool.clock.ahead = PATIENT.cooldown
        server.hang()
        waiting = threads.submit(pool.accepts, MINT_B.access_token())
        eventually(lambda: server.fetches == 2)
        assert all(pool.accepts(MINT_A.access_token()) for _ in range(50))
        assert not waiting.done()
        server.release()
        assert waiting.result() is False


def test_a_flood_during_a_hang_holds_only_so_many_requests(server: KeyServer) -> None:
    with pool_on(server) as pool, ThreadPoolExecutor(WAITING_AT_MOST + 8) as threads:
        pool.warm()
        pool.clock.ahead = PATIENT.cooldown
        server.hang()
        waiting = [
            threads.submit(pool.accepts, MINT_B.access_token()) for _ in range(WAITING_AT_MOST + 8)
        ]
        eventually(lambda: sum(each.done() for each in waiting) == 8)
        assert server.fetches == 2
        server.release()
        assert not any(each.result() for each in waiting)


def test_stale_keys_serve_while_the_endpoint_fails_and_recover(server: KeyServer) -> None:
    with pool_on(server, QUICK) as pool:
        pool.warm()
        server.fail()
        eventually(lambda: pool.keys.age_seconds() > QUICK.soft and server.fetches > 4)
        assert pool.accepts(MINT_A.access_token())
        with pytest.raises(AuthUnavailable):
            pool.verify(MINT_B.access_token())
        server.serve(A, B)
        eventually(lambda: len(pool.keys.current().keys) == 2)
        assert pool.accepts(MINT_B.access_token())
    assert server.most_at_once == 1


def test_an_unknown_kid_is_invalid_while_the_set_is_fresh_though_the_refresh_failed(
    server: KeyServer,
) -> None:
    with pool_on(server) as pool:
        pool.warm()
        pool.clock.ahead = PATIENT.cooldown
        server.fail()
        with pytest.raises(InvalidToken):
            pool.verify(MINT_B.access_token())
        assert server.fetches == 2


def test_past_the_hard_age_even_known_keys_are_unavailable(server: KeyServer) -> None:
    with pool_on(server) as pool:
        token = MINT_A.access_token()
        assert pool.accepts(token)
        server.fail()
        pool.clock.ahead = PATIENT.hard
        for each in (token, MINT_A.access_token()):
            with pytest.raises(AuthUnavailable):
                pool.verify(each)
        assert not pool.keys.ready()
        server.serve(A)
        pool.clock.ahead += 60
        assert pool.accepts(token)


def test_a_cold_start_without_endpoint_is_unavailable_and_recovers(server: KeyServer) -> None:
    server.reset()
    with pool_on(server, QUICK) as pool:
        with pytest.raises(AuthUnavailable) as refused:
            pool.verify(MINT_A.access_token())
        assert refused.value.retry_after >= 1
        assert not pool.keys.ready()
        server.serve(A)
        eventually(pool.keys.ready)
        assert pool.accepts(MINT_A.access_token())


def test_a_dripping_endpoint_meets_the_deadline(server: KeyServer) -> None:
    server.drip()
    with pool_on(server, Timing(deadline=0.3)) as pool:
        with pytest.raises(AuthUnavailable):
            pool.verify(MINT_A.access_token())
        # Were it not for the deadline, closing would wait for the endless answer.
        pool.keys.close()


def refetch(pool: Pool) -> None:
    pool.clock.ahead += PATIENT.cooldown + 40
    pool.accepts(MINT_B.access_token())


def test_an_endpoint_that_does_not_speak_tls_is_refused(server: KeyServer) -> None:
    with pytest.raises(RequestFailed, match="SSL"):
        Endpoint(server.url.replace("http://", "https://"))()


def test_a_kid_is_certainly_absent_only_while_no_fetch_could_bring_it(server: KeyServer) -> None:
    with pool_on(server) as pool:
        assert not pool.keys.is_absent(B.kid)
        pool.warm()
        assert pool.keys.is_absent(B.kid)
        assert not pool.keys.is_absent(A.kid)
        pool.clock.ahead = PATIENT.cooldown
        assert not pool.keys.is_absent(B.kid)
        server.fail()
        assert not pool.accepts(MINT_B.access_token())
        assert pool.keys.is_absent(B.kid)
        pool.clock.ahead = PATIENT.soft - 1
        server.hang()
        waiting = threading.Thread(target=pool.accepts, args=(MINT_B.access_token(),))
        waiting.start()
        eventually(lambda: server.fetches == 3)
        assert not pool.keys.is_absent(B.kid)
        server.release()
        waiting.join()
        pool.clock.ahead = PATIENT.soft
        assert not pool.keys.is_absent(B.kid)


def test_a_kid_that_stays_absent_is_fetched_less_and_less_often(server: KeyServer) -> None:
    with pool_on(server) as pool:
        pool.warm()
        fetches = []
        for _ in range(8):
            pool.clock.ahead += PATIENT.cooldown
            assert not pool.accepts(MINT_B.access_token())
            fetches.append(server.fetches)
    assert fetches == [2, 3, 3, 4, 4, 4, 4, 5]


BAD_BODIES = {
    "html": b"<html>Bad gateway</html>",
    "list": b"[]",
    "object of keys": b'{"keys":{}}',
    "null": b"null",
    "nothing": b"",
    "invalid utf-8": b'{"keys":["\xff"]}',
    "deep": b'{"keys":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "empty": b'{"keys":[]}',
    "twice": b'{"keys":[],' + jwks(B)[1:],
    "utf-16": jwks(B).decode().encode("utf-16"),
    "too large": jwks(B) + b" " * 65536,
    "ten thousand keys": jwks(*[B] * 10_000),
    "only unusable keys": jwks(B.jwk(use="enc"), B.jwk(kty="EC")),
}


BAD_ANSWERS: dict[str, Callable[[KeyServer], None]] = {
    **{name: partial(KeyServer.serve_body, body=body) for name, body in BAD_BODIES.items()},
    **{
        f"status {status}": partial(KeyServer.serve_body, body=jwks(A, B), status=status)
        for status in (201, 206, 302, 404, 500)
    },
    "a compression bomb": KeyServer.bomb,
    "a reset connection": KeyServer.reset,
}


@pytest.mark.parametrize("answer_badly", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_a_bad_answer_never_replaces_a_good_set(
    server: KeyServer, answer_badly: Callable[[KeyServer], None]
) -> None:
    with pool_on(server) as pool:
        pool.warm()
        before = pool.keys.current()
        answer_badly(server)
        refetch(pool)
        assert server.fetches == 2
        assert pool.keys.current() == before
        assert pool.accepts(MINT_A.access_token())


def test_an_added_key_is_found_by_one_fetch_while_others_are_served(server: KeyServer) -> None:
    stop = threading.Event()

    def keep_verifying() -> bool:
        return all(pool.accepts(MINT_A.access_token()) for _ in iter(stop.is_set, True))

    with pool_on(server) as pool, ThreadPoolExecutor(20) as threads:
        pool.warm()
        riders = [threads.submit(keep_verifying) for _ in range(2)]
        pool.clock.ahead = PATIENT.cooldown
        server.serve(A, B)
        tokens = [MINT_B.access_token() for _ in range(16)]
        assert all(threads.map(pool.accepts, tokens))
        stop.set()
        assert all(each.result() for each in riders)
    assert server.fetches == 2


def test_a_key_added_right_after_a_fetch_is_found_after_the_cooldown(server: KeyServer) -> None:
    with pool_on(server, Timing(cooldown=0.3)) as pool:
        pool.warm()
        server.serve(A, B)
        token = MINT_B.access_token()
        eventually(lambda: pool.accepts(token))
    assert server.fetches == 2


def test_a_removed_key_is_refused_after_the_next_refresh_though_its_token_was_remembered(
    server: KeyServer,
) -> None:
    with pool_on(server, QUICK) as pool:
        token = MINT_A.access_token()
        assert pool.accepts(token)
        server.serve(B)
        eventually(lambda: not pool.accepts(token))
        assert pool.accepts(MINT_B.access_token())


def test_keys_that_are_rotated_again_and_again_are_followed(server: KeyServer) -> None:
    token_a, token_b = MINT_A.access_token(), MINT_B.access_token()
    with pool_on(server, QUICK) as pool:

        def accepts_only(one: str, other: str) -> bool:
            return pool.accepts(one) and not pool.accepts(other)

        for key, one, other in ((A, token_a, token_b), (B, token_b, token_a)) * 2:
            server.serve(key)
            eventually(partial(accepts_only, one, other))
            enough = server.fetches + 3
            eventually(lambda enough=enough: server.fetches >= enough)
            assert accepts_only(one, other), "what was known is lost after some renewals"


def test_new_material_under_the_same_kid_replaces_the_old(server: KeyServer) -> None:
    renewed = SigningKey(A.kid, name="renewed")
    with pool_on(server, QUICK) as pool:
        token = MINT_A.access_token()
        assert pool.accepts(token)
        server.serve(renewed)
        eventually(lambda: pool.accepts(Mint(renewed).access_token()))
        assert not pool.accepts(token)


def test_fetching_unchanged_keys_leaves_the_remembered_tokens_alone(server: KeyServer) -> None:
    with pool_on(server, QUICK) as pool:
        pool.warm()
        before = pool.keys.current()
        eventually(lambda: server.fetches >= 3)
        assert pool.keys.current().keys is before.keys


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Type": "text/html", "Cache_Control": "max-age=0, no-store"},
        {"Cache_Control": "public, max-age=315360000", "ETag": '"1"'},
    ],
)
def test_caching_headers_and_content_types_change_nothing(
    server: KeyServer, headers: dict[str, str]
) -> None:
    server.serve_body(jwks(A), **headers)
    with pool_on(server) as pool:
        assert all(pool.accepts(MINT_A.access_token()) for _ in range(5))
        assert server.fetches == 1
        server.serve_body(b"", 304)
        refetch(pool)
        assert pool.accepts(MINT_A.access_token())


def test_a_wall_clock_that_jumps_does_not_age_the_keys(server: KeyServer) -> None:
    with pool_on(server) as pool:
        pool.warm()
        for jump in (-3600, 3600):
            now = time.time() + jump
            mint = Mint(A, clock=lambda now=now: now)
            assert pool.verifier.verify(mint.access_token(), now)
    assert server.fetches == 1


def test_the_server_builds_keys_after_its_fork_only() -> None:
    """A thread does not survive a fork, so gunicorn must not load the application before it."""
    assert not hasattr(gunicorn, "preload_app")
    loaded = subprocess.run(
        [sys.executable, "-c", "import service.entrypoints.gunicorn, sys; print(*sys.modules)"],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "service.entrypoints.gunicorn" in loaded
    assert "service.auth.keys" not in loaded


@pytest.mark.parametrize(
    "url",
    [
        "http://cognito-idp.us-east-1.amazonaws.com/jwks.json",
        "http://10.0.0.8/jwks.json",
        "http://169.254.169.254/jwks.json",
        "http://127.0.0.1.example.com/jwks.json",
        "file:///etc/passwd",
        "ftp://127.0.0.1/jwks.json",
        "https://user:secret@example.com/jwks.json",
        "https:///jwks.json",
        "jwks.json",
    ],
)
def test_an_address_that_is_not_safe_stops_the_start(url: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        Endpoint(url)


def test_plain_http_is_allowed_on_loopback_and_on_named_hosts() -> None:
    for url in (
        "http://127.0.0.1:1/",
        "http://localhost/",
        "http://[::1]:1/",
        "https://a.example/",
    ):
        Endpoint(url)
    Endpoint("http://ministack:4566/jwks.json", allow_http_hosts=("ministack",))


def test_pinned_keys_never_look_elsewhere(key_file: Path, mint: Mint) -> None:
    keys = PinnedKeys(key_file)
    assert keys.ready()
    assert keys.age_seconds() == 0
    assert keys.seek("unknown") is keys.current()
    assert mint.key.kid in keys.current().keys


def test_a_bad_file_of_pinned_keys_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_text("{}")
    with pytest.raises(BadKeySet):
        PinnedKeys(path)
    with pytest.raises(OSError, match="missing"):
        PinnedKeys(tmp_path / "missing")


def after_one(attempt: Callable[[], None]) -> Schedule:
    """The schedule after one attempt at the instant 0."""
    schedule = Schedule(Timing(), lambda _least, most: most)
    refresher = Refresher(attempt, schedule, lambda: 0.0, 60)
    refresher.start()
    refresher.wait_for_attempt(is_serving=False)
    refresher.close()
    return schedule


def test_a_fetch_is_repeated_after_minutes_if_it_succeeded_and_soon_if_it_failed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The cause is logged in part, because its text may quote what the other side sent."""

    def fail() -> None:
        raise ValueError("x" * 500)

    assert after_one(lambda: None).due_at == 570
    assert caplog.records == []
    assert after_one(fail).due_at == 1
    [line] = [vars(each) for each in caplog.records if each.name == "service.auth.refresher"]
    assert line["cause"] == f"ValueError: {'x' * 188}"
