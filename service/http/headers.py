"""Reads request headers that have a grammar: `Prefer`, `Idempotency-Key`, entity tags, ids.

A server joins the lines of a repeated header with commas. For a header that is a list this changes
nothing (RFC 9110, 5.3). A header with a single value is judged as the joined text, never by one of
its lines. If that text is not a valid value, the request is refused, or the header counts as
absent.

Headers are read from the WSGI environment (PEP 3333), because werkzeug's `headers.get` raises and
catches an exception for each absent header, which is the usual case.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Final
from urllib.request import parse_http_list

from flask import request
from werkzeug.datastructures import ETags

from service.http.problems import Problem, invalid

TRACE: Final = ("traceparent", "tracestate", "baggage")
"""Headers of W3C Trace Context, and `baggage`, which tracers in browsers send with them."""

READ: Final = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Prefer",
    "Last-Event-ID",
    "X-Request-Id",
    *TRACE,
)
"""The request headers that a page may send and that this service reads; `cors` allows them."""

LONGEST_WAIT_SECONDS: Final = 30
"""The longest wait that a client may ask for. It is below the idle timeout of load balancers (ALB:
60 s). A process that stops ends all waits at once."""

_WAIT: Final = re.compile(r'\s*wait\s*=\s*(?:([0-9]+)|"([0-9]+)")\s*(?:;.*)?', re.IGNORECASE)
_EVENT_ID: Final = re.compile(r"[0-9]{1,15}")
_REQUEST_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")
_IDEMPOTENCY_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")


def preferred_wait() -> int | None:
    """Seconds of `Prefer: wait=N` (RFC 7240, 4.3), at most 30; None if absent or malformed."""
    header = request.environ.get("HTTP_PREFER")
    if header is None:
        return None
    # Not `split(",")`: a comma inside a quoted value belongs to the value.
    for preference in parse_http_list(header):
        found = _WAIT.fullmatch(preference)
        if found:
            # As a float first: `int` refuses numbers of thousands of digits.
            return int(min(float(found[1] or found[2]), LONGEST_WAIT_SECONDS))
    return None


def wait_applied(seconds: int | None) -> dict[str, str]:
    """`Preference-Applied` for a wait that was granted."""
    return {} if seconds is None else {"Preference-Applied": f"wait={seconds}"}


def idempotency_key() -> str | None:
    """The client's name for this request: 1 to 255 visible ASCII characters."""
    key = request.environ.get("HTTP_IDEMPOTENCY_KEY")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise invalid("Idempotency-Key", "must be 1 to 255 visible ASCII characters")
    return key


def given_request_id() -> str:
    """The client's request id if it is safe to put into logs and headers, else a new one."""
    given = request.environ.get("HTTP_X_REQUEST_ID", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def trace_carrier() -> dict[str, str]:
    """The headers that name the trace of the request."""
    environ = request.environ
    return {name: environ[key] for name in TRACE if (key := f"HTTP_{name.upper()}") in environ}


def last_event_id() -> int:
    """The number in `Last-Event-ID`: the last event that the client has seen; 0 without one."""
    given = request.environ.get("HTTP_LAST_EVENT_ID", "")
    if "," in given:
        raise invalid("Last-Event-ID", "must be one id")
    return int(given) if _EVENT_ID.fullmatch(given) else 0


def if_none_match_given() -> bool:
    return "HTTP_IF_NONE_MATCH" in request.environ


def not_modified(version: int | str) -> bool:
    """Whether `If-None-Match` names this version (RFC 9110, 13.1.2: weak comparison)."""
    if not if_none_match_given():
        return False
    return _in_one_form(request.if_none_match, "If-None-Match").contains_weak(str(version))


def expected_version() -> Callable[[int], bool]:
    """A function that says whether `If-Match` names a version (RFC 9110, 13.1.1, strong).

    Raises a 428 problem if the header is absent: a change must name its base (RFC 6585, 3).
    """
    if "HTTP_IF_MATCH" not in request.environ:
        raise Problem(
            428, "precondition_required", "Send the ETag of the version you saw as If-Match."
        )
    tags = _in_one_form(request.if_match, "If-Match")
    return lambda version: str(version) in tags


def _in_one_form(tags: ETags, header: str) -> ETags:
    """Refuse `*` among other tags, which werkzeug would read as a tag named `*`."""
    if "*" in tags.as_set():
        raise invalid(header, "must be * or a list of entity tags")
    return tags
