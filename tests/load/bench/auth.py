"""Compares the cost of verifying a token with references: `python -m tests.load.bench.auth`.

Measures the CPU time of this process. Each figure and its reference take turns, and the medians of
the rounds are compared, so that a noisy machine disturbs both alike. Latencies while the key
endpoint hangs are wall time per call; batches with a hanging and with an idle endpoint take turns.
"""

from __future__ import annotations

import itertools
import os
import statistics
import sys
import threading
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from service.auth.claims import AccessClaims
from service.auth.errors import AuthError
from service.auth.jwks import Endpoint
from service.auth.keys import KeySet
from service.auth.schedule import Timing
from service.auth.verifier import TokenVerifier
from tests.support.key_server import KeyServer
from tests.support.token_mint import CLIENT_ID, ISSUER, Mint, SigningKey, compact

ROUNDS = 15
CALLS = 200
LATENCIES = 24_000
FLOOD = 10_000

Work = Callable[[], object]


def microseconds(work: Work) -> float:
    """The CPU seconds of one call, averaged over a batch."""
    began = time.process_time()
    for _ in range(CALLS):
        work()
    return (time.process_time() - began) / CALLS * 1e6


def medians(works: Sequence[Work]) -> list[float]:
    """Run each function once per round, for several rounds."""
    for work in works:
        microseconds(work)
    rounds = [[microseconds(work) for work in works] for _ in range(ROUNDS)]
    return [statistics.median(column) for column in zip(*rounds, strict=True)]


class Bench:
    """One pool, one endpoint, and verifiers with and without memory."""

    def __init__(self, server: KeyServer, mint: Mint) -> None:
        self.mint = mint
        self.ahead = 0.0
        self.keys = KeySet(
            Endpoint(server.url, deadline_seconds=30),
            timing=Timing(deadline=30),
            clock=lambda: time.monotonic() + self.ahead,
        )
        while not self.keys.ready():
            time.sleep(0.01)
        self.forgetful = self.verifier(remembered_tokens=0)
        self.remembering = self.verifier(remembered_tokens=10_000)
        self.client = jwt.PyJWKClient(server.url)
        self.now = time.time()

    def verifier(self, remembered_tokens: int) -> TokenVerifier:
        return TokenVerifier(
            self.keys, AccessClaims(issuers=(ISSUER,), client_ids=(CLIENT_ID,)), remembered_tokens
        )

    def verifying(self, *tokens: str) -> Work:
        following = itertools.cycle(tokens)
        return lambda: self.forgetful.verify(next(following), self.now)

    def refusing(self, *tokens: str) -> Work:
        following = itertools.cycle(tokens)

        def refuse() -> None:
            try:
                self.forgetful.verify(next(following), self.now)
            except AuthError:
                return
            raise AssertionError("a hostile token was accepted")

        return refuse

    def raw(self, *tokens: str) -> Work:
        """Verify with `cryptography` alone: the lower bound."""
        public = self.mint.key.private.public_key()
        following = itertools.cycle([parted(token) for token in tokens])

        def verify() -> None:
            message, signature = next(following)
            public.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())

        return verify

    def recipe(self, *tokens: str) -> Work:
        """Verify as PyJWT's documentation recommends, with its key client."""
        following = itertools.cycle(tokens)

        def verify() -> None:
            token = next(following)
            key = self.client.get_signing_key_from_jwt(token)
            jwt.decode(token, key, algorithms=["RS256"], issuer=ISSUER)

        return verify


def parted(token: str) -> tuple[bytes, bytes]:
    """The signed part of a token, and its signature."""
    signed, _, signature = token.rpartition(".")
    return signed.encode(), urlsafe_b64decode(signature + "==")


def many(count: int, first: int = 0) -> dict[str, object]:
    """A document of many small members, which cost a parser the most per byte."""
    return {f"m{number}": 1 for number in range(first * 1000, first * 1000 + count)}


Row = tuple[str, float, str, str, bool]


