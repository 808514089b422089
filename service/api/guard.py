"""The guard: nothing behind a policy is reached without a token that satisfies it.

Runs before the body is read. An endpoint the guard does not know is refused, not let through.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from flask import Flask, Response, g, request

from service.api import cors
from service.api.context import Dependencies
from service.api.problems import RETRY_SOON, Problem
from service.api.routing import Route
from service.auth import bearer, policy
from service.auth.errors import AuthError
from service.auth.principal import Principal

logger = logging.getLogger(__name__)


def install(app: Flask, routes: Mapping[str, Route], deps: Dependencies) -> None:
    """Judge each request by its route's policy."""
    app.register_error_handler(AuthError, refused)
