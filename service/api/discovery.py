"""Public descriptions: the OpenAPI document, a page to read, and where tokens come from."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from flask import Blueprint, Flask, Response, current_app

from service.api.documents import HTML, Document, document_route
from service.api.views import View
from service.auth import policy
from service.http import openapi
from service.http.context import dependencies
from service.http.guard import METADATA_PATH
from service.http.paths import link
from service.http.responses import JSON_TYPE, answer, encode
from service.http.route import Route, Text
from service.settings import ApiSettings

blueprint: Final = Blueprint("discovery", __name__)
_DESCRIPTIONS: Final = "descriptions"

VIEWER: Final = Path(__file__).parent / "viewer" / "redoc.standalone.js.gz"
"""The script that draws the page; see the README beside it."""

EXAMPLES: Final = Path(__file__).parent / "examples.json"
"""Requests and answers of a real run; `tests/integration/test_examples.py` records them."""

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; "
    "style-src 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' "
    "'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='; "
    "img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)

_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Wild Rydes Dispatch</title>
<link rel="icon" href="data:,">
<p>For programs: <a href="{document}">openapi.json</a>.</p>
<redoc spec-url="{document}" disable-search hide-download-button
  expand-responses="200,201,202"></redoc>
<script src="{viewer}"></script>
</html>
"""


class OpenApiView(View):
    openapi: str
    paths: dict[str, Any]


class ResourceView(View):
    """Where tokens for this API come from (RFC 9728)."""

    resource: str
    authorization_servers: list[str]
    scopes_supported: list[str]
    bearer_methods_supported: list[str]


class Descriptions:
    """The API's documents. Each is built when it is first needed, because that takes 30 ms."""

    def __init__(self, routes: Mapping[str, Route], settings: ApiSettings) -> None:
        self._routes = routes
        self._settings = settings

    @cached_property
    def openapi(self) -> Document:
        examples = json.loads(EXAMPLES.read_text())
        described = openapi.document(self._routes.values(), self._settings, examples)
        return Document.of(encode(described).encode(), JSON_TYPE)

    @cached_property
    def page(self) -> Document:
        document, viewer = (
            link(self._settings.public_url, path) for path in ("/openapi.json", "/docs/viewer.js")
        )
        page = _PAGE.format(document=document, viewer=viewer)
        return Document.of(page.encode(), HTML)

    @cached_property
    def viewer(self) -> Document:
        compressed = VIEWER.read_bytes()
        script = gzip.decompress(compressed)
        return Document.of(script, "text/javascript; charset=utf-8", compressed)


def describe(app: Flask, routes: Mapping[str, Route], settings: ApiSettings) -> None:
    """Keep the routes for the descriptions, each of which is built when it is first requested."""
    app.extensions[_DESCRIPTIONS] = Descriptions(routes, settings)


def _descriptions() -> Descriptions:
    descriptions: Descriptions = current_app.extensions[_DESCRIPTIONS]
    return descriptions


@document_route(blueprint, "/openapi.json", OpenApiView)
def openapi_json() -> Response:
    """The OpenAPI 3.1 document of this API."""
    return _descriptions().openapi.response()


@document_route(blueprint, "/docs", Text("text/html", "A page to read."))
def readable() -> Response:
    """A page that shows `/openapi.json` for reading."""
    return _descriptions().page.response({"Content-Security-Policy": CONTENT_SECURITY_POLICY})


@document_route(blueprint, "/docs/viewer.js", Text("text/javascript", "The script of the page."))
def viewer() -> Response:
    """The script that draws the page."""
    return _descriptions().viewer.response()


@Route(blueprint, "GET", METADATA_PATH, policy=policy.PUBLIC, answers={200: ResourceView})
def protected_resource() -> Response:
    """Where tokens for this API come from (RFC 9728)."""
    settings = dependencies().settings
    metadata = ResourceView(
        resource=settings.auth_resource or settings.public_url,
        authorization_servers=list(settings.authorization_servers),
        scopes_supported=sorted(policy.SCOPES),
        bearer_methods_supported=["header"],
    )
    return answer(200, metadata)
