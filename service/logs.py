"""Log lines on stdout: JSON, or coloured text on a terminal. They never hold a token.

`log_context` (in a block) and `add_log_context` add fields, such as the request id, to every line
that follows; `set_log_context` replaces them.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from io import BufferedWriter, FileIO, TextIOWrapper
from logging.config import dictConfig
from typing import Any, Final

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from service.memory import BoundedMemory

_context: ContextVar[Mapping[str, str] | None] = ContextVar("log_context", default=None)

LIBRARIES: Final = frozenset({"celery", "kombu"})
"""Libraries that repeat the same message while a failure lasts. Their message templates are few."""
_TOKEN: Final = re.compile(r"eyJ[\w-]+(?:\.[\w-]+\.[\w-]*)?")
"""A JWT, or the credential of an IAM role: both begin with a JSON object in base64url."""
_COLOURS: Final = {"DEBUG": "2", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}


@contextmanager
def log_context(**fields: str) -> Iterator[None]:
    """Add these fields to each line logged inside the block, in this thread (or greenlet)."""
    token = _context.set({**(_context.get() or {}), **fields})
    try:
        yield
    finally:
        _context.reset(token)


def set_log_context(**fields: str) -> None:
    """Replace the fields for all further lines of this thread; the next request sets its own."""
    _context.set(fields)


def add_log_context(**fields: str) -> None:
    """Add fields to all further lines of this thread."""
    _context.set({**(_context.get() or {}), **fields})


def drop_unwritable_output() -> None:
    """Lose what stdout and stderr cannot take, for example on a full disk, from now on.

    Without this, a worker ends: Celery flushes both streams before it starts a pool process, and
    the flush raises `OSError`. Call it before `configure_logging`.
    """
    sys.stdout = sys.__stdout__ = _lossy_stream(1)  # type: ignore[misc] # Celery uses both names
    sys.stderr = sys.__stderr__ = _lossy_stream(2)  # type: ignore[misc]


def _lossy_stream(descriptor: int) -> TextIOWrapper:
    buffer = BufferedWriter(_LossyFile(descriptor, "w", closefd=False))
    return TextIOWrapper(buffer, "utf-8", errors="backslashreplace", line_buffering=True)


class _LossyFile(FileIO):
    """Takes everything, and loses what the operating system refuses."""

    def write(self, data: Any) -> int:
        try:
            written = super().write(data)
        except OSError:
            written = None
        # `FileIO` itself returns None if a full pipe does not block.
        return len(data) if written is None else written


def configure_logging(level: str) -> None:
    """Send this process's log lines to stdout from now on."""
    dictConfig(logging_config(level))


def logging_config(level: str) -> dict[str, Any]:
    """The `logging.config` dictionary of `configure_logging`, for servers that take one.

    Libraries log from WARNING on, because at DEBUG some print headers and with them tokens. Celery
    and gunicorn's own lines are the exceptions below.
    """
    own = {"level": level}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"context": {"()": _AddContext}, "libraries": {"()": _OncePerMinute}},
        "formatters": {"line": {"()": _formatter}},
        "handlers": {
            "stdout": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stdout",
                "formatter": "line",
                "filters": ["libraries", "context"],
            }
        },
        "root": {"level": "WARNING", "handlers": ["stdout"]},
        "loggers": {
            "service": own,
            "worker": own,
            "celery": own,
            # Alarms depend on the lines of this logger, so LOG_LEVEL does not turn them off.
            "service.observability.figure_log": {"level": "INFO"},
            # It logs a line per job received and done; what a job did, the job logs itself.
            "celery.worker.strategy": {"level": "WARNING"},
            "celery.app.trace": {"level": "WARNING"},
            # It logs a line per second about nothing.
            "celery.beat": {"level": "WARNING"},
            "gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True},
        },
    }


class _AddContext(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        for name, value in (_context.get() or {}).items():
            record.__dict__.setdefault(name, value)
        return True


class _OncePerMinute(logging.Filter):
    """Passes each message template of a library once a minute.

    While a peer is down or full, Celery and kombu repeat their messages every second, with
    tracebacks.
    """

    def __init__(self) -> None:
        super().__init__()
        self._logged_at: BoundedMemory[tuple[str, object], float] = BoundedMemory(256)

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] not in LIBRARIES or record.levelno < logging.WARNING:
            return True
        sentence, now = (record.name, record.msg), time.monotonic()
        logged_at = self._logged_at[sentence]
        if logged_at is not None and now < logged_at + 60:
            return False
        self._logged_at[sentence] = now
        return True


class _JsonLines(JsonFormatter):
    def format(self, record: logging.LogRecord) -> str:
        return _without_tokens(super().format(record))


class _Readable(logging.Formatter):
    """`12:30:01.250 INFO  service.api  request  status=202 …`, level in colour."""

    default_time_format = "%H:%M:%S"
    default_msec_format = "%s.%03d"

    def format(self, record: logging.LogRecord) -> str:
        extras = " ".join(
            f"{name}={json.dumps(value, default=str)}"
            for name, value in record.__dict__.items()
            if name not in _STANDARD
        )
        # Only the traceback has line breaks: text from clients is written as JSON.
        head = f"{self.formatTime(record)} {_coloured(record.levelname)} {record.name}"
        parts = [f"{head}  {record.getMessage()}  {extras}".rstrip()]
        if record.exc_info:
            parts.append(self.formatException(record.exc_info))
        return _without_tokens("\n".join(parts))


_STANDARD: Final = frozenset({*RESERVED_ATTRS, "taskName"})


def _coloured(level: str) -> str:
    return f"\033[{_COLOURS.get(level, '0')}m{level:7}\033[0m"


def _without_tokens(line: str) -> str:
    # A safety net: no code logs a token, but a library's message might.
    return _TOKEN.sub("[token]", line) if "eyJ" in line else line


def _formatter() -> logging.Formatter:
    return _Readable() if sys.stdout.isatty() else json_lines()


def json_lines() -> logging.Formatter:
    """Formats each record as one JSON object, without tokens."""
    return _JsonLines(
        "{levelname}{name}{message}",
        style="{",
        # Renamed here, because the formatter drops extra fields that begin with an underscore.
        rename_fields={"levelname": "level", "name": "logger", "embedded_metrics": "_aws"},
        timestamp=True,
    )
