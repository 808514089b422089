"""Public documents: compressed once, with an entity tag made from their content."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from flask import Blueprint, Response, request

from service.auth import policy
from service.http.route import Route

HTML: Final = "text/html; charset=utf-8"
KEPT: Final = "public, max-age=31536000, immutable"
"""Cache-Control of a document whose address changes with its content: browsers keep it."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document, plain and compressed."""

    content: bytes
    compressed: bytes
    media_type: str
    tag: str

    @classmethod
    def of(cls, content: bytes, media_type: str, compressed: bytes | None = None) -> Document:
        """The document; compresses `content` unless `compressed` is given."""
        compressed = compressed or gzip.compress(content, mtime=0)
        return cls(content, compressed, media_type, hashlib.sha256(content).hexdigest())

    def response(self, headers: Mapping[str, str] | None = None) -> Response:
        """The document, or 304 if the client already has it.

        Clients keep it but ask for changes each time, unless `headers` say otherwise.
        """
        response = Response(self.content, headers=headers, content_type=self.media_type)
        if request.accept_encodings.quality("gzip"):
            response.set_data(self.compressed)
            response.content_encoding = "gzip"
        if "Cache-Control" not in response.headers:
            response.cache_control.no_cache = True
        response.vary.add("Accept-Encoding")
        # Weak, because both encodings of the content have the same tag.
        response.set_etag(self.tag, weak=True)
        response.make_conditional(request)
        return response


def document_route(blueprint: Blueprint, rule: str, answer: Any) -> Route:
    """A public route that answers with a document. `answer`: what the API's document says of it."""
    return Route(
        blueprint,
        "GET",
        rule,
        policy=policy.PUBLIC,
        headers=("If-None-Match",),
        sends=("ETag",),
        answers={200: answer, 304: None},
    )
