"""Undocumented events are refused, and change nothing."""

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
    pool_events,
    post_confirmation,
    pre_sign_up,
    pre_token_generation,
    sign_in,
    user_migration,
)
from service.identity.events import BadEvent, Event, Refused
from tests.support.cognito_events import SHAPES, SUB, a_pool_event, an_event
from tests.unit.identity.conftest import FakeAws, FakeTable

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
INSTANTS = ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "2026-11-26")
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.sampled_from(
        ["{####}", "true", "\ud800", "1", "2", "3", 'a"b', "CUSTOM_CHALLENGE", *INSTANTS]
    ),
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


def damage(event: Event, data: st.DataObject) -> None:
    """Change up to three fields of the event, or take them away."""
    for path in data.draw(st.lists(st.sampled_from(paths_of(event)), max_size=3)):
        holder: Any = event
        for key in path[:-1]:
            holder = holder.get(key) if isinstance(holder, dict) else None
        if isinstance(holder, dict):
            if data.draw(st.booleans()):
                holder[path[-1]] = data.draw(JSON)
            else:
                holder.pop(path[-1], None)


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("name", sorted(SHAPES))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_field_of_an_event_may_hold_anything(name: str, data: st.DataObject) -> None:
    event = an_event(name)
    damage(event, data)
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


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_an_event_of_the_pool_revokes_the_tokens_of_its_user_or_nothing(
    table: FakeTable, data: st.DataObject
) -> None:
    table.written.clear()
    event = a_pool_event()
    damage(event, data)
    before = copy.deepcopy(event)
    try:
        pool_events.handle(event, None)
    except BadEvent:
        assert table.written == []
        return
    (item,) = table.written
    assert (item["kind"]["S"], item["value"]["S"]) == ("sub", SUB)
    assert event["detail"]["eventName"] in pool_events.LOST
    assert repr(event) == repr(before)


@pytest.mark.parametrize("handler", [*HANDLERS.values(), pool_events.handle])
@settings(max_examples=40, deadline=None)
@given(event=JSON)
def test_a_value_that_is_no_event_is_refused(
    handler: Callable[[Any, object], object], event: Any
) -> None:
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
def test_an_unknown_version_is_refused(name: str) -> None:
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
