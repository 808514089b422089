"""The guard: admits a request only with a token that satisfies its route's policy.

It runs before the body is read. A request for an endpoint without a declared route fails (500).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from flask import Flask, Response, g, request
from werkzeug.exceptions import NotFound

from service.auth import bearer, revocation
from service.auth.callers import caller_of
from service.auth.errors import AuthError, AuthUnavailable
from service.auth.policy import ADMIN_SCOPE, Policy, Role, authorize
from service.auth.principal import Principal
from service.auth.revocation import PoolSignOut
from service.http import audit, cors
from service.http.context import Dependencies, caller, dependencies
from service.http.gateway import gateway_facts
from service.http.limits import Standing
from service.http.paths import absolute_url, canonical_path
from service.http.problems import Problem
from service.http.route import Route
from service.settings import ApiSettings

METADATA_PATH: Final = "/.well-known/oauth-protected-resource"

TOO_MANY: Final = "rate_limited"


def install(app: Flask, routes: Mapping[str, Route], deps: Dependencies) -> None:
    """Judge each request by its route's policy."""
    guard = Guard(deps)

    def begin() -> Response | None:
        preflight = cors.preflight()
        if preflight or request.routing_exception is not None:
            # No route: Flask raises 404 or 405 next.
            return preflight
        _require_one_spelling(request.environ)
        route = routes[request.endpoint or ""]
        if not route.policy.is_public:
            guard.admit(route)
        return None

    app.before_request(begin)
    app.after_request(_with_standing)
    app.after_request(_audit_failed_write)
    app.register_error_handler(AuthError, guard.refusal)


def groups_of(settings: ApiSettings) -> Mapping[Role, str]:
    """The user pool's group for each role."""
    return {
        Role.ADMIN: settings.admin_group,
        Role.DISPATCHER: settings.dispatcher_group,
        Role.UNICORN: settings.unicorn_group,
    }


def check_again() -> None:
    """Check the current request's token again after a wait, in which it may have ended.

    Raises `AuthError`.
    """
    deps = dependencies()
    deps.revoked.check_again(caller(), g.policy, deps.now())


def is_still_admitted() -> bool:
    """Whether the current request's token is still accepted after a wait.

    For a request that has written something: a refusal would make its client write again, with a
    new token.
    """
    try:
        check_again()
    except AuthError:
        return False
    return True


def revoke(kind: str, value: str) -> PoolSignOut:
    """Revoke a token, a sign-in or a subject: in this process at once, in all others within 5 s.

    Raises `Unavailable`.
    """
    deps, settings = dependencies(), dependencies().settings
    signed_out = revocation.revoke(
        deps.revocations,
        deps.pool,
        (kind, value),
        deps.now,
        session_seconds=settings.auth_session_max_seconds,
        leeway_seconds=settings.auth_leeway_seconds,
    )
    deps.revoked.forget()
    return signed_out


class Guard:
    """Applies authentication, revocations, policy and rate limits, in this order."""

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps
        self._groups = groups_of(deps.settings)
        self._metadata_url = absolute_url(deps.settings.public_url, METADATA_PATH)

    def admit(self, route: Route) -> None:
        """Let the request pass, or raise `AuthError` or a 429 problem."""
        now = self._deps.now()
        g.principal = principal = self._caller(route.policy, now)
        self._deps.revoked.check(principal, route.policy, request.method, now)
        authorize(route.policy, principal, self._groups)
        g.policy = route.policy
        limiter = self._deps.limiter
        if limiter:
            g.standing = limiter.admitted(principal.subject, self._address(), now.timestamp())
            if g.standing.is_exceeded:
                audit.refused(TOO_MANY, f"limit: {g.standing.limit.name}")
                raise _too_many(g.standing)

    def _caller(self, policy: Policy, now: datetime) -> Principal:
        """The caller that our gateway names, or else the caller that the credentials prove."""
        authorization = request.environ.get("HTTP_AUTHORIZATION")
        facts = gateway_facts(request.environ)
        # Most requests have no query. Checking that first saves the cost of parsing it.
        has_query_token = bool(request.query_string) and "access_token" in request.args
        if facts and facts.caller_arn:
            return self._deps.gateway.verify(facts, authorization, has_query_token, now.timestamp())
        return caller_of(
            self._deps,
            policy,
            authorization,
            has_query_token,
            now.timestamp(),
            before_sts=lambda: self._require_good_standing(now),
        )

    def refusal(self, error: AuthError) -> Response:
        """The answer to a refused request; also counts and logs it."""
        limiter = self._deps.limiter
        if limiter and not isinstance(error, AuthUnavailable):
            standing = limiter.refused(self._address(), self._deps.now().timestamp())
            if standing.is_exceeded:
                g.standing = standing
                audit.refused(TOO_MANY, str(error))
                return _too_many(standing).response()
        audit.refused(error.reason, str(error))
        return self._challenged(error)

    def _require_good_standing(self, now: datetime) -> None:
        """Raise a 429 problem for an address refused too often: it causes no more calls to STS."""
        limiter = self._deps.limiter
        if limiter:
            standing = limiter.failures(self._address(), now.timestamp())
            if standing.used >= standing.limit.amount:
                audit.refused(TOO_MANY, "limit: failures, before STS was asked")
                raise _too_many(standing)

    def _address(self) -> str:
        return audit.client_address(request.environ, self._deps.settings.trusted_proxy_hops)

    def _challenged(self, error: AuthError) -> Response:
        headers = {}
        challenge = bearer.challenge(error, self._metadata_url)
        if challenge:
            headers["WWW-Authenticate"] = challenge
        if isinstance(error, AuthUnavailable):
            headers["Retry-After"] = str(error.retry_after)
        return Problem(error.status, error.reason, error.detail, headers=headers).response()


def _require_one_spelling(environ: Mapping[str, Any]) -> None:
    """Raise 404 unless the raw target spells the path exactly as the server decoded it."""
    if canonical_path(environ["RAW_URI"]) != environ["PATH_INFO"]:
        raise NotFound


def _too_many(standing: Standing) -> Problem:
    detail = "Too many requests; try again later."
    return Problem(429, TOO_MANY, detail, headers={"Retry-After": str(standing.seconds_left)})


def _audit_failed_write(response: Response) -> Response:
    """Write an audit line if a staff write fails with 5xx: the store may have done the write."""
    declared: Policy | None = g.get("policy")
    is_staffs = declared is not None and ADMIN_SCOPE in declared.scopes
    if is_staffs and request.method not in {"GET", "HEAD"} and response.status_code >= 500:
        audit.outcome_unknown(response.status_code)
    return response


def _with_standing(response: Response) -> Response:
    """Add rate-limit headers, so that callers know how many requests they have left."""
    standing: Standing | None = g.get("standing")
    if standing:
        response.headers.extend(standing.headers())
    return response
