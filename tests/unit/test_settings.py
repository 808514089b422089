"""Every setting in the forms in which people, shells and secret stores write it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import ValidationError

from service.command.tools import CommandSettings
from service.settings import ApiSettings, MonitorSettings, Settings, faults_of, read
from tests.support.infrastructure import PROJECT

REQUIRED: Mapping[str, str] = {
    "AWS_REGION": "eu-central-1",
    "REDIS_URL": "rediss://:secret@cache.example.com:6379/0",
    "PUBLIC_URL": "https://rides.example.com",
    "COGNITO_USER_POOL_ID": "us-east-1_Example",
    "COGNITO_CLIENT_IDS": "client1,client2",
    "FLOWER_BASIC_AUTH": "admin:secret",
}
KEYS: Final = PROJECT / "tests" / "support" / "keys.json"
"""A key set as an issuer publishes it."""

GOOD: Mapping[str, str] = {
    **REQUIRED,
    "RIDES_TABLE": "Rides-eu.1",
    "UNICORNS_TABLE": "Unicorns",
    "OPERATIONS_TABLE": "Operations",
    "PHOTOS_BUCKET": "photos.rides-eu",
    "IDENTITY_POOL_ID": "us-east-1:00000000-0000-4000-8000-000000000001",
    "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:4566",
    "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:4566",
    "CELERY_BROKER_URL": "redis://127.0.0.1:6380/1",
    "LOG_LEVEL": "WARNING",
    "METRICS_NAMESPACE": "rides",
    "SERVICE_VERSION": "1.2.3-rc1+build",
    "SERVICE_REVISION": "3f786850e387550fdab836ed7e6dc881de23001b",
    "HOST": "0.0.0.0",
    "LIVENESS_FILE": "/tmp/alive",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
    "TRAVEL_TIMES_URL": "http://osrm:5000",
    "CORS_ORIGINS": "https://app.example.com,http://localhost:3000",
    "RATE_LIMIT_SUBJECT": "10/second",
    "RATE_LIMIT_ADDRESS": "20/minute",
    "RATE_LIMIT_FAILURES": "30/hour",
    "COGNITO_ISSUERS": "https://issuer.example.com/us-east-1_Example",
    "COGNITO_JWKS_URL": "https://keys.example.com/jwks.json",
    "COGNITO_DOMAIN_URL": "https://login.example.com",
    "PAGE_CLIENT_IDS": "client1,client2,client2",
    "MAP_TILES_URL": "https://tiles.example.com/{z}/{x}/{y}.png",
    "MAP_ATTRIBUTION": "© OpenStreetMap contributors",
    "MAP_CENTER": "48.2,16.37",
    "AUTH_JWKS_FILE": str(KEYS),
    "AUTH_JWKS_ALLOW_HTTP_HOSTS": "aws,10.0.0.7",
    "AUTH_RESOURCE": "https://rides.example.com",
    "ADMIN_GROUP": "admin",
    "DISPATCHER_GROUP": "dispatcher",
    "UNICORN_GROUP": "unicorns",
    "IAM_ROLE_SCOPES": '{"arn:aws:iam::123456789012:role/t": ["wildrydes/fleet.telemetry"]}',
    "GATEWAY_PROOFS": '{"a": "0123456789abcdef0123456789abcdef", "b": ""}',
    "IDENTITY_ROLE_SCOPES": '{"arn:aws:iam::123456789012:role/r": ["wildrydes/rides.read"]}',
    "IDENTITY_ROLE_GROUPS": "{}",
    "FLOWER_ADDRESS": "0.0.0.0",
    "FLOWER_URL_PREFIX": "flower",
}
"""A good value of each setting that is text; the others are numbers and switches."""


class AllSettings(ApiSettings, MonitorSettings):
    """The settings of every role together."""


NUMBERS = {
    name.upper(): str(field.default).lower()
    for name, field in AllSettings.model_fields.items()
    if isinstance(field.default, int | float)
}
EVERY = sorted({name.upper() for name in AllSettings.model_fields})


def value_of(name: str) -> str:
    return GOOD.get(name) or NUMBERS[name]


def settings(**environment: str) -> AllSettings:
    has_namespace = environment.get("METRICS_NAMESPACE", "").strip()
    needed = {"METRICS_PORT": "9100"} if has_namespace else {}
    return read(AllSettings, {**REQUIRED, **needed, **environment})


def refused(**environment: str) -> str:
    with pytest.raises(ValidationError) as error:
        settings(**environment)
    return "\n".join(faults_of(error.value))


@pytest.mark.parametrize("content", [None, "", "<html>", '{"keys": []}'])
def test_a_file_without_a_key_is_refused_by_name(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "jwks.json"
    if content is not None:
        file.write_text(content)
    assert refused(AUTH_JWKS_FILE=str(file)) == "AUTH_JWKS_FILE: is no file with a key"


def test_figures_for_a_log_that_nobody_counts_are_refused() -> None:
    missing = refused(METRICS_NAMESPACE="rides", METRICS_PORT="0")
    assert missing == "METRICS_NAMESPACE: needs METRICS_PORT"


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("space", ["\n", " ", "\t", "\r\n", "\xa0"])
def test_white_space_around_a_value_changes_nothing(name: str, space: str) -> None:
    plain = settings(**{name: value_of(name)})
    assert settings(**{name: f"{space}{value_of(name)}{space}"}) == plain


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("empty", ["", " ", "\n"])
def test_an_empty_value_is_no_value(name: str, empty: str) -> None:
    if name in REQUIRED:
        assert refused(**{name: empty}) == f"{name}: Field required"
    else:
        assert settings(**{name: empty}) == settings()


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("quote", ['"', "'"])
def test_quotes_are_refused_by_name(name: str, quote: str) -> None:
    assert refused(**{name: f"{quote}{value_of(name)}{quote}"}) == (
        f"{name}: is in quotes: leave them out"
    )


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("inside", ["\n", "\0", "\x1b", "\x7f"])
def test_a_control_character_inside_is_refused_by_name(name: str, inside: str) -> None:
    value = value_of(name)
    middle = max(1, len(value) // 2)
    text = refused(**{name: f"{value[:middle]}{inside}{value[middle:] or 'x'}"})
    assert text == f"{name}: holds a control character"


FREE_TEXT = {
    *("LIVENESS_FILE", "AUTH_JWKS_FILE", "MAP_ATTRIBUTION"),
    *("IAM_ROLE_SCOPES", "GATEWAY_PROOFS", "IDENTITY_ROLE_SCOPES", "IDENTITY_ROLE_GROUPS"),
}
"""A file's name may hold a space, and so may JSON."""


