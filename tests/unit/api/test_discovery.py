"""The descriptions of the API: derived, complete, offline."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from service.auth.policy import SCOPES
from service.http import openapi
from service.http.route import declared_routes
from tests.support.api import Api, build_api
from tests.support.infrastructure import PROJECT


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


def variants(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield from node.get("oneOf", []) + node.get("anyOf", [])
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from variants(child)


def test_every_variant_that_is_an_object_has_a_name(api: Api) -> None:
    """Generators make up a name for any other; a list of required fields is no type of its own."""
    found = list(variants(document(api)))
    assert any("$ref" in each for each in found)
    for each in found:
        named_or_plain = "$ref" in each or each.get("type", "object") != "object"
        assert named_or_plain or set(each) == {"required"}, each


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
    assert set(post["responses"]) == {"201", "202", "4XX", "default"}
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


def test_a_caller_may_leave_out_all_parameters_but_those_that_a_route_needs(api: Api) -> None:
    needed = {
        (parameter["in"], parameter["name"])
        for path in document(api)["paths"].values()
        for operation in path.values()
        for parameter in operation.get("parameters", ())
        if parameter["required"] and parameter["in"] != "path"
    }
    place = {("query", "latitude"), ("query", "longitude")}
    assert needed == {("header", "If-Match")} | place


def test_what_a_body_may_leave_out_is_optional_and_has_no_default(api: Api) -> None:
    schemas = document(api)["components"]["schemas"]
    assert schemas["RideRequest"]["required"] == ["pickup"]
    for name, schema in schemas.items():
        for field, described in schema.get("properties", {}).items():
            assert "default" not in described, f"{name}.{field}"


def test_every_field_of_an_answer_is_always_there(api: Api) -> None:
    schemas = document(api)["components"]["schemas"]
    for name in ("RideView", "UnicornView", "LiveRideView", "DeadLetterView"):
        assert set(schemas[name]["required"]) == set(schemas[name]["properties"])


def test_instants_are_date_times(api: Api) -> None:
    ride = document(api)["components"]["schemas"]["RideView"]["properties"]
    assert ride["requested_at"] == {"type": "string", "format": "date-time"}
    assert {"type": "string", "format": "date-time"} in ride["matched_at"]["anyOf"]


@pytest.mark.parametrize("path", ["/v1/rides", "/v1/admin/rides"])
def test_a_parameter_of_the_query_is_absent_or_a_value_never_null(api: Api, path: str) -> None:
    parameters = document(api)["paths"][path]["get"]["parameters"]
    status = next(each for each in parameters if each["name"] == "status")
    assert status["schema"] == {"$ref": "#/components/schemas/RideStatus"}
    assert "null" not in str([each["schema"] for each in parameters])


def test_a_revocation_names_exactly_one_thing(api: Api) -> None:
    schema = document(api)["components"]["schemas"]["Revocation"]
    assert (schema["minProperties"], schema["maxProperties"]) == (1, 1)
    assert all(each["type"] == "string" for each in schema["properties"].values())


def test_a_stream_is_marked_for_generators(api: Api) -> None:
    stream = document(api)["paths"]["/v1/rides/{ride_id}/events"]["get"]
    assert stream["tags"] == ["Streams"]
    assert stream["x-internal"] is True
    assert list(stream["responses"]["200"]["content"]) == ["text/event-stream"]


def test_every_operation_has_a_tag_that_is_explained_and_says_who_may_call(api: Api) -> None:
    whole = document(api)
    explained = {tag["name"] for tag in whole["tags"] if tag["description"]}
    for methods in whole["paths"].values():
        for operation in methods.values():
            assert set(operation["tags"]) <= explained
            assert ("Public." in operation["description"]) == (operation["security"] == [])


def test_the_sign_in_is_described_where_its_address_is_set() -> None:
    whole = document(build_api(cognito_domain_url="https://pool.example.com/"))
    scheme = whole["components"]["securitySchemes"]["oauth2"]
    code, machine = scheme["flows"]["authorizationCode"], scheme["flows"]["clientCredentials"]
    assert code["authorizationUrl"] == "https://pool.example.com/oauth2/authorize"
    assert code["tokenUrl"] == machine["tokenUrl"] == "https://pool.example.com/oauth2/token"
    assert set(machine["scopes"]) == {"wildrydes/fleet.telemetry"}
    assert set(code["scopes"]) == set(SCOPES) - set(machine["scopes"])
    request = whole["paths"]["/v1/rides"]["post"]["security"]
    assert request == [{name: ["wildrydes/rides.write"]} for name in ("cognito", "oauth2")]


def test_without_that_address_the_sign_in_is_not_described(api: Api) -> None:
    assert set(document(api)["components"]["securitySchemes"]) == {"cognito"}


def test_a_pool_whose_keys_are_elsewhere_describes_itself_there() -> None:
    place = "http://127.0.0.1:4566/us-east-1_Example"
    api = build_api(cognito_jwks_url=f"{place}/.well-known/jwks.json")
    scheme = document(api)["components"]["securitySchemes"]["cognito"]
    assert scheme["openIdConnectUrl"] == f"{place}/.well-known/openid-configuration"
    metadata = api.call("GET", "/.well-known/oauth-protected-resource", token=None).json
    assert metadata["authorization_servers"] == [place]


def test_the_document_is_built_when_it_is_first_requested(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[object] = []
    real = openapi.document
    monkeypatch.setattr(openapi, "document", lambda *a: built.append(a) or real(*a))
    api = build_api()
    assert built == []
    document(api)
    document(api)
    assert len(built) == 1


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/docs/viewer.js"])
def test_a_description_is_compressed_where_the_client_takes_it(api: Api, path: str) -> None:
    plain = api.call("GET", path, token=None)
    packed = api.call("GET", path, token=None, headers={"Accept-Encoding": "gzip, br"})
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data
    assert int(packed.headers["Content-Length"]) < len(plain.data)
    assert "Accept-Encoding" in packed.headers["Vary"]
    refused = api.call("GET", path, token=None, headers={"Accept-Encoding": "gzip;q=0"})
    assert refused.data == plain.data


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/docs/viewer.js"])
def test_a_client_that_has_a_description_is_not_sent_it_again(api: Api, path: str) -> None:
    tag = api.call("GET", path, token=None).headers["ETag"]
    again = api.call("GET", path, token=None, headers={"If-None-Match": tag})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["Cache-Control"] == "no-cache"
    changed = build_api(cognito_domain_url="https://pool.example.com")
    if path == "/openapi.json":
        assert changed.call("GET", path, token=None).headers["ETag"] != tag


def test_the_page_to_read_needs_nothing_from_elsewhere(api: Api) -> None:
    answer = api.call("GET", "/docs", token=None)
    assert answer.content_type == "text/html; charset=utf-8"
    policy = answer.headers.getlist("Content-Security-Policy")[0]
    assert policy.startswith("default-src 'none'; script-src 'self'; connect-src 'self'; style-src")
    assert "unsafe" not in policy
    assert set(re.findall(r'(?:src|href|spec-url)="([^"]*)"', answer.text)) == {
        "/openapi.json",
        "/docs/viewer.js",
        "data:,",
    }
    viewer = api.call("GET", "/docs/viewer.js", token=None)
    assert viewer.content_type == "text/javascript; charset=utf-8"
    assert "cdn." not in viewer.text


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


def operations(whole: Any) -> Iterator[tuple[str, Any]]:
    for path, methods in whole["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_reasons_are_enumerated_and_each_is_explained(api: Api) -> None:
    # Tuples too: the server's refusals of what it cannot read, and `DOMAIN`.
    source = "".join(path.read_text() for path in (PROJECT / "service").rglob("*.py"))
    found = set(re.findall(r'(?:\(\s*[45]\d\d,\s*|\n    reason = )"(\w+)"', source))
    reason = document(api)["components"]["schemas"]["Reason"]
    spoken = {"validation_failed", "invalid_cursor", "rate_limited"}
    assert set(reason["enum"]) == found | spoken
    assert all(f"`{name}`" in reason["description"] for name in reason["enum"])


def test_answers_name_their_headers_and_each_header_is_explained(api: Api) -> None:
    whole = document(api)
    assert all(each["description"] for each in whole["components"]["headers"].values())
    for label, operation in operations(whole):
        for status, described in operation["responses"].items():
            if status.isdecimal():
                assert "X-Request-Id" in described["headers"], label
    post = whole["paths"]["/v1/rides"]["post"]["responses"]["202"]["headers"]
    assert {"ETag", "Location", "Retry-After", "Idempotency-Replayed", "RateLimit"} <= post.keys()
    assert "WWW-Authenticate" in whole["components"]["responses"]["Problem"]["headers"]


def test_every_operation_has_examples_of_what_is_sent_and_answered(api: Api) -> None:
    whole = document(api)
    for label, operation in operations(whole):
        if label == "GET /openapi.json":
            continue
        contents = [
            content
            for status, described in operation["responses"].items()
            if status.startswith("2")
            for kind, content in described.get("content", {}).items()
            if kind in {"application/json", "text/event-stream"}
        ]
        contents += operation.get("requestBody", {}).get("content", {}).values()
        for content in contents:
            assert "example" in content, label
    assert whole["components"]["responses"]["Problem"]["content"]["application/problem+json"][
        "example"
    ]


def test_examples_are_as_the_schemas_say(api: Api) -> None:
    whole = document(api)
    contents = [
        content
        for _, operation in operations(whole)
        for part in (*operation["responses"].values(), operation.get("requestBody", {}))
        for content in part.get("content", {}).values()
        if "example" in content
    ]
    contents += whole["components"]["responses"]["Problem"]["content"].values()
    assert len(contents) > 50
    for content in contents:
        schema = {**content["schema"], "components": whole["components"]}
        jsonschema_rs.validate(schema, content["example"])


def test_every_operation_has_a_curl_line(api: Api) -> None:
    lines = {
        label: operation["x-codeSamples"][0]["source"]
        for label, operation in operations(document(api))
    }
    assert lines["GET /healthz"] == 'curl "$API_URL/healthz"'
    assert lines["DELETE /v1/admin/unicorns/{unicorn_id}"] == (
        'curl -X DELETE "$API_URL/v1/admin/unicorns/binky"'
        " -H \"Authorization: Bearer $TOKEN\" -H 'If-Match: *'"
    )
    assert lines["PUT /v1/fleet/me/availability"] == (
        'curl -X PUT "$API_URL/v1/fleet/me/availability" -H "Authorization: Bearer $TOKEN"'
        " -H 'Content-Type: application/json' -d '{\"available\": true}'"
    )
    assert lines["GET /v1/admin/events"].startswith("curl --no-buffer ")
    unfilled = {label for label, line in lines.items() if "{" in line.partition(" -d ")[0]}
    assert unfilled == {"GET /assets/{release}/{name}"}


def test_the_data_of_each_event_of_a_stream_is_described(api: Api) -> None:
    whole = document(api)
    for path, names in (
        ("/v1/rides/{ride_id}/events", {"ride", "live", "end"}),
        ("/v1/admin/events", {"snapshot", "changes", "end"}),
    ):
        answer = whole["paths"][path]["get"]["responses"]["200"]
        assert answer["x-events"].keys() == names
        example = answer["content"]["text/event-stream"]["example"]
        seen = re.findall(r"event: (\w+)\ndata: (.*)\n", example)
        assert seen
        for name, data in seen:
            schema = {**answer["x-events"][name], "components": whole["components"]}
            jsonschema_rs.validate(schema, json.loads(data))
