"""JSON Schemas of bodies and answers, named as the classes that declare them.

A property that clients may leave out is not in `required` and has no `default`, because generators
of typed clients take a property with a default for one that is always there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from service.http.problems import REASONS
from service.http.route import Route, Text

Json = dict[str, Any]

REFERENCES: Final = "#/components/schemas/{model}"

PROBLEM: Final[Json] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "reason", "request_id"],
    "properties": {
        "type": {"type": "string", "const": "about:blank"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "reason": {"$ref": REFERENCES.format(model="Reason")},
        "request_id": {"type": "string"},
        "errors": {"type": "array", "items": {"$ref": REFERENCES.format(model="Fault")}},
    },
}
REASON: Final[Json] = {
    "type": "string",
    "enum": list(REASONS),
    "description": "A stable code for programs:\n"
    + "\n".join(f"- `{name}`: {meaning}" for name, meaning in REASONS.items()),
}
FAULT: Final[Json] = {
    "type": "object",
    "description": "A field that is not valid, and why.",
    "required": ["field", "message"],
    "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
}


class _Schemas(GenerateJsonSchema):
    """Pydantic's schemas without titles, which it would make from field names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


class _Bodies(_Schemas):
    """Schemas of bodies and answers, without defaults."""

    def default_schema(self, schema: Any) -> Json:
        described = super().default_schema(schema)
        described.pop("default", None)
        return described


def schemas_of(routes: Iterable[Route]) -> tuple[Mapping[Any, Json], Json]:
    """The schema of each type of a body or an answer, and the named schemas they refer to."""
    answers = [kind for route in routes for kind in route.answers.values() if kind]
    modes: dict[Any, JsonSchemaMode] = {
        kind: "serialization"
        for answer in answers
        for kind in (answer.events.values() if isinstance(answer, Text) else (answer,))
    }
    modes |= {route.body: "validation" for route in routes if route.body}
    inputs = [
        (kind, modes[kind], TypeAdapter(kind)) for kind in sorted(modes, key=lambda k: k.__name__)
    ]
    by_key, rest = TypeAdapter.json_schemas(
        inputs, ref_template=REFERENCES, schema_generator=_Bodies
    )
    named = {"Problem": PROBLEM, "Fault": FAULT, "Reason": REASON}
    for route in routes:
        if route.query:
            named |= _query_schema(route.query).get("$defs", {})
    return {kind: by_key[kind, mode] for kind, mode in modes.items()}, rest["$defs"] | named


def query_parameters(query: type[BaseModel] | None) -> list[Json]:
    """The parameters of a query string. No query parameter may be null; an optional one is left
    out.
    """
    if query is None:
        return []
    schema = _query_schema(query)
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _not_null(each)}
        for name, each in schema["properties"].items()
    ]


def _query_schema(query: type[BaseModel]) -> Json:
    return query.model_json_schema(ref_template=REFERENCES, schema_generator=_Schemas)


def _not_null(schema: Json) -> Json:
    if {"type": "null"} not in schema.get("anyOf", ()):
        return schema
    (only,) = (each for each in schema["anyOf"] if each != {"type": "null"})
    rest = {name: value for name, value in schema.items() if name not in {"anyOf", "default"}}
    not_null: Json = only | rest
    return not_null
