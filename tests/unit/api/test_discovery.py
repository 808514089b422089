"""The descriptions of the API: derived, complete, offline."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from service.http.route import declared_routes
from tests.support.api import Api


def document(api: Api) -> Any:
    return api.call("GET", "/openapi.json", token=None).json


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from references(child)


def test_every_route_is_described(api: Api) -> None:
    described = {
        (method.upper(), path)
        for path, methods in document(api)["paths"].items()
        for method in methods
    }
    assert described == {
        (route.method, re.sub(r"<(?:[^>]*:)?(\w+)>", r"{\1}", route.rule))
        for route in declared_routes(api.app).values()
    }
    assert ("POST", "/v1/fleet/me/rides/{ride_id}/{step}") in described


def test_every_reference_leads_somewhere(api: Api) -> None:
    whole = document(api)
    assert whole["openapi"].startswith("3.1")
    found = set(references(whole))
    assert len(found) > 10
    for reference in found:
        node = whole
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_security_follows_the_policies(api: Api) -> None:
    paths = document(api)["paths"]
    assert paths["/healthz"]["get"]["security"] == []
    assert paths["/v1/rides"]["post"]["security"] == [{"cognito": ["wildrydes/rides.write"]}]
    assert paths["/v1/fleet/me"]["get"]["security"] == [{"cognito": ["wildrydes/fleet.drive"]}]


def test_bodies_parameters_and_answers_are_described(api: Api) -> None:
    whole = document(api)
    post = whole["paths"]["/v1/rides"]["post"]
    assert post["requestBody"]["required"] is True
    schema = post["requestBody"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/RideRequest"}
    assert set(post["responses"]) == {"201", "202", "default"}
    assert whole["components"]["schemas"]["Point"]["properties"]["latitude"]["maximum"] == 90
    assert whole["components"]["schemas"]["RideRequest"]["additionalProperties"] is False
    listing = whole["paths"]["/v1/rides"]["get"]["parameters"]
    assert {parameter["name"] for parameter in listing} == {"limit", "cursor", "status"}
    assert (listing[0]["schema"]["minimum"], listing[0]["schema"]["maximum"]) == (1, 100)
    change = whole["paths"]["/v1/admin/unicorns/{unicorn_id}"]["patch"]["parameters"][1]
    assert (change["name"], change["required"]) == ("If-Match", True)
    step = whole["paths"]["/v1/fleet/me/rides/{ride_id}/{step}"]["post"]
    assert step["requestBody"]["required"] is False
    assert step["parameters"][1]["schema"]["enum"] == [
        *("accept", "decline", "arrive", "start", "complete")
    ]


def test_the_page_to_read_needs_nothing_from_elsewhere(api: Api) -> None:
    answer = api.call("GET", "/docs", token=None)
    assert answer.content_type == "text/html; charset=utf-8"
    assert answer.headers.getlist("Content-Security-Policy")[0].startswith("default-src 'none'")
    assert "/v1/rides/{ride_id}/live" in answer.text
    assert "<script" not in answer.text
    assert not re.findall(r'(?:src|href)="(?!/openapi\.json|#)', answer.text)


def test_the_resource_says_where_tokens_come_from(api: Api) -> None:
    answer = api.call("GET", "/.well-known/oauth-protected-resource", token=None)
    assert answer.json == {
        "resource": "https://rides.example.com",
        "authorization_servers": [
            "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Example",
            "https://issuer-cognito-idp.us-east-1.amazonaws.com/us-east-1_Example",
        ],
        "scopes_supported": [
            "wildrydes/admin",
            "wildrydes/fleet.drive",
            "wildrydes/fleet.telemetry",
            "wildrydes/rides.read",
            "wildrydes/rides.write",
        ],
        "bearer_methods_supported": ["header"],
    }
