"""Makes answers: with a JSON body, with none, and their entity tags."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from flask import Response
from pydantic import BaseModel

JSON_TYPE: Final = "application/json"

# One encoder per process, because `json.dumps` with options builds one per call. Its output is
# ASCII, so that any string a client sent can be encoded, lone surrogates too.
_encode: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def encode(payload: BaseModel | Mapping[str, object]) -> str:
    """The JSON text of a view or of plain values."""
    return payload.model_dump_json() if isinstance(payload, BaseModel) else _encode(payload)


def answer(
    status: int,
    payload: BaseModel | Mapping[str, object],
    headers: Mapping[str, str] | None = None,
    content_type: str = JSON_TYPE,
) -> Response:
    return Response(encode(payload), status, headers, content_type=content_type)


def empty(status: int, headers: Mapping[str, str] | None = None) -> Response:
    response = Response(status=status, headers=headers)
    # A content type describes content, and here is none (RFC 9110, 8.3).
    del response.headers["Content-Type"]
    return response


def entity_tag(version: int) -> str:
    return f'"{version}"'


def weak_tag(versions: str) -> str:
    """A tag that ignores changes without a version, such as a new position of a unicorn."""
    return f'W/"{versions}"'
