"""Public descriptions of the API: for programs, for people, and where tokens come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from flask import Blueprint, Flask, Response, current_app
from typing_extensions import TypedDict

from service.api import docs
from service.auth import policy
from service.http import openapi
from service.http.context import dependencies
from service.http.guard import METADATA_PATH
from service.http.responses import JSON_TYPE, answer, encode
from service.http.route import Route, route
from service.settings import ApiSettings

blueprint: Final = Blueprint("discovery", __name__)
_DOCUMENTS: Final = "documents"


class OpenApiView(TypedDict):
    openapi: str
    paths: dict[str, Any]


class ResourceView(TypedDict):
    resource: str
    authorization_servers: list[str]
    scopes_supported: list[str]
    bearer_methods_supported: list[str]


def describe(app: Flask, routes: Mapping[str, Route], settings: ApiSettings) -> None:
    """Write the descriptions, once every route is known."""
    document = openapi.document(
        routes.values(), server=settings.public_url, issuer=settings.issuers[0]
    )
    app.extensions[_DOCUMENTS] = {"json": encode(document), "html": docs.page(document)}


@route(blueprint, "GET", "/openapi.json", policy=policy.PUBLIC, answers={200: OpenApiView})
def openapi_json() -> Response:
    """This API as an OpenAPI 3.1 document."""
    return Response(current_app.extensions[_DOCUMENTS]["json"], content_type=JSON_TYPE)


@route(blueprint, "GET", "/docs", policy=policy.PUBLIC, answers={200: None})
def readable() -> Response:
    """This API as a page to read."""
    page = current_app.extensions[_DOCUMENTS]["html"]
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
    metadata: ResourceView = {
        "resource": settings.auth_resource or settings.public_url,
        "authorization_servers": list(settings.issuers),
        "scopes_supported": sorted(policy.SCOPES),
        "bearer_methods_supported": ["header"],
    }
    return answer(200, metadata)
