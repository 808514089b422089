"""An app client is replaced by another while its app calls without a pause: nothing is refused."""

from __future__ import annotations

import threading
from pathlib import Path

from tests.support.infrastructure import MiniStack, RedisServer, wait_until
from tests.support.stack import Stack

OLD, NEW = "oldclient", "newclient"


class Calls:
    """A thread that calls the process `front` with the token `token`; both may be changed."""

    def __init__(self, stack: Stack, token: str) -> None:
        self.front, self.token = stack, token
        self.statuses: list[int] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._is_over.is_set():
            self.statuses.append(self.front.call("GET", "/v1/rides", token=self.token).status)

    def more(self) -> None:
        """Go on for twenty calls."""
        wanted = len(self.statuses) + 20
        wait_until(lambda: len(self.statuses) >= wanted, "twenty calls")

    def __enter__(self) -> Calls:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()


def test_no_request_is_refused_while_a_client_is_replaced(
    tmp_path: Path, ministack: MiniStack, redis_server: RedisServer
) -> None:
    def processes(name: str, *clients: str) -> Stack:
        (tmp_path / name).mkdir()
        keys = {"AUTH_JWKS_FILE": str(tmp_path / "first" / "jwks.json")}
        return Stack(
            tmp_path / name,
            ministack,
            redis_server,
            roles=("web",),
            COGNITO_CLIENT_IDS=",".join(clients),
            **keys,
        )

    first = processes("first", OLD)

    def token(client: str) -> str:
        return first.mint.access_token(
            sub="rider-1", username="rider-1", scope="wildrydes/rides.read", client_id=client
        )

    with processes("last", NEW) as last, processes("both", OLD, NEW) as both:
        with first, Calls(first, token(OLD)) as calls:
            calls.more()
            calls.front = both
            calls.more()
            calls.token = token(NEW)
            calls.more()
            calls.front = last
            calls.more()
        assert last.call("GET", "/v1/rides", token=token(OLD)).status == 401
    assert set(calls.statuses) == {200}
    print(f"{len(calls.statuses)} calls, none refused")
