"""Routes that say everything about themselves in one place: who may call, what goes in and out.

The declaration drives the guard, the parsing of bodies and the OpenAPI document. An application
with a route that lacks one refuses to start.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from flask import Blueprint, Flask, Response
from pydantic import BaseModel, ValidationError

from service.auth.policy import Policy
from service.http.bodies import BODY_LIMIT, read_body, read_query
from service.http.frame import QUIET
from service.http.gate import gate, holders
from service.http.problems import Problem

View = Callable[..., Response]

ID_PATTERN: Final = "[A-Za-z0-9_-]{1,64}"
"""Ids of rides, unicorns and dead letters, wherever a client sends one."""
_ID: Final = re.compile(ID_PATTERN)


@dataclass(frozen=True, slots=True)
class Text:
    """An answer that is text of this media type, not JSON."""

    media_type: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of one path."""

    method: str
    rule: str
    policy: Policy
    view: View
    answers: Mapping[int, Any]
    """By status, the type of the answer's body: a view, `Text` or None (no body)."""
    body: type[BaseModel] | None = None
    body_limit: int = BODY_LIMIT
    """Bytes."""
    query: type[BaseModel] | None = None
    headers: tuple[str, ...] = ()
    """Request headers that matter here, for the OpenAPI document."""
    bare_tokens: bool = False
    """Takes tokens without a scheme word too."""
    id_tokens: bool = False
    """Takes ID tokens too, where `WORKSHOP_ID_TOKENS` says so."""

    @property
    def ids(self) -> tuple[str, ...]:
        """The path's parameters that name a ride or a unicorn."""
        return tuple(re.findall(r"<(\w+)>", self.rule))

    @property
    def summary(self) -> str:
        return (self.view.__doc__ or "").strip().partition("\n")[0]

    @property
    def body_is_optional(self) -> bool:
        """A body that may be an empty object may be left out."""
        if self.body is None:
            return False
        try:
            self.body()
        except ValidationError:
            return False
        return True


class UndeclaredRoute(RuntimeError):
    """A route without a policy: the application must not start."""


def route(
    blueprint: Blueprint,
    method: str,
    rule: str,
    *,
    policy: Policy,
    answers: Mapping[int, Any],
    body: type[BaseModel] | None = None,
    body_limit: int = BODY_LIMIT,
    query: type[BaseModel] | None = None,
    headers: tuple[str, ...] = (),
    bare_tokens: bool = False,
    id_tokens: bool = False,
) -> Callable[[View], View]:
    """Serve `method rule` by the decorated view.

    The view gets the path's parameters, and `body` and `query` as validated models.
    """

    def register(view: View) -> View:
        declared = Route(
            method=method,
            rule=rule,
            policy=policy,
            view=view,
            answers=answers,
            body=body,
            body_limit=body_limit,
            query=query,
            headers=headers,
            bare_tokens=bare_tokens,
            id_tokens=id_tokens,
        )
        blueprint.add_url_rule(
            rule,
            endpoint=view.__name__,
            view_func=_endpoint(declared),
            methods=[method],
            provide_automatic_options=False,
        )
        return view

    return register


def declared_routes(app: Flask) -> Mapping[str, Route]:
    """Every route of the application by endpoint. Raises `UndeclaredRoute` if one has no policy."""
    routes = {}
    for rule in app.url_map.iter_rules():
        declared = getattr(app.view_functions.get(rule.endpoint), "route", None)
        if not isinstance(declared, Route):
            raise UndeclaredRoute(f"{rule.rule} declares no policy")
        routes[rule.endpoint] = declared
    return routes


def _endpoint(declared: Route) -> View:
    view, body, query, ids = declared.view, declared.body, declared.query, declared.ids
    optional = declared.body_is_optional

    def endpoint(**arguments: Any) -> Response:
        for name in ids:
            _require_id(arguments[name])
        if query:
            arguments["query"] = read_query(query)
        if body:
            arguments["body"] = read_body(body, optional=optional, limit=declared.body_limit)
        if declared.rule in QUIET:
            return view(**arguments)
        with gate().place(*holders()):
            return view(**arguments)

    endpoint.route = declared  # type: ignore[attr-defined]
    return endpoint


def is_id(value: str) -> bool:
    """Whether this can be the id of a ride or a unicorn."""
    return _ID.fullmatch(value) is not None


def _require_id(value: str) -> None:
    # Checked here and not by a converter, so that without a token even a bad id is 401.
    if not is_id(value):
        raise Problem(404, "not_found", "There is nothing here.")
