"""The OpenAPI document as one plain page: no script, nothing fetched from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from html import escape
from typing import Any, Final

_STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
code, pre { font: 14px/1.4 ui-monospace, monospace; background: #f4f2f8; border-radius: 4px }
code { padding: .1em .3em } pre { padding: .8rem; overflow: auto }
h2 { margin-top: 2.5rem; font-size: 1.1rem } h2 b { color: #6b3fa0 }
"""
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY: Final = (
    f"default-src 'none'; frame-ancestors 'none'; style-src 'sha256-{_STYLE_HASH}'"
)


def page(document: dict[str, Any]) -> str:
    """HTML that lists each operation, who may call it, and the types it speaks."""
    title = escape(document["info"]["title"])
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style><h1>{title}</h1>"
        '<p>For programs: <a href="/openapi.json">openapi.json</a>.</p>'
        f"{''.join(_operations(document['paths']))}<h1>Types</h1>"
        f"{''.join(_types(document['components']['schemas']))}</html>"
    )


def _operations(paths: dict[str, Any]) -> Iterator[str]:
    for path, methods in paths.items():
        for method, operation in methods.items():
            yield f"<h2><b>{method.upper()}</b> <code>{escape(path)}</code></h2>"
            yield f"<p>{escape(operation['summary'])} {_scopes(operation)}</p>"
            for parameter in operation.get("parameters", ()):
                yield f"<p><code>{escape(parameter['name'])}</code> in {parameter['in']}</p>"
            if "requestBody" in operation:
                yield f"<p>Body: {_type(operation['requestBody'])}</p>"
            for status, answer in operation["responses"].items():
                yield f"<p>{escape(status)}: {_type(answer)}</p>"


def _scopes(operation: dict[str, Any]) -> str:
    scopes = [scope for each in operation["security"] for names in each.values() for scope in names]
    return " ".join(f"<code>{escape(scope)}</code>" for scope in scopes) or "Public."


def _type(described: dict[str, Any]) -> str:
    for content in described.get("content", {}).values():
        name = content["schema"].get("$ref", "").rsplit("/", 1)[-1]
        if name:
            return f'<a href="#{escape(name)}">{escape(name)}</a>'
    return "no content"


def _types(schemas: dict[str, Any]) -> Iterator[str]:
    for name, schema in schemas.items():
        yield f'<h2 id="{escape(name)}">{escape(name)}</h2>'
        yield f"<pre>{escape(json.dumps(schema, indent=2))}</pre>"