@pytest.mark.parametrize("name", sorted(GOOD.keys() & set(EVERY) - FREE_TEXT))
def test_a_space_inside_is_refused_by_name(name: str) -> None:
    if name in {"CORS_ORIGINS", "COGNITO_CLIENT_IDS", "AUTH_JWKS_ALLOW_HTTP_HOSTS"}:
        value = value_of(name).replace(",", "x x")
    else:
        value = f"{value_of(name)[:-1]} {value_of(name)[-1]}"
    assert refused(**{name: value}).startswith(f"{name}: ")


IPV6: Mapping[str, Mapping[str, bool]] = {
    "HOST": {"::": True, "::1": True, "fd00::7": True, "[::1]": False, "::1:8080x": False},
    "FLOWER_ADDRESS": {"::": True, "::1": True, "[::1]": False, "::1:5555x": False},
    "PUBLIC_URL": {"https://[::1]:8443": True, "https://::1": False, "https://[::1": False},
    "REDIS_URL": {"redis://[::1]:6379/0": True, "redis://::1:6379/0": False},
    "CELERY_BROKER_URL": {"redis://[fd00::7]:6379/0": True, "redis://[fd00:7": False},
    "AWS_ENDPOINT_URL_DYNAMODB": {"http://[::1]:4566": True, "http://[1": False},
    "AWS_ENDPOINT_URL_STS": {"http://[::1]:4566": True, "http://[fd00::7]:4566": False},
    "OTEL_EXPORTER_OTLP_ENDPOINT": {"http://[fd00::7]:4318": True, "fd00::7": False},
    "TRAVEL_TIMES_URL": {"http://[fd00::7]:5000": True, "http://fd00::7:5000": False},
    "CORS_ORIGINS": {"http://[::1]:3000": True, "http://[0:0::1]:3000": False},
    "COGNITO_JWKS_URL": {"http://[::1]:4566/p/jwks.json": True, "http://[fd00::7]/j": False},
    "AUTH_JWKS_ALLOW_HTTP_HOSTS": {"fd00::7": True, "[fd00::7]": False, "fd00:0::7": False},
}


