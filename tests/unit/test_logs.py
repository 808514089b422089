"""Log lines: machine-readable, with their context, never with a token."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from service.logs import add_log_context, configure_logging, log_context, set_log_context
from tests.support.infrastructure import PROJECT

logger = logging.getLogger("service.test")

WRITER = """
import os, sys
from service.logs import drop_unwritable_output
os.set_blocking(1, False)
drop_unwritable_output()
for _ in range(100):
    print("x" * 2000)
print("alive", file=sys.stderr)
"""


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], _ = before
    root.setLevel(before[1])
    set_log_context()
    for name in ("service", "worker", "celery", "celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def line(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_a_line_is_one_json_object_with_its_context(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")
    with log_context(request_id="r1"), log_context(ride_id="ride-1"):
        logger.info("ride\nmatched", extra={"status": 202})
    found = line(capsys)
    assert found.pop("timestamp").endswith("+00:00")
    assert found == {
        "level": "INFO",
        "logger": "service.test",
        "message": "ride\nmatched",
        "status": 202,
        "request_id": "r1",
        "ride_id": "ride-1",
    }


def test_context_ends_with_its_block(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")
    with log_context(request_id="r1"):
        add_log_context(ride_id="ride-1")
    logger.info("after")
    assert not {"request_id", "ride_id"} & line(capsys).keys()


def test_the_next_request_starts_with_a_context_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("INFO")
    set_log_context(request_id="r1")
    add_log_context(ride_id="ride-1")
    set_log_context(request_id="r2")
    logger.info("second")
    found = line(capsys)
    assert found["request_id"] == "r2"
    assert "ride_id" not in found


@pytest.mark.parametrize(
    "token",
    ["eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl", "eyJBdXRob3JpemF0aW9uIjoiQVdTNCJ9"],
    ids=["a JWT", "the credential of an IAM role"],
)
def test_no_token_gets_into_a_line(capsys: pytest.CaptureFixture[str], token: str) -> None:
    configure_logging("INFO")
    try:
        raise ValueError(f"bad header Bearer {token}")
    except ValueError:
        logger.exception("refused", extra={"header": token})
    written = capsys.readouterr().out
    assert "eyJ" not in written
    assert "c2lnbmF0dXJl" not in written
    assert "ValueError: bad header Bearer [token]" in written


def test_libraries_log_from_warning_on(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("DEBUG")
    logging.getLogger("botocore.auth").debug("signing with everything")
    logger.debug("own")
    assert line(capsys)["message"] == "own"


def test_a_terminal_gets_readable_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    configure_logging("INFO")
    logger.warning("slow", extra={"path": "/x\n\033[2J"})
    written = capsys.readouterr().out
    assert "\033[33mWARNING\033[0m service.test  slow" in written
    assert 'path="/x\\n\\u001b[2J"' in written
    assert written.count("\n") == 1


def test_a_librarys_message_is_logged_once_a_minute_and_the_services_always(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("INFO")
    for number in range(3):
        logging.getLogger("celery.beat").error("job not published: %s", number)
        logging.getLogger("kombu.transport.redis").warning("another sentence")
        logger.warning("ride passed over")
    said = [json.loads(each)["message"] for each in capsys.readouterr().out.splitlines()]
    ((filtering, *_),) = (handler.filters for handler in logging.getLogger().handlers)
    assert vars(filtering)["_logged_at"].maxsize == 256
    assert said.count("job not published: 0") == 1
    assert said.count("another sentence") == 1
    assert said.count("ride passed over") == 3
    assert len(said) == 5


def test_a_librarys_message_is_logged_again_after_a_minute(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter((100.0, 159.9, 160.0))
    monkeypatch.setattr("service.logs.time", SimpleNamespace(monotonic=seconds.__next__))
    configure_logging("INFO")
    written = []
    for _ in range(3):
        logging.getLogger("kombu").warning("no answer")
        written.append(bool(capsys.readouterr().out))
    assert written == [True, False, True]


def test_threads_that_log_for_libraries_at_once_do_not_fail(
    threads_that_switch_often: ThreadPoolExecutor,
) -> None:
    configure_logging("INFO")
    (handler,) = logging.getLogger().handlers
    (only_once, *_) = handler.filters
    assert isinstance(only_once, logging.Filter)
    records = [
        logging.LogRecord("kombu", logging.WARNING, __file__, 1, f"sentence {number}", (), None)
        for number in range(300)
    ]

    def log(_: int) -> int:
        return sum(bool(only_once.filter(record)) for record in 40 * records)

    assert all(threads_that_switch_often.map(log, range(4)))


def test_a_pipe_that_is_full_and_does_not_block_ends_no_process() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as writer:
        # Its output is not read before it has ended.
        assert writer.wait(60) == 0
        assert writer.stderr is not None
        assert writer.stderr.read() == "alive\n"
