"""Errors as `application/problem+json` (RFC 9457), each with a stable `reason` for programs.

Use cases raise errors of the domain. The table `DOMAIN` gives each its HTTP status and reason.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Final

from flask import Flask, Response
from werkzeug.exceptions import (
    ClientDisconnected,
    HTTPException,
    MethodNotAllowed,
    RequestEntityTooLarge,
)
from werkzeug.http import HTTP_STATUS_CODES

from service.http.context import request_id
from service.http.responses import answer
from service.model import errors

logger = logging.getLogger(__name__)

PROBLEM_TYPE: Final = "application/problem+json"
RETRY_SOON: Final = {"Retry-After": "1"}
RETRY_LATER: Final = {"Retry-After": "30"}
"""For a pause of dispatch, which an operator ends: minutes rather than seconds."""

DOMAIN: Final[Mapping[type[errors.DispatchError], tuple[int, str]]] = {
    errors.RideNotFound: (404, "not_found"),
    errors.UnicornNotFound: (404, "not_found"),
    errors.TooFarAway: (409, "too_far_away"),
    errors.IllegalTransition: (409, "illegal_transition"),
    errors.NotCancelable: (409, "not_cancelable"),
    errors.UnicornBusy: (409, "unicorn_busy"),
    errors.AccountTaken: (409, "account_taken"),
    errors.UnicornExists: (409, "unicorn_exists"),
    errors.DeadLetterNotFound: (404, "not_found"),
    errors.PhotoNotFound: (404, "not_found"),
    errors.OpenRides: (409, "open_rides"),
    errors.DispatchPaused: (503, "dispatch_paused"),
    errors.TooManyActiveRides: (409, "too_many_active_rides"),
    errors.StaleVersion: (412, "precondition_failed"),
    errors.IdempotencyKeyReused: (422, "idempotency_key_reused"),
}
"""Status and reason of each error of the domain; all others that reach a route mean that a store
failed: 503."""


REASONS: Final[Mapping[str, str]] = {
    "missing_token": "no bearer token was sent",
    "malformed_header": "the Authorization header does not hold exactly one bearer token",
    "invalid_token": "the token is not valid or no longer valid; sign in again",
    "token_too_large": "the token is longer than 7 KiB",
    "insufficient_scope": "the token lacks a scope, which the challenge names",
    "forbidden": "the token is of the wrong kind, or its user is in none of the allowed groups",
    "auth_unavailable": "the token cannot be checked at the moment; try again",
    "rate_limited": "too many requests; try again later",
    "too_many_streams": "the caller has too many open event streams",
    "bad_request": "the request could not be read",
    "request_timeout": "the request did not arrive in time",
    "uri_too_long": "the address is too long",
    "headers_too_large": "the headers are too large",
    "expectation_failed": "the service supports no expectation but 100-continue",
    "malformed_body": "the body is not JSON",
    "body_too_large": "the body is too large",
    "unsupported_media_type": "the body has a type or coding that is not supported",
    "validation_failed": "a field, header or parameter is not valid; `errors` names it",
    "invalid_cursor": "this listing did not give this cursor to the caller",
    "idempotency_key_reused": "the key was used before, with another body",
    "precondition_required": "the change must name the version that it is based on (If-Match)",
    "precondition_failed": "the stored version is another one by now",
    "not_found": "it does not exist, or the caller may not see it",
    "method_not_allowed": "this path does not support this method",
    "illegal_transition": "the ride or unicorn is in a state that does not allow this",
    "not_cancelable": "the ride is in progress or has ended",
    "too_far_away": "the unicorn is not at the pickup",
    "too_many_active_rides": "the rider has as many open rides as are allowed",
    "open_rides": "the rider has a ride that has not ended",
    "unicorn_busy": "the unicorn has a ride",
    "unicorn_exists": "the unicorn id is or was in use",
    "account_taken": "the account drives another unicorn",
    "dispatch_paused": "no rides are accepted here at the moment",
    "unavailable": "a store did not answer in time, or there are too many requests; try again",
    "internal_error": "the service failed",
}
"""The values of `reason`, and what they mean."""


class Problem(Exception):
    """An error answer (RFC 9457); any code that a handler calls may raise it."""

    def __init__(
        self,
        status: int,
        reason: str,
        detail: str,
        *,
        faults: Sequence[Mapping[str, str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail
        self.faults = faults
        self.headers = headers

    def response(self) -> Response:
        members: dict[str, object] = {
            "type": "about:blank",
            "title": HTTP_STATUS_CODES[self.status],
            "status": self.status,
            "detail": self.detail,
            "reason": self.reason,
            "request_id": request_id(),
        }
        if self.faults is not None:
            members["errors"] = self.faults
        return answer(self.status, members, self.headers, PROBLEM_TYPE)


def invalid(field: str, message: str, reason: str = "validation_failed") -> Problem:
    """A 422 problem for one field, header or query parameter."""
    faults = [{"field": field, "message": message}]
    return Problem(422, reason, "The request does not have the expected form.", faults=faults)


def install(app: Flask) -> None:
    """Answer every exception with a problem."""
    app.register_error_handler(Problem, Problem.response)
    app.register_error_handler(errors.DispatchError, _of_domain)
    app.register_error_handler(HTTPException, _of_http)
    app.register_error_handler(Exception, _unexpected)


def _of_domain(error: errors.DispatchError) -> Response:
    status_and_reason = DOMAIN.get(type(error))
    if status_and_reason:
        later = RETRY_LATER if isinstance(error, errors.DispatchPaused) else None
        return Problem(*status_and_reason, _sentence(error), headers=later).response()
    logger.warning("unavailable", extra={"cause": str(error)})
    return Problem(
        503, "unavailable", "A store did not answer in time; try again.", headers=RETRY_SOON
    ).response()


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


def _of_http(error: HTTPException) -> Response:
    match error:
        case MethodNotAllowed():
            allowed = ", ".join(sorted(error.valid_methods or ()))
            problem = Problem(
                405,
                "method_not_allowed",
                "This path does not support this method.",
                headers={"Allow": allowed},
            )
        case RequestEntityTooLarge():
            problem = Problem(413, "body_too_large", "The body is too large.")
        case HTTPException(code=404):
            problem = Problem(404, "not_found", "There is nothing here.")
        case ClientDisconnected():
            problem = Problem(400, "malformed_body", "The body ended early.")
        case _:
            problem = Problem(400, "bad_request", "The request could not be read.")
    return problem.response()


def _unexpected(error: Exception) -> Response:
    logger.error("unexpected error", exc_info=error)
    detail = "The service failed; its log has the details under this request id."
    return Problem(500, "internal_error", detail).response()
