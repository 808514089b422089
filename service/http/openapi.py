"""Builds the OpenAPI 3.1 document from the declarations of the routes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from inspect import getdoc
from typing import Any, Final

from service.auth.policy import SCOPES, Policy
from service.auth.principal import TokenKind
from service.http.described import (
    EVERY_ANSWER,
    OF_CALLERS,
    OF_PROBLEMS,
    REQUEST_HEADERS,
    curl,
    header_components,
    sent,
)
from service.http.problems import PROBLEM_TYPE
from service.http.route import ID_PATTERN, Route, Text
from service.http.schemas import Json, query_parameters, schemas_of
from service.settings import ApiSettings

DISCOVERED: Final = "cognito"
OAUTH2: Final = "oauth2"
"""Names of the security schemes: the pool's discovery document, and the OAuth 2 flows."""

EVENT_STREAM: Final = "text/event-stream"
STREAMS: Final = "Streams"

_TAGS: Final[Mapping[str, tuple[str, str]]] = {
    "/v1": ("Riders", "Request, follow, cancel and rate rides."),
    "/v1/fleet": ("Unicorns", "Report positions, go on and off duty, and carry out rides."),
    "/v1/admin": ("Staff", "Look after the fleet, all rides and the service itself."),
    "/ride": ("Workshop", "The two routes of the workshop's page, with its own field names."),
    "": ("Service", "Health of the service and public descriptions of the API."),
}
"""Name and description of each tag, by prefix of the path; the longest matching prefix counts."""

_ABOUT_STREAMS: Final = (
    "Event streams, which stay open for as long as there are events. Read events as they arrive: a "
    "client that waits for the whole answer waits until the stream ends. Generators of such "
    "clients should leave these operations out. `x-events` describes the data of each event."
)
_STREAM_MARKS: Final[Json] = {"tags": [STREAMS], "x-internal": True}
"""How generators of clients recognise streams: openapi-generator skips `x-internal`, others skip a
tag. openapi-python-client supports neither; see `Last-Event-ID`."""

_PROBLEM: Final[Json] = {"$ref": "#/components/responses/Problem"}


def document(
    routes: Iterable[Route], settings: ApiSettings, examples: Mapping[str, Any] | None = None
) -> Json:
    """The OpenAPI document of these routes. `examples`: by operation id, from a real run."""
    ordered = sorted(routes, key=lambda route: (_path(route), route.method))
    schemas, named = schemas_of(ordered)
    paths: dict[str, Json] = {}
    for route in ordered:
        example = (examples or {}).get(route.handler.__name__, {})
        operation = _operation(route, schemas, settings, example)
        paths.setdefault(_path(route), {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Wild Rydes Dispatch",
            "version": "1",
            "description": "Request and follow rides, drive a unicorn, and look after the fleet.",
            "contact": {"name": "Wild Rydes", "url": settings.public_url},
        },
        "servers": [{"url": settings.public_url}],
        "tags": [
            *({"name": name, "description": text} for name, text in _TAGS.values()),
            {"name": STREAMS, "description": _ABOUT_STREAMS},
        ],
        "paths": paths,
        "components": {
            "schemas": named,
            "headers": header_components(),
            "responses": {"Problem": _problem((examples or {}).get("problem"))},
            "securitySchemes": _security_schemes(ordered, settings),
        },
    }


def _is_stream(route: Route) -> bool:
    return any(
        isinstance(kind, Text) and kind.media_type == EVENT_STREAM
        for kind in route.answers.values()
    )


def _path(route: Route) -> str:
    """`/v1/rides/<ride_id>` as `/v1/rides/{ride_id}`."""
    return re.sub(r"<(?:[^>]*:)?(\w+)>", r"{\1}", route.rule)


def _problem(example: Json | None) -> Json:
    content: Json = {"schema": {"$ref": "#/components/schemas/Problem"}}
    if example:
        content["example"] = example
    return {
        "description": "The request failed; the body says why (RFC 9457).",
        "headers": sent(OF_PROBLEMS),
        "content": {PROBLEM_TYPE: content},
    }


def _operation(
    route: Route, schemas: Mapping[Any, Json], settings: ApiSettings, example: Mapping[str, Any]
) -> Json:
    operation: Json = {
        "operationId": route.handler.__name__,
        **(_STREAM_MARKS if _is_stream(route) else {"tags": [_tag(route)]}),
        "summary": route.summary,
        "description": _description(route),
        "security": _security(route.policy, settings),
        "x-codeSamples": [
            {"lang": "Shell", "label": "curl", "source": curl(route, _path(route), example)}
        ],
        "responses": {
            **{
                str(status): _answer(kind, schemas, example.get("answers", {}).get(str(status)))
                | {"headers": sent(sent_by(route))}
                for status, kind in route.answers.items()
            },
            "4XX": _PROBLEM,
            "default": _PROBLEM,
        },
    }
    parameters = [
        *_path_parameters(route),
        *query_parameters(route.query),
        *(_header_parameter(name) for name in route.headers),
    ]
    if parameters:
        operation["parameters"] = parameters
    if route.body:
        content = {"application/json": {"schema": schemas[route.body]}}
        if "request" in example:
            content["application/json"]["example"] = example["request"]
        operation["requestBody"] = {"content": content, "required": not route.body_is_optional}
    return operation


