"""A revocation reaches every API process in time, with and without Redis."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from copy import copy
from pathlib import Path

import pytest

from tests.support.infrastructure import MiniStack, free_port, wait_until
from tests.support.stack import Answer, Stack, stack_with_redis

pytestmark = pytest.mark.stack(roles=("web",))

PATH = "/v1/admin/revocations"
PROMISED_SECONDS = 5


class Processes:
    """Two API processes on the same stores."""

    def __init__(self, stack: Stack, second_port: int) -> None:
        self.stack = stack
        self._ports = (stack.port, second_port)

    def ask(self, token: str) -> list[Answer]:
        """The answer of each of them."""
        calls = (replaced(self.stack, port) for port in self._ports)
        return [stack.call("GET", "/v1/rides", token=token) for stack in calls]

    def revoke(self, body: dict[str, str]) -> None:
        answer = self.stack.call("POST", PATH, body, token=self.stack.admin_token())
        assert answer.status == 204, answer.body

    def statuses(self, token: str) -> set[int]:
        return {answer.status for answer in self.ask(token)}


def replaced(stack: Stack, port: int) -> Stack:
    """The same stack, called at another port."""
    other = copy(stack)
    other.port = port
    return other


@pytest.fixture(scope="module")
def processes(stack: Stack) -> Iterator[Processes]:
    port = free_port()
    second = stack.start_web(port)
    yield Processes(stack, port)
    second.stop(grace=20)


def a_session(stack: Stack) -> tuple[str, dict[str, str]]:
    """A rider's token and the names it can be revoked by."""
    identifiers = {kind: str(uuid.uuid4()) for kind in ("sub", "origin_jti", "jti")}
    claims = {**identifiers, "username": identifiers["sub"]}
    return stack.mint.access_token(**claims), identifiers


@pytest.mark.parametrize("kind", ["jti", "origin_jti", "sub"])
def test_a_revoked_token_is_refused_by_every_process_in_time(
    processes: Processes, kind: str
) -> None:
    token, identifiers = a_session(processes.stack)
    assert processes.statuses(token) == {200}
    processes.revoke({kind: identifiers[kind]})
    at_once = processes.stack.call("GET", "/v1/rides", token=token)
    assert at_once.status == 401, "the process that revokes"
    wait_until(lambda: processes.statuses(token) == {401}, "the refusal", PROMISED_SECONDS)
    assert {answer.json["reason"] for answer in processes.ask(token)} == {"invalid_token"}


def test_revocations_of_others_change_nothing(processes: Processes) -> None:
    token, _ = a_session(processes.stack)
    _, identifiers = a_session(processes.stack)
    for kind, value in identifiers.items():
        processes.revoke({kind: value})
    assert processes.statuses(token) == {200}


def test_a_new_sign_in_is_accepted_and_a_refreshed_token_is_not(processes: Processes) -> None:
    stack = processes.stack
    _, identifiers = a_session(stack)
    processes.revoke({"sub": identifiers["sub"]})
    now = int(stack.mint.clock())
    who = {"sub": identifiers["sub"], "username": identifiers["sub"]}
    again = stack.mint.access_token(**who, auth_time=now + 2, iat=now + 2)
    refreshed = stack.mint.access_token(**who, auth_time=now - 60, iat=now + 2)
    renewed = stack.mint.access_token(**who, auth_time=now + 2, iat=now - 1)
    assert processes.statuses(again) == {200}
    for refused in (refreshed, renewed):
        wait_until(lambda: processes.statuses(refused) == {401}, "the refusal", PROMISED_SECONDS)  # noqa: B023


def test_revocations_survive_the_loss_of_redis(processes: Processes) -> None:
    stack = processes.stack
    before, known = a_session(stack)
    after, unknown = a_session(stack)
    processes.revoke({"jti": known["jti"]})
    assert processes.statuses(after) == {200}
    stack.redis.kill()
    try:
        processes.revoke({"origin_jti": unknown["origin_jti"]})
        wait_until(
            lambda: processes.statuses(before) | processes.statuses(after) == {401},
            "the refusal without Redis",
            PROMISED_SECONDS,
        )
    finally:
        stack.redis.lose_everything()
    assert processes.statuses(before) | processes.statuses(after) == {401}


def test_without_redis_and_dynamodb_reads_are_allowed_and_writes_get_503(
    tmp_path: Path, ministack: MiniStack
) -> None:
    settings = {"OPERATIONS_TABLE": "Nowhere"}
    with stack_with_redis(tmp_path, ministack, roles=("web",), **settings) as stack:
        token, _ = a_session(stack)
        ministack.dynamodb_client().delete_table(TableName="Nowhere")
        stack.redis.kill()
        ride = {"pickup": {"latitude": 1.5, "longitude": 2.5}}

        def request_a_ride() -> Answer:
            return stack.call("POST", "/v1/rides", ride, token=token)

        wait_until(lambda: request_a_ride().status == 503, "the end of certainty", PROMISED_SECONDS)
        assert stack.call("GET", "/v1/rides", token=token).status == 200
        for answer in (
            request_a_ride(),
            stack.call("GET", "/v1/admin/unicorns/u1", token=stack.admin_token()),
            stack.call("POST", PATH, {"jti": "x"}, token=stack.admin_token()),
        ):
            assert (answer.status, answer.json["reason"]) == (503, "auth_unavailable")
            assert answer.headers["Retry-After"] == "1"
