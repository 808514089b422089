"""Builds the HTTP application. Nothing here does I/O; I/O begins with the first request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from flask import Flask
from werkzeug.routing import MapAdapter

from service.api import (
    discovery,
    estimates,
    events,
    health,
    me,
    moves,
    pages,
    positions,
    rides,
    staff_map,
    staff_operations,
    staff_rides,
    staff_unicorns,
    travel_times,
    unicorns,
    workshop,
)
from service.http import context, cors, frame, gate, gateway, guard, problems
from service.http.context import Dependencies
from service.http.route import Route, declared_routes

BLUEPRINTS: Final = (
    rides.blueprint,
    events.blueprint,
    me.blueprint,
    workshop.blueprint,
    estimates.blueprint,
    unicorns.blueprint,
    positions.blueprint,
    moves.blueprint,
    staff_unicorns.blueprint,
    staff_map.blueprint,
    staff_rides.blueprint,
    staff_operations.blueprint,
    travel_times.blueprint,
    discovery.blueprint,
    health.blueprint,
    pages.blueprint,
)


@dataclass(frozen=True, slots=True)
class RouteMap:
    """Maps paths to routes as the application does; the gateway's authorizer uses it."""

    urls: MapAdapter
    declared: Mapping[str, Route]
    """The routes, by the names that `urls` gives to their endpoints."""


class _Application(Flask):
    """Flask without support for coroutines. Flask checks for them at ten places per request."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func


def create_app(dependencies: Dependencies) -> Flask:
    """The application on these dependencies. Raises `UndeclaredRoute` if a route has no policy."""
    app = _with_routes()
    settings = dependencies.settings
    context.provide(app, dependencies)
    frame.install(app, settings.public_url)
    gateway.install(app, tuple(settings.gateway_proofs.values()))
    frame.report_refused_calls(app, dependencies.refused)
    problems.install(app)
    cors.install(app, settings.cors_origins)
    gate.install(app, settings)
    health.install(app, dependencies.probes)
    routes = declared_routes(app)
    guard.install(app, routes, dependencies)
    discovery.describe(app, routes, settings)
    pages.install(app, settings)
    return app


def route_map() -> RouteMap:
    """Every route of the application; needs no settings and no store."""
    app = _with_routes()
    return RouteMap(app.url_map.bind(""), declared_routes(app))


def _with_routes() -> Flask:
    app = _Application("service", static_folder=None, template_folder=None)
    # Off, because a redirect would repeat the request, with its body, at another path.
    app.url_map.merge_slashes = False
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    return app
