"""What the OpenAPI document says about headers, and how to call a route with curl."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from service.http.route import Route
from service.http.schemas import Json

EVERY_ANSWER: Final = ("X-Request-Id",)
OF_PROBLEMS: Final = (*EVERY_ANSWER, "Retry-After", "WWW-Authenticate")
OF_CALLERS: Final = ("RateLimit", "RateLimit-Policy")
"""The headers of every answer to a known caller if calls are limited."""

_TEXT: Final[Json] = {"type": "string"}
REQUEST_HEADERS: Final[Mapping[str, Json]] = {
    "Idempotency-Key": {"schema": {"type": "string", "pattern": r"^[\x21-\x7e]{1,255}$"}},
    "If-Match": {"schema": _TEXT, "required": True},
    # A number, as ids of events are. The deep reference is on purpose: openapi-python-client skips
    # an operation that has one, so its users have no call that blocks until the ride ends.
    "Last-Event-ID": {"schema": {"$ref": "#/components/schemas/RideView/properties/version"}},
}
"""The schemas of request headers that are more than any text."""

RESPONSE_HEADERS: Final[Mapping[str, Json]] = {
    "ETag": {"description": "The version that is shown; send it as If-None-Match or If-Match."},
    "Location": {"description": "The address of what was made.", "format": "uri-reference"},
    "Retry-After": {"description": "Seconds to wait before the next attempt.", "type": "integer"},
    "Idempotency-Replayed": {"description": "Sent where an earlier request made this ride."},
    "Preference-Applied": {
        "description": "`wait=N`: the service waited for news for N seconds at most."
    },
    "WWW-Authenticate": {"description": "What a caller has to show (RFC 6750, RFC 9728)."},
    "X-Request-Id": {
        "description": "Finds the request in the log: sent by the client, or made by the service."
    },
    "RateLimit": {"description": "Calls that are left, and the seconds until there are more."},
    "RateLimit-Policy": {"description": "The limit, and the length of its window in seconds."},
}


def header_components() -> Json:
    """Each response header, described once."""
    return {
        name: {
            "description": fields["description"],
            "schema": {"type": "string"} | {k: v for k, v in fields.items() if k != "description"},
        }
        for name, fields in RESPONSE_HEADERS.items()
    }


def sent(names: Sequence[str]) -> Json:
    """References to the response headers of these names."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def curl(route: Route, path: str, example: Mapping[str, Any]) -> str:
    """A command that calls the route as the example does; the environment names API and token."""
    filled = path
    for name, value in example.get("path", {}).items():
        filled = filled.replace(f"{{{name}}}", value)
    query = f"?{urlencode(example['query'])}" if "query" in example else ""
    words = ["curl", "--no-buffer"] if path.endswith("/events") else ["curl"]
    if route.method != "GET":
        words += ["-X", route.method]
    words.append(f'"$API_URL{filled}{query}"')
    if not route.policy.is_public:
        words.append('-H "Authorization: Bearer $TOKEN"')
    words += [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in _sends(example)]
    if "request" in example:
        words.append(f"-d {shlex.quote(json.dumps(example['request']))}")
    return " ".join(words)


def _sends(example: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    typed = {"Content-Type": "application/json"} if "request" in example else {}
    return list((typed | example.get("headers", {})).items())
