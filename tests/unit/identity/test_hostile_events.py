"""Events that nobody documented: refused by name, never half obeyed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.identity import (
    challenge,
    custom_message,
    post_confirmation,
    pre_sign_up,
    pre_token_generation,
    sign_in,
    user_migration,
)
from service.identity.events import BadEvent, Event, Refused
from tests.support.cognito_events import SHAPES, an_event
from tests.unit.identity.conftest import FakeAws

Handler = Callable[[Event, object], Event]
HANDLERS: Mapping[str, Handler] = {
    "PreSignUp": pre_sign_up.handle,
    "CustomMessage": custom_message.handle,
    "PostConfirmation": post_confirmation.handle,
    "TokenGeneration": pre_token_generation.handle,
    "PreAuthentication": sign_in.before,
    "PostAuthentication": sign_in.after,
    "UserMigration": user_migration.handle,
    "DefineAuthChallenge": challenge.define,
    "CreateAuthChallenge": challenge.create,
    "VerifyAuthChallengeResponse": challenge.verify,
}
ANSWERS = {name: set(response) for name, (_, _, response) in SHAPES.items()}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.sampled_from(["{####}", "true", "\ud800", "1", "2", "3", 'a"b', "CUSTOM_CHALLENGE"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=8) | st.sampled_from(["email", "code"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


def handler_of(name: str) -> Handler:
    return HANDLERS[name.partition("_")[0]]


def paths_of(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The way to every field of an event, at every depth."""
    if not isinstance(value, dict):
        return [path] if path else []
    inner = [each for key, child in value.items() for each in paths_of(child, (*path, key))]
    return [*([path] if path else []), *inner]


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("name", sorted(SHAPES))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_field_of_an_event_may_hold_anything(name: str, data: st.DataObject) -> None:
    event = an_event(name)
    for path in data.draw(st.lists(st.sampled_from(paths_of(event)), max_size=3)):
        holder: Any = event
        for key in path[:-1]:
            holder = holder.get(key) if isinstance(holder, dict) else None
        if isinstance(holder, dict):
            if data.draw(st.booleans()):
                holder[path[-1]] = data.draw(JSON)
            else:
                holder.pop(path[-1], None)
    before = copy.deepcopy(event)
    try:
        answer = handler_of(name)(event, None)
    except (BadEvent, Refused):
        return
    assert repr(event) == repr(before)
    assert {key: answer[key] for key in answer if key != "response"}.keys() == (
        before.keys() - {"response"}
    )
    added = answer["response"].keys() - before["response"].keys()
    assert added <= ANSWERS[name]
    if answer["response"].get("issueTokens"):
        assert event["request"]["session"][-1]["challengeResult"] is True


@pytest.mark.parametrize("handler", HANDLERS.values())
@settings(max_examples=40, deadline=None)
@given(event=JSON)
def test_what_is_no_event_at_all_is_refused(handler: Handler, event: Any) -> None:
    with pytest.raises(BadEvent):
        handler(event, None)


@pytest.mark.parametrize("family", sorted(HANDLERS))
def test_a_handler_takes_its_own_sources_only(aws: FakeAws, family: str) -> None:
    strangers = [name for name in SHAPES if not name.startswith(f"{family}_")]
    foreign = [an_event(name) for name in strangers]
    unknown = [
        {**an_event(name), "triggerSource": f"{family}_SomethingNew"}
        for name in SHAPES
        if name.startswith(f"{family}_")
    ]
    for event in [*foreign, *unknown]:
        with pytest.raises(BadEvent):
            HANDLERS[family](event, None)
    assert (aws.groups, aws.sent, aws.filters) == ([], [], [])


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_a_version_that_nobody_knows_is_refused(name: str) -> None:
    for version in ("0", "4", "1.0", ""):
        with pytest.raises(BadEvent):
            handler_of(name)({**an_event(name), "version": version}, None)


@pytest.mark.parametrize(
    "name", ["PostConfirmation_ConfirmSignUp", "CreateAuthChallenge_Authentication"]
)
def test_a_call_that_fails_fails_the_trigger(aws: FakeAws, name: str) -> None:
    aws.is_down = True
    with pytest.raises(BotoCoreError):
        handler_of(name)(an_event(name), None)
