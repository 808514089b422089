"""The broker's certificate is verified like that of `REDIS_URL`, without a parameter in its URL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.model.errors import Unavailable
from service.stores.broker import CeleryRoundQueue
from tests.support.infrastructure import MiniStack, RedisServer, wait_until
from tests.support.stack import Stack
from tests.support.tls import TlsRedisServer

REFUSAL = "certificate verify failed"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[TlsRedisServer]:
    with TlsRedisServer(tmp_path / "broker") as server:
        yield server


def test_a_job_is_sent_only_to_a_broker_whose_certificate_is_trusted(
    broker: TlsRedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Unavailable) as refused:
        CeleryRoundQueue(broker.url, timeout_seconds=2).publish("zone", "request")
    assert REFUSAL in str(refused.value.__cause__)
    monkeypatch.setenv("SSL_CERT_FILE", str(broker.authority))
    CeleryRoundQueue(broker.url, timeout_seconds=2).publish("zone", "request")


@pytest.mark.parametrize("role", ["worker", "beat", "monitor"])
def test_no_role_connects_to_a_broker_whose_certificate_is_not_trusted(
    tmp_path: Path,
    ministack: MiniStack,
    redis_server: RedisServer,
    broker: TlsRedisServer,
    role: str,
) -> None:
    with Stack(tmp_path, ministack, redis_server, roles=(), CELERY_BROKER_URL=broker.url) as stack:
        stack.start(role)
        wait_until(lambda: REFUSAL in stack.log(role), f"a refusal\n{stack.log(role)}")
