"""Removes the gateway's header from every request, and keeps its facts if its proof is right."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, cast

from flask import Flask

from service.auth.gateway import GatewayFacts, read_facts

HEADER: Final = "X-WildRydes-Gateway"
_IN: Final = f"HTTP_{HEADER.upper().replace('-', '_')}"
_OUT: Final = "wildrydes.gateway_facts"


def install(app: Flask, proofs: Collection[str]) -> None:
    """Read and remove the header before any other code sees the request."""
    serve = app.wsgi_app

    def serve_with_facts(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ[_OUT] = read_facts(environ.pop(_IN, None), proofs)
        answer: Iterable[bytes] = cast(Callable[..., Any], serve)(environ, start_response)
        return answer

    app.wsgi_app = serve_with_facts  # type: ignore[method-assign]


def gateway_facts(environ: Mapping[str, Any]) -> GatewayFacts | None:
    """The gateway's facts about this request; None if it did not come through the gateway."""
    return cast("GatewayFacts | None", environ.get(_OUT))
