"""The HTTP application, put together. No I/O happens here; the first request brings it."""

from __future__ import annotations

from typing import Final

from flask import Flask

from service.api import (
    discovery,
    estimates,
    events,
    health,
    rides,
    staff_operations,
    staff_rides,
    staff_unicorns,
    unicorns,
    workshop,
)
from service.http import (
    context,
    cors,
    frame,
    gate,
    guard,
    problems,
)
from service.http.context import Dependencies
from service.http.route import declared_routes

BLUEPRINTS: Final = (
    rides.blueprint,
    events.blueprint,
    workshop.blueprint,
    estimates.blueprint,
    unicorns.blueprint,
    staff_unicorns.blueprint,
    staff_rides.blueprint,
    staff_operations.blueprint,
    discovery.blueprint,
)


def create_app(dependencies: Dependencies) -> Flask:
    """The application on these dependencies. Raises `UndeclaredRoute`: a route has no policy."""
    app = Flask("service", static_folder=None, template_folder=None)
    settings = dependencies.settings
    # One path, one route: no redirects that repeat a request, body and all, somewhere else.
    app.url_map.merge_slashes = False
    app.url_map.redirect_defaults = False
    context.provide(app, dependencies)
    frame.install(app, settings.public_url)
    problems.install(app)
    cors.install(app, settings.cors_origins)
    gate.install(app, settings, dependencies.ports.changes)
    health.install(app, dependencies.probes)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    routes = declared_routes(app)
    guard.install(app, routes, dependencies)
    discovery.describe(app, routes, settings)
    return app
