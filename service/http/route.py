"""Declarations of routes: who may call, what goes in and what comes out, in one place.

The guard, the parsing of bodies and the OpenAPI document use the declaration. The application does
not start if a route has none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Final, get_type_hints

from flask import Blueprint, Flask, Response
from pydantic import BaseModel, ValidationError

from service.auth.policy import Policy
from service.http.bodies import BODY_LIMIT, read_body, read_query
from service.http.context import caller, dependencies
from service.http.frame import QUIET
from service.http.gate import gate, holders
from service.http.problems import Problem

Handler = Callable[..., Response]

ID_PATTERN: Final = "[A-Za-z0-9_-]{1,64}"
"""The form of the ids of rides, unicorns and dead letters."""
_ID: Final = re.compile(ID_PATTERN)


@dataclass(frozen=True, slots=True)
class Text:
    """An answer whose body is text of this media type, not JSON."""

    media_type: str
    description: str
    events: Mapping[str, type[BaseModel]] = field(default_factory=dict)
    """For a stream: the type of each event's data, by event name."""


@dataclass(eq=False)
class Route:
    """Decorates the function that serves one method of one path, with its policy and its answers.

    The function is called with the path's parameters. If it has parameters named `body` or `query`,
    it gets them validated; their types are the route's models of body and query.
    """

    blueprint: Blueprint
    method: str
    rule: str
    _: KW_ONLY
    policy: Policy
    answers: Mapping[int, Any]
    """The type of the answer's body by status: a view, `Text` or None (no body)."""
    body_limit: int = BODY_LIMIT
    """The largest body in bytes."""
    headers: tuple[str, ...] = ()
    """Request headers that this route reads, for the OpenAPI document."""
    sends: tuple[str, ...] = ()
    """Headers of successful answers, besides those of all answers, for the OpenAPI document."""
    handler: Handler = field(init=False)
    body: type[BaseModel] | None = field(init=False)
    query: type[BaseModel] | None = field(init=False)

    def __call__(self, handler: Handler) -> Handler:
        types = get_type_hints(handler)
        self.handler, self.body, self.query = handler, types.get("body"), types.get("query")
        self.blueprint.add_url_rule(
            self.rule,
            endpoint=handler.__name__,
            view_func=_endpoint(self),
            methods=[self.method],
            provide_automatic_options=False,
        )
        return handler

    @property
    def ids(self) -> tuple[str, ...]:
        """The path's parameters that are ids: those without a converter, such as `<ride_id>`."""
        return tuple(re.findall(r"<(\w+)>", self.rule))

    @property
    def summary(self) -> str:
        return (self.handler.__doc__ or "").strip().partition("\n")[0]

    @property
    def body_is_optional(self) -> bool:
        """Whether a client may leave the body out: true if an empty object would be valid."""
        if self.body is None:
            return False
        try:
            self.body()
        except ValidationError:
            return False
        return True


class UndeclaredRoute(RuntimeError):
    """A route without a policy: the application must not start."""


def declared_routes(app: Flask) -> Mapping[str, Route]:
    """All routes of the application by endpoint. Raises `UndeclaredRoute` if one has no policy."""
    routes = {}
    for rule in app.url_map.iter_rules():
        declared = getattr(app.view_functions.get(rule.endpoint), "route", None)
        if not isinstance(declared, Route):
            raise UndeclaredRoute(f"{rule.rule} declares no policy")
        routes[rule.endpoint] = declared
    return routes


def _endpoint(declared: Route) -> Handler:
    handler, body, query, ids = declared.handler, declared.body, declared.query, declared.ids
    optional = declared.body_is_optional

    def endpoint(**arguments: Any) -> Response:
        for name in ids:
            _require_id(arguments[name])
        if query:
            arguments["query"] = read_query(query)
        if body:
            arguments["body"] = read_body(body, optional=optional, limit=declared.body_limit)
        if declared.rule in QUIET:
            return handler(**arguments)
        with gate().place(*holders()):
            if body:
                # The client may have taken seconds for the body; its token may have ended since.
                deps = dependencies()
                deps.revoked.check_again(caller(), declared.policy, deps.now())
            return handler(**arguments)

    endpoint.route = declared  # type: ignore[attr-defined]
    return endpoint


def is_id(value: str) -> bool:
    """Whether the text has the form of an id."""
    return _ID.fullmatch(value) is not None


def _require_id(value: str) -> None:
    # Checked here and not by a URL converter, so that a request without a token gets 401 first.
    if not is_id(value):
        raise Problem(404, "not_found", "There is nothing here.")
