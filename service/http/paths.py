"""Paths in their one canonical spelling: checks those of requests, writes those of links."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

_CANONICAL: Final = re.compile(r"/|(?:/(?!\.\.?(?:/|\Z))[A-Za-z0-9._~-]+)+")
"""Segments of unreserved characters (RFC 3986, 2.3). Our paths need no others, so a path with an
escape, an empty segment, a dot segment or a `;` is a second spelling of another path."""

_ABSOLUTE_FORM: Final = re.compile(r"\Ahttps?://[^/?#\\]*", re.IGNORECASE)


def canonical_path(target: str) -> str | None:
    """The path of a request's raw target, or None if it is not in its one canonical spelling.

    Rules of firewalls and load balancers compare the raw path. A path that reaches a route in a
    second spelling, such as `//v1/admin` or `/v1/admin%2fworkers`, would pass them. The query is
    ignored; the absolute form of a target is accepted (RFC 9112, 3.2.2).
    """
    path = _ABSOLUTE_FORM.sub("", target).partition("?")[0] or "/"
    return path if _CANONICAL.fullmatch(path) else None


def link(public_url: str, path: str) -> str:
    """`path` behind the path of `PUBLIC_URL`, without scheme and host.

    A stage of API Gateway is such a path; without it a link would leave the stage.
    """
    return f"{urlsplit(public_url).path}{path}"


def absolute_url(public_url: str, path: str) -> str:
    """The full address of `path`, for clients elsewhere; never taken from the `Host` header."""
    return f"{public_url}{path}"
