"""Public descriptions of the API: for programs, for people, and where tokens come from."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

from flask import Blueprint, Flask, Response, current_app

from service.api import docs
from service.api.views import View
from service.auth import policy
from service.http import openapi
from service.http.context import dependencies
from service.http.guard import METADATA_PATH
from service.http.responses import JSON_TYPE, answer, encode
from service.http.route import Route, route
from service.settings import ApiSettings

blueprint: Final = Blueprint("discovery", __name__)
_DESCRIPTIONS: Final = "descriptions"


class OpenApiView(View):
    openapi: str
    paths: dict[str, Any]


class ResourceView(View):
    resource: str
    authorization_servers: list[str]
    scopes_supported: list[str]
    bearer_methods_supported: list[str]


class Descriptions:
    """The API's documents. They take 30 ms to build, which no start has to wait for."""

    def __init__(self, routes: Mapping[str, Route], settings: ApiSettings) -> None:
        self._routes = routes
        self._settings = settings

    @cached_property
    def document(self) -> dict[str, Any]:
        return openapi.document(
            self._routes.values(),
            server=self._settings.public_url,
            issuer=self._settings.issuers[0],
        )

    @cached_property
    def json(self) -> str:
        return encode(self.document)

    @cached_property
    def html(self) -> str:
        return docs.page(self.document)


def describe(app: Flask, routes: Mapping[str, Route], settings: ApiSettings) -> None:
    """Know the routes that the descriptions tell of; each is written when first asked for."""
    app.extensions[_DESCRIPTIONS] = Descriptions(routes, settings)


@route(blueprint, "GET", "/openapi.json", policy=policy.PUBLIC, answers={200: OpenApiView})
def openapi_json() -> Response:
    """This API as an OpenAPI 3.1 document."""
    return Response(current_app.extensions[_DESCRIPTIONS].json, content_type=JSON_TYPE)


@route(blueprint, "GET", "/docs", policy=policy.PUBLIC, answers={200: None})
def readable() -> Response:
    """This API as a page to read."""
    page = current_app.extensions[_DESCRIPTIONS].html
    headers = {"Content-Security-Policy": docs.CONTENT_SECURITY_POLICY}
    return Response(page, headers=headers, content_type="text/html; charset=utf-8")


@route(
    blueprint,
    "GET",
    METADATA_PATH,
    policy=policy.PUBLIC,
    answers={200: ResourceView},
)
def protected_resource() -> Response:
    """Where tokens for this API come from (RFC 9728)."""
    settings = dependencies().settings
    metadata = ResourceView(
        resource=settings.auth_resource or settings.public_url,
        authorization_servers=list(settings.issuers),
        scopes_supported=sorted(policy.SCOPES),
        bearer_methods_supported=["header"],
    )
    return answer(200, metadata)
