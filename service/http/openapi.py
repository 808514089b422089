"""The OpenAPI 3.1 document, derived from the routes' own declarations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from service.auth.policy import Policy
from service.http.problems import PROBLEM_TYPE
from service.http.route import Route

Json = dict[str, Any]

SCHEME: Final = "cognito"
REFERENCES: Final = "#/components/schemas/{model}"

_HEADERS: Final[Mapping[str, Json]] = {
    "Idempotency-Key": {"schema": {"type": "string", "pattern": r"^[\x21-\x7e]{1,255}$"}},
    "If-Match": {"schema": {"type": "string"}, "required": True},
}
"""What can be said of request headers beyond that they are text."""

_PROBLEM: Final[Json] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "reason", "request_id"],
    "properties": {
        "type": {"type": "string", "const": "about:blank"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "reason": {"type": "string", "description": "Stable, for programs."},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}


def document(routes: Iterable[Route], *, server: str, issuer: str) -> Json:
    """The whole document; `server` and `issuer` are absolute URLs."""
    ordered = sorted(routes, key=lambda route: (_path(route), route.method))
    schemas, definitions = _schemas(ordered)
    paths: dict[str, Json] = {}
    for route in ordered:
        paths.setdefault(_path(route), {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Wild Rydes Dispatch", "version": "1"},
        "servers": [{"url": server}],
        "paths": paths,
        "components": {
            "schemas": {**definitions, "Problem": _PROBLEM},
            "securitySchemes": {
                SCHEME: {
                    "type": "openIdConnect",
                    "description": "A Cognito access token.",
                    "openIdConnectUrl": f"{issuer}/.well-known/openid-configuration",
                }
            },
        },
    }


def _schemas(routes: Iterable[Route]) -> tuple[Mapping[Any, Json], Json]:
    """The schema of each type that goes in or out, and the definitions they refer to."""
    modes: dict[Any, JsonSchemaMode] = {
        kind: "serialization" for route in routes for kind in route.answers.values() if kind
    }
    modes |= {route.body: "validation" for route in routes if route.body}
    inputs = [(kind, modes[kind], TypeAdapter(kind)) for kind in sorted(modes, key=_name)]
    by_key, rest = TypeAdapter.json_schemas(inputs, ref_template=REFERENCES)
    return {kind: by_key[kind, mode] for kind, mode in modes.items()}, rest["$defs"]


def _name(kind: type) -> str:
    return kind.__name__


def _path(route: Route) -> str:
    """`/v1/rides/<ride_id>` as `/v1/rides/{ride_id}`."""
    return re.sub(r"<(?:[^>]*:)?(\w+)>", r"{\1}", route.rule)


def _operation(route: Route, schemas: Mapping[Any, Json]) -> Json:
    operation: Json = {
        "operationId": route.view.__name__,
        "summary": route.summary,
        "security": security(route.policy),
        "responses": {
            **{str(status): _answer(kind, schemas) for status, kind in route.answers.items()},
            "default": {
                "description": "A problem.",
                "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        },
    }
    parameters = [
        *_path_parameters(route),
        *_query_parameters(route.query),
        *(_header_parameter(name) for name in route.headers),
    ]
    if parameters:
        operation["parameters"] = parameters
    if route.body:
        content = {"application/json": {"schema": schemas[route.body]}}
        operation["requestBody"] = {"content": content, "required": not route.body_is_optional}
    return operation


def security(policy: Policy) -> list[Json]:
    """The security requirement a policy amounts to; groups have no place in OpenAPI."""
    return [] if policy.is_public else [{SCHEME: list(policy.scopes)}]


def _answer(kind: Any, schemas: Mapping[Any, Json]) -> Json:
    if kind is None:
        return {"description": "No JSON content."}
    content = {"application/json": {"schema": schemas[kind]}}
    return {"description": kind.__name__, "content": content}


def _path_parameters(route: Route) -> list[Json]:
    return [
        _path_parameter(kind, name)
        for kind, name in re.findall(r"<(?:([^>]*):)?(\w+)>", route.rule)
    ]


def _path_parameter(converter: str, name: str) -> Json:
    schema: Json = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}
    if converter.startswith("any("):
        schema = {"type": "string", "enum": converter[4:-1].split(",")}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _header_parameter(name: str) -> Json:
    about = _HEADERS.get(name, {"schema": {"type": "string"}})
    return {"name": name, "in": "header", "required": False} | about


def _query_parameters(query: type[BaseModel] | None) -> list[Json]:
    if query is None:
        return []
    schema = query.model_json_schema()
    properties, required = {**schema["properties"]}, schema.get("required", ())
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "schema": _inlined(each, schema),
        }
        for name, each in properties.items()
    ]


def _inlined(schema: Json, root: Json) -> Json:
    """A parameter's schema without references: few are that deep, and none is recursive."""
    if "$ref" in schema:
        return dict(root["$defs"][schema["$ref"].rsplit("/", 1)[1]])
    if "anyOf" in schema:
        return schema | {"anyOf": [_inlined(each, root) for each in schema["anyOf"]]}
    return schema