@pytest.mark.parametrize(
    ("name", "value", "good"),
    [(name, value, good) for name, values in IPV6.items() for value, good in values.items()],
)
def test_ipv6_is_taken_as_written_or_refused_by_name(name: str, value: str, good: bool) -> None:
    if good:
        held = getattr(settings(**{name: value}), name.lower())
        assert held == value or held == (value,)
    else:
        assert refused(**{name: value}).startswith(f"{name}: ")


def test_keys_may_come_in_the_clear_from_an_allowed_ipv6_host() -> None:
    url = "http://[fd00::7]:4566/keys"
    given = settings(COGNITO_JWKS_URL=url, AUTH_JWKS_ALLOW_HTTP_HOSTS="fd00::7")
    assert given.jwks_url == url


@pytest.mark.parametrize(
    ("origin", "wanted"),
    [
        ("https://app.example.com:443", "https://app.example.com"),
        ("http://app.example.com:80", "http://app.example.com"),
        ("https://App.Example.com", "https://app.example.com"),
        ("HTTPS://app.example.com", "https://app.example.com"),
        ("https://app.example.com/", "https://app.example.com"),
        ("https://app.example.com/app", "https://app.example.com"),
        ("https://app.example.com?x", "https://app.example.com"),
        ("https://user@app.example.com", "https://app.example.com"),
        ("https://app.example.com:", "https://app.example.com"),
        ("http://localhost:03000", "http://localhost:3000"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("https://faß.example", "https://xn--fa-hia.example"),
        ("http://[0:0:0:0:0:0:0:1]:3000", "http://[::1]:3000"),
        ("http://[FD00::7]", "http://[fd00::7]"),
    ],
)
def test_an_origin_that_no_browser_sends_is_refused_with_the_wanted_form(
    origin: str, wanted: str
) -> None:
    assert refused(CORS_ORIGINS=f"https://good.example.com,{origin}") == (
        f"CORS_ORIGINS: {origin!r} is not how browsers send it, write {wanted}"
    )
    assert settings(CORS_ORIGINS=wanted).cors_origins == (wanted,)


@pytest.mark.parametrize(
    "origin",
    ["*", "null", "https://*.example.com", "app.example.com", "localhost:3000", "https://",
     "ftp://app.example.com", "https://a b.example", "http://127.1:3000", "http://0x7f.0.0.1",
     "http://127.0.0.01", "http://app.example.com:99999", "http://%61pp.example.com"],
)  # fmt: skip
def test_a_text_that_is_no_origin_is_refused_by_name(origin: str) -> None:
    assert refused(CORS_ORIGINS=origin) == (
        f"CORS_ORIGINS: {origin!r} is not an exact origin such as https://example.com"
    )


def test_the_issuers_region_is_that_of_the_pool() -> None:
    given = settings(AWS_REGION="eu-west-1", COGNITO_USER_POOL_ID="ap-southeast-2_Abc123")
    assert given.issuers == (
        "https://cognito-idp.ap-southeast-2.amazonaws.com/ap-southeast-2_Abc123",
        "https://issuer-cognito-idp.ap-southeast-2.amazonaws.com/ap-southeast-2_Abc123",
    )
    assert given.jwks_url.startswith(given.issuers[0])


@pytest.mark.parametrize("pool", ["local_Abc123", "useast1_Abc", "us-east_Abc"])
def test_a_pool_id_without_a_region_needs_issuers(pool: str) -> None:
    assert "names no region" in refused(COGNITO_USER_POOL_ID=pool)
    issuer = f"http://127.0.0.1:4566/{pool}"
    given = settings(COGNITO_USER_POOL_ID=pool, COGNITO_ISSUERS=issuer)
    assert given.issuers == (issuer,)


def test_an_issuer_whose_keys_cannot_be_fetched_safely_is_refused_by_its_name() -> None:
    issuer = "http://idp.example.com/us-east-1_Example"
    assert refused(COGNITO_ISSUERS=issuer, COGNITO_JWKS_URL="").startswith("COGNITO_ISSUERS: ")


BAD: Mapping[str, list[str]] = {
    "PORT": ["0", "65536", "80a", "http", "-1"],
    "HOST": ["127.0.0.1:8080", "http://127.0.0.1", "*", "a/b", "127.0.0.1.7", "-a"],
    "PUBLIC_URL": ["rides.example.com", "https://", "https://a.example/x?y", "https://u@a.example",
                   "https://a.example:99999", "https://a.example:x", "https://a.example/x/../y",
                   "https://a.example//x", "https://é.example"],
    "REDIS_URL": ["cache:6379", "http://cache", "redis://", "redis://cache:x/0", "redis://cache/a",
                  "redis://cache/0?socket_timeout=60", "rediss://cache?ssl_cert_reqs=none"],
    "COGNITO_USER_POOL_ID": ["us-east-1", "us-east-1_", "us-east-1_A/B", "üs-east-1_A"],
    "COGNITO_CLIENT_IDS": [",", "a b", "ä"],
    "COGNITO_ISSUERS": ["https://issuer.example.com/other", "us-east-1_Example"],
    "COGNITO_JWKS_URL": ["http://keys.example.com/jwks", "keys.json"],
    "AUTH_JWKS_ALLOW_HTTP_HOSTS": ["http://aws", "aws:4566", "AWS"],
    "RIDES_TABLE": ["a", "Rides/x", "Rïdes"],
    "LOG_LEVEL": ["LOUD", "10"],
    "METRICS_PORT": ["65534", "-1"],
    "IAM_ROLE_SCOPES": ["{", "[]", '{"arn": []}', '{"arn:aws:iam::1:user/x": ["a"]}'],
    "GATEWAY_PROOFS": ["{", "[]", '{"a": "short"}', '{"a": 1}',
                       f'{{"a": "{31 * "a"};"}}', f'{{"a": "{32 * "é"}"}}'],
    "IDENTITY_ROLE_SCOPES": ["{", '{"arn": []}', '{"arn:aws:iam::1:user/x": ["a"]}'],
    "IDENTITY_ROLE_GROUPS": ["[]", '{"arn:aws:iam::123456789012:role/x": ["unicorns"]}'],
    "FLOWER_ADDRESS": ["127.0.0.1:5555", "*", "http://127.0.0.1"],
    "FLOWER_PORT": ["0", "65536", "tcp://10.0.0.1:5555"],
    "FLOWER_BASIC_AUTH": [",", ":", "admin", "admin:", ":secret", "admin:sec,ret", "admin:s t",
                          "admin:secret,:", "ädmin:secret", "admin:secrét"],
    "FLOWER_URL_PREFIX": ["flower?x", "http://a", "flöwer", "/", "a//b"],
    "RATE_LIMIT_SUBJECT": ["10", "10/day", "0/second", "٣/second"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BAD.items() for value in values]
)
def test_a_value_that_cannot_take_effect_is_refused_by_name(name: str, value: str) -> None:
    assert refused(**{name: value}).startswith(f"{name}: ")


DAY = 86_400
EXTREMES: Mapping[str, tuple[int, int | None]] = {
    "API_MAX_IN_FLIGHT": (1, None),
    "API_MAX_WAITERS": (1, None),
    "ARRIVE_MAX_METRES": (0, None),
    "AUTH_LEEWAY_SECONDS": (0, 300),
    "AUTH_SESSION_MAX_SECONDS": (1, 3650 * DAY),
    "DISPATCH_DEADLINE_SECONDS": (1, DAY),
    "DISPATCH_EQUAL_METRES": (0, None),
    "DISPATCH_MAX_PICKUP_ETA_SECONDS": (1, 7200),
    "DISPATCH_PLAN_SECONDS": (0, DAY),
    "FLOWER_PORT": (1, 65_535),
    "METRICS_PORT": (0, 65_533),
    "NO_SHOW_SECONDS": (1, DAY),
    "OFFERS_MISSED_MAX": (0, None),
    "OFFER_SECONDS": (1, DAY),
    "PORT": (1, 65_535),
    "REPOSITION_SECONDS": (0, 300),
    "RIDER_MAX_ACTIVE_RIDES": (0, None),
    "RIDE_RETENTION_DAYS": (0, 36_500),
    "TRAVEL_TIMES_BUDGET_MS": (1, 5000),
    "TRAVEL_TIMES_MAX_TABLE": (2, None),
    "TRUSTED_PROXY_HOPS": (0, None),
    "UNICORN_STALE_SECONDS": (1, 3600),
}
"""The least and the most that a setting may be."""


def test_each_number_has_extremes_here_and_each_time_a_most() -> None:
    """Each request would fail if the first instant computed with a time did not exist."""
    assert EXTREMES.keys() == {name for name, value in NUMBERS.items() if value.isdecimal()}
    endless = {name for name, (_, most) in EXTREMES.items() if most is None}
    assert not [name for name in endless if name.endswith(("_SECONDS", "_DAYS"))]


@pytest.mark.parametrize(("name", "extremes"), EXTREMES.items())
def test_a_number_up_to_its_extremes_is_taken_and_one_beyond_is_refused(
    name: str, extremes: tuple[int, int | None]
) -> None:
    least, most = extremes
    for value in (least, *(() if most is None else (most,))):
        assert getattr(settings(**{name: str(value)}), name.lower()) == value
    for beyond in (least - 1, *(() if most is None else (most + 1,))):
        assert refused(**{name: str(beyond)}).startswith(f"{name}: ")


def test_a_fault_repeats_no_secret() -> None:
    assert "secret" not in refused(REDIS_URL="http://:secret@cache:6379/0")
    assert "secret" not in refused(FLOWER_BASIC_AUTH=":secret")
    assert "secret" not in refused(GATEWAY_PROOFS='{"a": "a secret"}')


def test_a_role_is_not_of_both_users_and_programs() -> None:
    """STS names only the role, so a user with it would count as a program."""
    role = "arn:aws:iam::123456789012:role"
    users = f'{{"{role}/path/rider": ["wildrydes/rides.read"]}}'
    programs = f'{{"{role}/rider": ["wildrydes/fleet.telemetry"]}}'
    found = refused(IDENTITY_ROLE_SCOPES=users, IAM_ROLE_SCOPES=programs)
    assert found == "IDENTITY_ROLE_SCOPES: a role is also in IAM_ROLE_SCOPES"


def test_a_proof_that_is_empty_counts_as_none() -> None:
    """So one of two names can stay free for the next proof."""
    proof = "0123456789abcdef0123456789abcdef"
    assert settings(GATEWAY_PROOFS=f'{{"a": "{proof}", "b": ""}}').gateway_proofs == {"a": proof}


@pytest.mark.parametrize("value", ["admin:secret", "admin:secret,", "admin:secret, \n"])
def test_a_comma_at_the_end_is_no_login_of_its_own(value: str) -> None:
    """Flower takes an empty login for one, and lets in whoever sends one."""
    assert settings(FLOWER_BASIC_AUTH=value).flower_basic_auth == ("admin:secret",)


def test_a_trailing_slash_of_the_public_url_is_dropped_where_it_is_read() -> None:
    assert settings(PUBLIC_URL="https://a.example/stage/").public_url == "https://a.example/stage"


def test_every_setting_has_a_value_here() -> None:
    """A new setting of text must be given one in `GOOD`."""
    texts: set[Any] = {name for name in EVERY if name not in NUMBERS}
    assert texts <= GOOD.keys()
    assert Settings.model_fields.keys() <= ApiSettings.model_fields.keys()


@pytest.mark.parametrize(
    "url",
    [
        "https://tiles.example.com/1.png",
        "https://tiles.example.com/{z}/{x}/{x}.png",
        "ftp://tiles.example.com/{z}/{x}/{y}.png",
        "/{z}/{x}/{y}.png",
        "https://tiles.example.com;script-src/{z}/{x}/{y}.png",
        "https://{z}.example.com/{x}/{y}.png",
    ],
)
def test_tiles_come_from_one_origin_by_place(url: str) -> None:
    assert refused(MAP_TILES_URL=url).startswith("MAP_TILES_URL: ")


@pytest.mark.parametrize("center", ["40.7", "91,0", "0,181", "north,west", "1,2,3", "nan,0"])
def test_the_map_begins_at_a_place_on_earth(center: str) -> None:
    assert refused(MAP_CENTER=center).startswith("MAP_CENTER: ")


@pytest.mark.parametrize("clients", ["client1", "client1,client2", "client1,client2,other"])
def test_each_page_has_a_client_that_is_accepted(clients: str) -> None:
    assert refused(PAGE_CLIENT_IDS=clients).startswith("PAGE_CLIENT_IDS: ")


def test_a_command_reads_a_setting_as_the_api_does() -> None:
    """But for the pool: without one, a command signs nobody out."""
    for name in CommandSettings.model_fields.keys() - {"cognito_user_pool_id"}:
        of_api, field = ApiSettings.model_fields[name], CommandSettings.model_fields[name]
        assert (field.default, field.metadata) == (of_api.default, of_api.metadata), name