def sent_by(route: Route) -> tuple[str, ...]:
    """The names of the described headers that an answer of success may have."""
    limited = () if route.policy.is_public else OF_CALLERS
    return (*route.sends, *EVERY_ANSWER, *limited)


def _tag(route: Route) -> str:
    return _TAGS[max(filter(route.rule.startswith, _TAGS), key=len)][0]


def _description(route: Route) -> str:
    """The handler's docstring without its first line, and who may call."""
    more = (getdoc(route.handler) or "").partition("\n\n")[2]
    return f"{more}\n\n{_callers(route.policy)}".strip()


def _callers(policy: Policy) -> str:
    """Who may call, in words: OpenAPI's `security` cannot express groups and kinds of token."""
    if policy.is_public:
        return "Public."
    scopes = " or ".join(
        " and ".join(f"`{scope}`" for scope in scopes) for scopes in policy.alternatives
    )
    holder = f"Needs a token of a {policy.kind or 'user or machine'} with scope {scopes}"
    if not policy.roles:
        return f"{holder}."
    return f"{holder}, in the group of {' or '.join(f'{role}s' for role in policy.roles)}."


def _security(policy: Policy, settings: ApiSettings) -> list[Json]:
    """The security requirement: any one of the schemes, with the policy's scopes."""
    schemes = [DISCOVERED, *([OAUTH2] if settings.cognito_domain_url else [])]
    if policy.is_public:
        return []
    return [{scheme: list(scopes)} for scopes in policy.alternatives for scheme in schemes]


def _security_schemes(routes: Sequence[Route], settings: ApiSettings) -> Json:
    discovery = f"{settings.authorization_servers[0]}/.well-known/openid-configuration"
    schemes: Json = {
        DISCOVERED: {
            "type": "openIdConnect",
            "description": "A Cognito access token.",
            "openIdConnectUrl": discovery,
        }
    }
    domain = settings.cognito_domain_url
    if domain:
        token_url = {"tokenUrl": f"{domain}/oauth2/token"}
        schemes[OAUTH2] = {
            "type": "oauth2",
            "description": "A Cognito access token of a user (code flow with PKCE) or a machine.",
            "flows": {
                **_implicit(routes, domain),
                "authorizationCode": {
                    "authorizationUrl": f"{domain}/oauth2/authorize",
                    **token_url,
                    "refreshUrl": f"{domain}/oauth2/token",
                    "scopes": _scopes(routes, TokenKind.USER),
                },
                "clientCredentials": {**token_url, "scopes": _scopes(routes, TokenKind.MACHINE)},
            },
        }
    return schemes


def _implicit(routes: Sequence[Route], domain: str) -> Json:
    """The flow of the workshop's second page."""
    foreign = {scope for each in routes for scope in each.policy.instead} - SCOPES.keys()
    scopes = dict.fromkeys(sorted(foreign), "See the rides of one's own unicorn.")
    return {"implicit": {"authorizationUrl": f"{domain}/oauth2/authorize", "scopes": scopes}}


def _scopes(routes: Sequence[Route], kind: TokenKind) -> dict[str, str]:
    """The scopes that tokens of this kind may have, with their descriptions."""
    named = {s for r in routes if r.policy.kind in {kind, None} for s in r.policy.scopes}
    return {scope: SCOPES[scope] for scope in sorted(named)}


def _answer(kind: Any, schemas: Mapping[Any, Json], example: Any) -> Json:
    match kind:
        case None:
            return {"description": "No content."}
        case Text():
            described = _described(kind.description, kind.media_type, {"type": "string"}, example)
            # OpenAPI 3.1 cannot describe the events of a stream.
            events = {name: schemas[data] for name, data in kind.events.items()}
            return described | ({"x-events": events} if events else {})
    # Not `getdoc`, which would return the docstring of a base class.
    description = kind.__doc__ if isinstance(kind, type) and kind.__doc__ else "See the schema."
    return _described(description, "application/json", schemas[kind], example)


def _described(description: str, media_type: str, schema: Json, example: Any) -> Json:
    content: Json = {"schema": schema}
    if example is not None:
        content["example"] = example
    return {"description": description, "content": {media_type: content}}


def _path_parameters(route: Route) -> list[Json]:
    return [
        _path_parameter(kind, name)
        for kind, name in re.findall(r"<(?:([^>]*):)?(\w+)>", route.rule)
    ]


def _path_parameter(converter: str, name: str) -> Json:
    schema: Json = {"type": "string"}
    if not converter:
        schema["pattern"] = f"^{ID_PATTERN}$"
    if converter.startswith("any("):
        schema = {"type": "string", "enum": converter[4:-1].split(",")}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _header_parameter(name: str) -> Json:
    described = REQUEST_HEADERS.get(name, {"schema": {"type": "string"}})
    return {"name": name, "in": "header", "required": False} | described
