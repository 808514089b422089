"""The workshop's unmodified page against real processes: bare tokens, ID tokens."""

from __future__ import annotations

import pytest

from tests.support.stack import Stack
from tests.support.token_mint import CLIENT_ID, DROP

pytestmark = pytest.mark.stack(roles=("web", "worker"), WORKSHOP_ID_TOKENS="true")

BODY = {"PickupLocation": {"Latitude": 40.7128, "Longitude": -74.0060}}


def id_token(stack: Stack, **changes: object) -> str:
    dropped = dict.fromkeys(("client_id", "scope", "username", "version"), DROP)
    claims = {
        "sub": "rider-1",
        "token_use": "id",
        "aud": CLIENT_ID,
        "cognito:username": "mallory",
        "cognito:groups": ["admin"],
    }
    return stack.mint.access_token(**{**dropped, **claims, **changes})


def test_the_page_gets_its_unicorn_for_its_bare_id_token(stack: Stack) -> None:
    admin = stack.admin_token()
    unicorn = {
        "unicorn_id": "u1",
        "name": "Rocinante",
        "color": "Yellow",
        "gender": "Female",
        "account_sub": "driver-1",
        "location": {"latitude": 40.7128, "longitude": -74.0060},
    }
    assert stack.call("POST", "/v1/admin/unicorns", unicorn, token=admin).status == 201
    about = stack.call(
        "PATCH", "/v1/admin/unicorns/u1", {"accepting": True}, token=admin, If_Match="*"
    )
    assert about.status == 200
    answer = stack.call("POST", "/ride", BODY, Authorization=id_token(stack))
    assert answer.status == 201, answer.body
    ride = answer.json
    assert ride["Unicorn"] == {"Name": "Rocinante", "Color": "Yellow", "Gender": "Female"}
    assert (ride["UnicornName"], ride["Rider"]) == ("Rocinante", "mallory")
    assert ride["Eta"] >= 0
    bare = stack.rider_token("rider-1")
    [listed] = stack.call("GET", "/ride", Authorization=bare).json
    assert (listed["RideId"], listed["User"]) == (ride["RideId"], "rider-1")
    # The second page sends what the implicit grant gave it, bare, with this content type.
    manager = stack.mint.access_token(
        sub="driver-1", username="driver-1", scope="UnicornManager/unicorn"
    )
    sent = {"Authorization": manager, "Content_Type": "application/json"}
    [own] = stack.call("GET", "/ride", **sent).json
    assert own == {**listed, "User": "rider-1"}


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/ride"), ("POST", "/v1/rides"), ("GET", "/v1/admin/unicorns")]
)
def test_an_id_token_is_good_for_nothing_else(stack: Stack, method: str, path: str) -> None:
    token = id_token(stack)
    assert stack.call(method, path, token=token).status == 401
    assert stack.call(method, path, Authorization=token).status == 401


@pytest.mark.parametrize("changes", [{"aud": "other"}, {"exp": 1}, {"token_use": "refresh"}])
def test_a_foreign_or_old_id_token_is_refused(stack: Stack, changes: dict[str, object]) -> None:
    token = id_token(stack, **changes)
    assert stack.call("POST", "/ride", BODY, Authorization=token).status == 401
