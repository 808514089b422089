"""Whatever anybody sends to any documented operation, the answer is a documented one.

Requests are made from `/openapi.json` (schemathesis), valid and invalid, by each kind of caller
with a really signed token: never a 5xx, only documented statuses, content types and schemas, no
invalid data accepted, no valid data refused as invalid.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode

from service.auth.claims import AccessClaims
from service.auth.keys import PinnedKeys
from service.auth.verifier import TokenVerifier
from service.model import Position, RideStatus
from service.model.characters import has_control_or_direction_characters, is_blank
from tests.support.api import build_api
from tests.support.builders import BATTERY_PARK, NOW, a_finished_ride, a_matched_pair, a_ride
from tests.support.builders import a_usable_unicorn as a_free_unicorn
from tests.support.depth import examples
from tests.support.token_mint import CLIENT_ID, ISSUER, MACHINE_ID, Mint, jwks

EXAMPLES = examples(40)
"""Of each operation, half of them valid."""

ALL_SCOPES = (
    "wildrydes/rides.read wildrydes/rides.write wildrydes/fleet.drive "
    "wildrydes/fleet.telemetry wildrydes/admin"
)
NOT_STATELESS = {"use_after_free", "ensure_resource_availability", "ignored_auth"}
"""Checks that follow one resource through several requests, or send more of them."""

EXPECTED = ["2xx", 304, 401, 403, 404, 409]
"""What valid requests may be answered with."""

load_all_checks()
CHECKED = CHECKS.get_by_names(
    [name for name in CHECKS.get_all_names() if name not in NOT_STATELESS]
)

REJECTED = [400, 401, 403, 413, 415, 422]


def tokens(mint: Mint) -> dict[str, str | None]:
    """One of each kind of caller."""

    def user(subject: str, *groups: str) -> str:
        groups_claim: dict[str, Any] = {"groups": list(groups)} if groups else {}
        return mint.access_token(sub=subject, username=subject, scope=ALL_SCOPES, **groups_claim)

    return {
        "rider": user("rider-1"),
        "unicorn": user("driver-1", "unicorns"),
        "admin": user("admin-1", "admin"),
        "dispatcher": user("dispatcher-1", "dispatcher"),
        "machine": mint.machine_token(),
        "nobody": None,
    }


def build() -> Any:
    mint = Mint(clock=NOW.timestamp)
    with tempfile.TemporaryDirectory() as folder:
        keys = Path(folder) / "jwks.json"
        keys.write_bytes(jwks(mint.key))
        verifier = TokenVerifier(
            PinnedKeys(keys), AccessClaims(issuers=(ISSUER,), client_ids=(CLIENT_ID, MACHINE_ID))
        )
    return build_api(verifier=verifier, rate_limit_enabled=False), tokens(mint)


API, TOKENS = build()
CONFIG = SchemathesisConfig.from_dict(
    {
        "checks": {
            # Valid, but based on a version that is no longer the stored one.
            "positive_data_acceptance": {"expected-statuses": [*EXPECTED, 412]},
            "missing_required_header": {"expected-statuses": [401, 403, 428]},
        },
        "operations": [
            {
                # An entry that makes no sense is refused in the answer, alone.
                "include-name": "POST /v1/fleet/positions",
                "checks": {"negative_data_rejection": {"expected-statuses": [200, *REJECTED]}},
            }
        ],
    }
)
SCHEMA = schemathesis.openapi.from_wsgi("/openapi.json", API.app, config=CONFIG)
# A stream of events ends with its ride, which here is never.
ALL = [each.ok() for each in SCHEMA.get_all_operations()]
OPERATIONS = {each.label: each for each in ALL if not each.label.endswith("/events")}
KNOWN = {"ride_id": ["waiting", "offered", "done"], "unicorn_id": ["free", "busy"]}


def furnish() -> None:
    """The same city for every example: a ride of each kind and two unicorns."""
    ports = API.ports
    for fake in (ports.rides, ports.unicorns, ports.fleet, ports.waiting, ports.control):
        fake.__init__()
    ports.rides.put(a_ride(ride_id="waiting"))
    ports.rides.put(a_finished_ride(ride_id="done"))
    free = a_free_unicorn(unicorn_id="free")
    usable = a_free_unicorn(unicorn_id="busy", account_sub="driver-1", auto_accept=False)
    offered, busy = a_matched_pair(a_ride(ride_id="offered"), usable)
    assert offered.status is RideStatus.OFFERED
    ports.rides.put(offered)
    ports.unicorns.create(free)
    ports.unicorns.create(busy)
    for unicorn in (free, busy):
        ports.fleet.record(unicorn.unicorn_id, Position(BATTERY_PARK, NOW), NOW)
        ports.fleet.refresh(unicorn, NOW)


def cases(operation: Any) -> st.SearchStrategy[Any]:
    """Requests of this operation; half of those that name something name what exists."""
    named = [each["name"] for each in operation.definition.raw.get("parameters", [])]
    known = {name: st.sampled_from(KNOWN[name]) for name in named if name in KNOWN}
    kinds = [operation.as_strategy(generation_mode=mode) for mode in GenerationMode]
    if known:
        kinds.append(
            st.tuples(kinds[0], st.fixed_dictionaries(known)).map(lambda pair: aimed(*pair))
        )
    return st.one_of(kinds)


def aimed(case: Any, ids: dict[str, str]) -> Any:
    case.path_parameters.update(ids)
    return case


def excluded_from(case: Any) -> list[Any]:
    """What a schema cannot tell: cursors that were given out, H3 cells, areas, readable names.

    And the workshop's answer when no unicorn was found in time is 503.
    """
    body = case.body if isinstance(case.body, dict) else {}
    is_workshop = case.operation.label == "POST /ride"
    names = (body.get(field) for field in ("name", "color", "gender"))
    unreadable = any(
        isinstance(name, str) and (has_control_or_direction_characters(name) or is_blank(name))
        for name in names
    )
    query = (case.query or {}).keys()
    told_by_no_schema = {"cursor", "bbox"} & query or {"rider_id", "unicorn_id"} <= query
    if told_by_no_schema or "zone" in body or is_workshop or unreadable:
        names = ["positive_data_acceptance", *["not_a_server_error"] * is_workshop]
        return list(CHECKS.get_by_names(names))
    return []


@pytest.mark.hypothesis
@pytest.mark.parametrize("label", OPERATIONS)
def test_every_answer_is_a_documented_one(label: str) -> None:
    @seed(5)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases(OPERATIONS[label]), caller=st.sampled_from(sorted(TOKENS)))
    def fuzz(case: Any, caller: str) -> None:
        furnish()
        token = TOKENS[caller]
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        response = case.call(headers=headers)
        assert response.status_code != 500
        case.validate_response(response, checks=CHECKED, excluded_checks=excluded_from(case))

    fuzz()
