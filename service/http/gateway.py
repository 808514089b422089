"""Removes the gateway's header from every request, and keeps its facts if its proof is right."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, cast

from flask import Flask

from service.auth.gateway import Vouched, vouched

HEADER: Final = "X-WildRydes-Gateway"
_IN: Final = f"HTTP_{HEADER.upper().replace('-', '_')}"
_OUT: Final = "wildrydes.vouched"


def install(app: Flask, proofs: Collection[str]) -> None:
    """Read and remove the header before any other code sees the request."""
    serve = app.wsgi_app

    def serve_vouched(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ[_OUT] = vouched(environ.pop(_IN, None), proofs)
        answer: Iterable[bytes] = cast(Callable[..., Any], serve)(environ, start_response)
        return answer

    app.wsgi_app = serve_vouched  # type: ignore[method-assign]


def vouched_in(environ: Mapping[str, Any]) -> Vouched | None:
    """The gateway's facts about this request; None if it did not come through the gateway."""
    return cast("Vouched | None", environ.get(_OUT))
