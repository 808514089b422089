"""Takes the gateway's header off every request, and keeps what it says if its proof is good."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, cast

from flask import Flask

from service.auth.gateway import Vouched, vouched

HEADER: Final = "X-WildRydes-Gateway"
_IN: Final = f"HTTP_{HEADER.upper().replace('-', '_')}"
_OUT: Final = "wildrydes.vouched"


def install(app: Flask, proofs: Collection[str]) -> None:
    """Read and remove the header before anything else sees the request."""
    serve = app.wsgi_app

    def serve_vouched(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ[_OUT] = vouched(environ.pop(_IN, None), proofs)
        answer: Iterable[bytes] = cast(Callable[..., Any], serve)(environ, start_response)
        return answer

    app.wsgi_app = serve_vouched  # type: ignore[method-assign]


def vouched_in(environ: Mapping[str, Any]) -> Vouched | None:
    """What our gateway says of this request; None if it did not come through the gateway."""
    return cast("Vouched | None", environ.get(_OUT))
