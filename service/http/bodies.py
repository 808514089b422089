"""Reads request bodies and query strings: bounded in size, parsed strictly, each fault named."""

from __future__ import annotations

from typing import Final, TypeVar

from flask import request
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from service.http.context import client
from service.http.problems import Problem
from service.strict import read_json

BODY_LIMIT: Final = 16 * 1024
FAULTS_NAMED: Final = 50
"""An answer names at most this many faults, so that it is not many times the size of a bad body."""

Model = TypeVar("Model", bound=BaseModel)


def read_body(model: type[Model], *, optional: bool, limit: int = BODY_LIMIT) -> Model:
    """The body as `model`: at most `limit` bytes, with a content length or chunked.

    An empty body is allowed if `optional`. Raises 400, 408, 413, 415 and 422 problems.
    """
    environ, length = request.environ, request.content_length
    if length is not None and length > limit:
        raise RequestEntityTooLarge
    _require_plain(environ.get("HTTP_CONTENT_ENCODING", "identity"), "identity")
    _require_plain(environ.get("HTTP_TRANSFER_ENCODING", "chunked"), "chunked")
    if not optional:
        _require_json()
    body = _received(limit)
    if optional:
        if not body:
            return model()
        _require_json()
    return validated(model, parse(body), "body")


def read_query(model: type[Model]) -> Model:
    """The query string as `model`. Other parameters are ignored; a repeated one is a fault."""
    named = {
        name: values if len(values) > 1 else values[0]
        for name, values in request.args.lists()
        if name in model.model_fields
    }
    return validated(model, named, "query")


def parse(body: bytes) -> object:
    """Strict JSON (RFC 8259): UTF-8, finite numbers, no duplicate names, bounded depth."""
    try:
        return read_json(body)
    except ValueError:
        # `from None`, because the cause quotes the body.
        raise Problem(400, "malformed_body", "The body is not valid JSON.") from None


def validated(model: type[Model], value: object, whole: str) -> Model:
    """`value` as `model`, or a 422 that names each field by its dotted path (else `whole`)."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        faults = error.errors()
        raise Problem(
            422,
            "validation_failed",
            "The request does not have the expected form.",
            faults=[_fault(fault, whole) for fault in faults[:FAULTS_NAMED]],
        ) from None


def _require_plain(codings: str, allowed: str) -> None:
    """Raise a 415 problem if the header names another coding than `allowed` (RFC 9110, 15.5.16)."""
    if any(coding.strip().lower() not in {allowed, ""} for coding in codings.split(",")):
        detail = "The body must have no content coding, and no transfer coding but chunked."
        headers = {"Accept-Encoding": "identity"}
        raise Problem(415, "unsupported_media_type", detail, headers=headers)


def _require_json() -> None:
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if request.mimetype != "application/json" or charset != "utf-8":
        detail = "The content type must be application/json in UTF-8."
        raise Problem(415, "unsupported_media_type", detail)


def _received(limit: int) -> bytes:
    # One byte more than `limit`, to notice a larger body: werkzeug silently cuts a chunked body at
    # its limit, and half a body may still be valid JSON.
    request.max_content_length = limit + 1
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise
    except Exception as error:
        # Any exception: PEP 3333 does not say what a server raises for a body with broken chunks.
        refusal = client().refusal
        raise (Problem(*refusal) if refusal else ClientDisconnected()) from error
    if len(body) > limit:
        raise RequestEntityTooLarge
    return body


def _fault(fault: ErrorDetails, whole: str) -> dict[str, str]:
    path = ".".join(str(part) for part in fault["loc"])
    return {"field": path[:200] or whole, "message": _message(fault)}


def _message(fault: ErrorDetails) -> str:
    # Pydantic's own message would show the name of our class.
    if fault["type"] == "model_type":
        return "Input should be an object"
    return fault["msg"].removeprefix("Value error, ")
