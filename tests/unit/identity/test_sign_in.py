"""Signing in: suspended users, the audit line, the one-time code, users taken over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from service.identity import challenge, sign_in, user_migration
from service.identity.events import BadEvent, Refused
from tests.support.cognito_events import USER, an_event
from tests.unit.identity.conftest import FakeAws


def test_a_suspended_user_stays_out() -> None:
    with pytest.raises(Refused, match="gesperrt"):
        sign_in.before(an_event(sign_in.BEFORE, {sign_in.SUSPENDED: "true", "locale": "de"}), None)
    event = an_event(sign_in.BEFORE)
    assert sign_in.before(event, None) == event


def test_a_sign_in_leaves_a_line_without_personal_data(capsys: pytest.CaptureFixture[str]) -> None:
    event = an_event(sign_in.AFTER, {"phone_number": "+15550100"})
    assert sign_in.after(event, None) == event
    line = json.loads(capsys.readouterr().out)
    assert line == {
        "message": "signed in",
        "audit": True,
        "sub": USER["sub"],
        "client_id": "riderclient",
        "new_device": True,
    }


def attempts(*results: bool, code: str = "01234567") -> list[dict[str, Any]]:
    return [
        {"challengeName": "CUSTOM_CHALLENGE", "challengeResult": each, "challengeMetadata": code}
        for each in results
    ]


@pytest.mark.parametrize(
    ("results", "outcome"),
    [
        ([], ("CUSTOM_CHALLENGE", False, False)),
        ([False, False], ("CUSTOM_CHALLENGE", False, False)),
        ([False, False, True], (None, True, False)),
        ([False, False, False], (None, False, True)),
        ([True, False], ("CUSTOM_CHALLENGE", False, False)),
        ([False, False, False, True], (None, False, True)),
    ],
)
def test_three_attempts_and_only_a_right_one_gives_tokens(
    results: list[bool], outcome: tuple[str | None, bool, bool]
) -> None:
    answer = challenge.define(an_event(challenge.DEFINE, session=attempts(*results)), None)
    told = answer["response"]
    assert (told["challengeName"], told["issueTokens"], told["failAuthentication"]) == outcome


def test_a_user_who_does_not_exist_gets_no_tokens() -> None:
    event = an_event(challenge.DEFINE, session=attempts(True), userNotFound=True)
    assert challenge.define(event, None)["response"]["issueTokens"] is False
    event = an_event(challenge.VERIFY, userNotFound=True)
    assert challenge.verify(event, None)["response"]["answerCorrect"] is False


@pytest.mark.parametrize(
    "session",
    [
        [{"challengeName": "SRP_A", "challengeResult": True}],
        [{"challengeName": "CUSTOM_CHALLENGE", "challengeResult": "yes"}],
        "CUSTOM_CHALLENGE",
    ],
)
def test_a_session_of_another_kind_gives_no_tokens(session: Any) -> None:
    with pytest.raises(BadEvent):
        challenge.define(an_event(challenge.DEFINE, session=session), None)


def test_the_code_is_sent_once_and_the_app_never_sees_it(aws: FakeAws) -> None:
    event = an_event(challenge.CREATE, {"locale": "ja"})
    told = challenge.create(event, None)["response"]
    code = told["privateChallengeParameters"]["code"]
    assert code not in json.dumps(told["publicChallengeParameters"])
    (message,) = aws.sent
    assert message["Destination"] == {"ToAddresses": ["rider@example.com"]}
    assert code in message["Content"]["Simple"]["Body"]["Text"]["Data"]
    again = an_event(challenge.CREATE, session=attempts(False, code=code))
    told = challenge.create(again, None)["response"]
    assert told["privateChallengeParameters"] == {"code": code}
    assert len(aws.sent) == 1


@pytest.mark.parametrize(
    ("attributes", "request_fields"),
    [({}, {"userNotFound": True}), ({"email_verified": "false"}, {})],
)
def test_no_code_goes_to_a_stranger_or_an_unconfirmed_address(
    aws: FakeAws, attributes: Mapping[str, str], request_fields: Mapping[str, Any]
) -> None:
    told = challenge.create(an_event(challenge.CREATE, attributes, **request_fields), None)
    assert told["response"]["publicChallengeParameters"] == {"medium": "EMAIL"}
    assert aws.sent == []


def test_codes_differ(aws: FakeAws) -> None:
    codes = {
        challenge.create(an_event(challenge.CREATE), None)["response"]["challengeMetadata"]
        for _ in range(50)
    }
    assert len(codes) == 50
    assert len(aws.sent) == 50


@pytest.mark.parametrize(
    ("answer", "is_right"),
    [("01234567", True), ("01234568", False), ("1234567", False), ("", False), ("０１２", False)],
)
def test_only_the_whole_code_is_a_right_answer(answer: str, is_right: bool) -> None:
    event = an_event(challenge.VERIFY, challengeAnswer=answer)
    assert challenge.verify(event, None)["response"]["answerCorrect"] is is_right


@pytest.mark.parametrize("parameters", [{}, {"code": ""}, {"code": "x"}])
def test_without_a_code_no_answer_is_right(parameters: Mapping[str, str]) -> None:
    event = an_event(challenge.VERIFY, privateChallengeParameters=parameters, challengeAnswer="")
    with pytest.raises(BadEvent):
        challenge.verify(event, None)


def old_directory(username: str, password: str | None) -> Mapping[str, str] | None:
    """An older user directory: one user, whose password is `right`."""
    if username != USER["sub"] or password not in {"right", None}:
        return None
    return {"email": "rider@example.com", "email_verified": "true"}


@pytest.fixture
def _directory(aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_migration, "_directory", lambda: old_directory)


@pytest.mark.usefixtures("aws")
def test_without_a_directory_no_user_is_taken_over() -> None:
    for source in (user_migration.SIGN_IN, user_migration.RESET):
        with pytest.raises(BadEvent):
            user_migration.handle(an_event(source), None)


@pytest.mark.usefixtures("aws")
def test_the_directory_is_named_by_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER_DIRECTORY", "tests.support.cognito_events:an_event")
    assert user_migration._directory() is an_event


@pytest.mark.usefixtures("_directory")
def test_a_user_is_taken_over_with_the_right_password_and_by_a_reset() -> None:
    event = an_event(user_migration.SIGN_IN, password="right")
    told = user_migration.handle(event, None)["response"]
    assert told == {
        "userAttributes": {"email": "rider@example.com", "email_verified": "true"},
        "finalUserStatus": "CONFIRMED",
        "messageAction": "SUPPRESS",
        "desiredDeliveryMediums": ["EMAIL"],
        "forceAliasCreation": False,
    }
    told = user_migration.handle(an_event(user_migration.RESET), None)["response"]
    assert told["finalUserStatus"] == "RESET_REQUIRED"


@pytest.mark.usefixtures("_directory")
def test_a_wrong_password_cannot_be_guessed_here() -> None:
    for _ in range(user_migration.TRIES):
        with pytest.raises(Refused, match="Incorrect"):
            user_migration.handle(an_event(user_migration.SIGN_IN, password="wrong"), None)
    with pytest.raises(Refused, match="Too many"):
        user_migration.handle(an_event(user_migration.SIGN_IN, password="right"), None)


@pytest.mark.usefixtures("_directory")
def test_the_calls_to_the_directory_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(user_migration, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    for number in range(user_migration.CALLS):
        event = {**an_event(user_migration.RESET), "userName": f"user-{number}"}
        with pytest.raises(Refused, match="Incorrect"):
            user_migration.handle(event, None)
    with pytest.raises(Refused, match="Too many"):
        user_migration.handle({**an_event(user_migration.RESET), "userName": "one-more"}, None)
    clock[0] += user_migration.CALLS_SECONDS
    with pytest.raises(Refused, match="Incorrect"):
        user_migration.handle({**an_event(user_migration.RESET), "userName": "another"}, None)
