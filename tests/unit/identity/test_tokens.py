"""The scopes, groups and claims that the pre token generation trigger sets."""

from __future__ import annotations

from typing import Any

import pytest

from service.auth import policy
from service.identity import grants
from service.identity import pre_token_generation as trigger
from service.identity.events import BadEvent, Refused
from tests.support.cognito_events import SHAPES, an_event
from tests.unit.identity.conftest import FakeAws

USERS = sorted(name for name in SHAPES if name.startswith("Token") and "Client" not in name)
SDK = [name for name in USERS if "Hosted" not in name]
RIDES = ["wildrydes/rides.read", "wildrydes/rides.write"]


def details(event: dict[str, Any]) -> Any:
    return trigger.handle(event, None)["response"]["claimsAndScopeOverrideDetails"]


def groups(*names: str) -> dict[str, Any]:
    return {
        "groupsToOverride": list(names),
        "iamRolesToOverride": ["arn:aws:iam::123456789012:role/rider"],
        "preferredRole": None,
    }


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("name", SDK)
def test_a_sign_in_by_sdk_gets_the_scopes_of_its_groups(name: str) -> None:
    assert details(an_event(name))["accessTokenGeneration"]["scopesToAdd"] == RIDES


@pytest.mark.parametrize(
    ("member_of", "added"),
    [
        (["unicorns"], ["wildrydes/fleet.drive"]),
        (["admin"], ["wildrydes/admin"]),
        (["dispatcher", "riders"], ["wildrydes/admin", *RIDES]),
        (["strangers"], []),
        ([], []),
    ],
)
def test_each_group_gives_its_own_scopes(
    aws: FakeAws, member_of: list[str], added: list[str]
) -> None:
    aws.client_scopes = list(policy.SCOPES)
    event = an_event(SDK[0], groupConfiguration=groups(*member_of))
    assert details(event)["accessTokenGeneration"]["scopesToAdd"] == added


def test_no_scope_is_added_that_the_client_may_not_ask_for(aws: FakeAws) -> None:
    event = an_event(SDK[0], groupConfiguration=groups("admin", "riders"))
    assert details(event)["accessTokenGeneration"]["scopesToAdd"] == RIDES
    aws.is_down = True
    assert details(event)["accessTokenGeneration"]["scopesToAdd"] == RIDES


def test_a_client_that_cannot_be_looked_up_gets_no_token(aws: FakeAws) -> None:
    aws.is_down = True
    with pytest.raises(Refused):
        trigger.handle(an_event(SDK[0]), None)


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("name", USERS)
def test_a_sign_in_by_the_login_page_keeps_the_scopes_it_asked_for(name: str) -> None:
    event = an_event(name, scopes=["openid", "wildrydes/rides.read"])
    assert details(event)["accessTokenGeneration"] == {"scopesToAdd": [], "scopesToSuppress": []}


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("name", USERS)
def test_tokens_name_only_groups_of_the_service_and_no_phone_number(name: str) -> None:
    configuration = groups("admin", *(f"other-{number}" for number in range(100)))
    changed = details(an_event(name, groupConfiguration=configuration))
    assert changed["groupOverrideDetails"] == {**configuration, "groupsToOverride": ["admin"]}
    assert "phone_number" in changed["idTokenGeneration"]["claimsToSuppress"]


@pytest.mark.parametrize("name", USERS)
def test_a_suspended_user_gets_no_token_by_any_way(aws: FakeAws, name: str) -> None:
    for mark in ("true", "TRUE", "since monday", ""):
        with pytest.raises(Refused, match="suspended"):
            trigger.handle(an_event(name, {"custom:suspended": mark}), None)
    assert trigger.handle(an_event(name, {"custom:suspended": "false"}), None)


@pytest.mark.usefixtures("aws")
def test_a_machine_keeps_its_own_scopes_and_loses_those_of_people() -> None:
    scopes = [*policy.SCOPES, "other/scope"]
    changed = details(an_event("TokenGeneration_ClientCredentials@3", scopes=scopes))
    assert set(changed["accessTokenGeneration"]["scopesToSuppress"]) == (
        policy.SCOPES.keys() - grants.MACHINE_SCOPES
    )
    assert "groupOverrideDetails" not in changed


@pytest.mark.usefixtures("aws")
def test_version_one_which_cannot_change_access_tokens_is_refused() -> None:
    with pytest.raises(BadEvent):
        trigger.handle({**an_event(SDK[0]), "version": "1"}, None)


def test_every_scope_is_given_by_a_group_or_to_machines() -> None:
    assert grants.scopes_of(grants.SCOPES_OF) | grants.MACHINE_SCOPES == policy.SCOPES.keys()