def verification(bench: Bench) -> Iterator[Row]:
    mint, claims = bench.mint, bench.mint.claims()
    tokens = [mint.access_token() for _ in range(100)]
    following = itertools.cycle(tokens)
    header, payload, _ = tokens[0].split(".")
    forged = compact(mint.header(), mint.claims(padding="x" * 4580), b"\x01" * 256)
    costly = [
        compact(mint.header(**many(55, number)), mint.claims(padding="x" * 3000), b"\x01" * 256)
        for number in range(100)
    ]
    unknown = compact(mint.header(kid="unknown"), claims, b"\x01" * 256)
    crowded = compact(mint.header(kid="unknown"), mint.claims(**many(400)), b"\x01" * 256)
    raw, recipe, fresh, cached, shape, algorithm, empty, large, wide, stray, crowd = medians(
        [
            bench.raw(*tokens),
            bench.recipe(*tokens),
            bench.verifying(*tokens),
            lambda: bench.remembering.verify(next(following), bench.now),
            bench.refusing(tokens[0].replace(".", "-")),
            bench.refusing(compact(mint.header(alg="HS256"), claims, b"\x01" * 256)),
            bench.refusing(f"{header}.{payload}."),
            bench.refusing(forged),
            bench.refusing(*costly),
            bench.refusing(unknown),
            bench.refusing(crowded),
        ]
    )
    yield "raw RSA-2048 verify (cryptography), us", raw, "1", "1.00", True
    yield "new token, us", fresh, "<= 2.2 x raw", f"{fresh / raw:.2f}", fresh <= 2.2 * raw
    yield (
        "PyJWKClient recipe, us",
        recipe,
        ">= 3.5 x new token",
        f"{recipe / fresh:.2f}",
        recipe >= 3.5 * fresh,
    )
    yield "remembered token, us", cached, "<= 5 us", f"{cached / 5:.2f}", cached <= 5
    for name, cost in (("bad shape", shape), ("wrong alg", algorithm), ("empty signature", empty)):
        yield f"refuse {name}, us", cost, "< 20 us", f"{cost / 20:.2f}", cost < 20
    for name, cost, limit in (
        (f"forged, {len(forged)} bytes", large, 2),
        ("forged, costly headers", wide, 3),
        ("unknown kid", stray, 1),
        (f"unknown kid, {len(crowded)} bytes of claims", crowd, 1),
    ):
        reference = f"<= {limit} x raw"
        yield f"refuse {name}, us", cost, reference, f"{cost / raw:.2f}", cost <= limit * raw


def latencies(work: Work, calls: int) -> list[float]:
    def one() -> float:
        began = time.perf_counter()
        work()
        return (time.perf_counter() - began) * 1e6

    return [one() for _ in range(calls)]


@contextmanager
def hanging(bench: Bench, server: KeyServer) -> Iterator[None]:
    """Start a fetch for an unknown kid that hangs, with a caller that waits for it."""
    server.hang()
    bench.ahead += 120
    before = server.fetches
    unknown = compact(bench.mint.header(kid=f"k{before}"), bench.mint.claims(), b"\x01" * 256)
    caller = threading.Thread(target=bench.refusing(unknown))
    caller.start()
    while server.fetches == before:
        time.sleep(0.001)
    try:
        yield
    finally:
        server.release()
        caller.join()
        server.serve(bench.mint.key)


def hang(bench: Bench, server: KeyServer) -> Iterator[Row]:
    work = bench.verifying(*(bench.mint.access_token() for _ in range(100)))
    idle, busy = [], []
    for _ in range(8):
        idle += latencies(work, LATENCIES // 8)
        with hanging(bench, server):
            busy += latencies(work, LATENCIES // 8)
    usual, meanwhile = (statistics.quantiles(each, n=100)[98] for each in (idle, busy))
    yield "known kid, idle, p99 us", usual, "1", "1.00", True
    yield (
        "known kid, endpoint hangs, p99 us",
        meanwhile,
        "<= 1.5 x idle",
        f"{meanwhile / usual:.2f}",
        meanwhile <= 1.5 * usual,
    )
    slowest = max(busy) / 1000
    yield "the slowest call meanwhile, ms", slowest, "<= 50", f"{slowest / 50:.2f}", slowest <= 50


def flood(bench: Bench, server: KeyServer) -> Iterator[Row]:
    bench.ahead += 120
    claims, before, began = bench.mint.claims(), server.fetches, time.monotonic()
    for number in range(FLOOD):
        header = bench.mint.header(kid=f"flood-{number}")
        bench.refusing(compact(header, claims, b"\x01" * 256))()
    allowed = 1 + (time.monotonic() - began) / Timing().cooldown
    fetches = server.fetches - before
    name = f"fetches under {FLOOD} unknown kids"
    yield name, fetches, f"<= {allowed:.1f}", f"{fetches / allowed:.2f}", fetches <= allowed


def main() -> int:
    mint = Mint(SigningKey("bench"))
    with KeyServer(mint.key) as server:
        bench = Bench(server, mint)
        rows = [*verification(bench), *hang(bench, server), *flood(bench, server)]
        bench.keys.close()
    print(f"{'figure':<42}{'measured':>10}  {'reference':<20}{'ratio':>6}")
    for name, value, reference, ratio, met in rows:
        print(f"{name:<42}{value:>10.1f}  {reference:<20}{ratio:>6}  {'' if met else 'NOT MET'}")
    print(f"python {sys.version.split()[0]}, {os.cpu_count()} CPUs")
    return 0 if all(met for *_, met in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
