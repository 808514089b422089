"""Sign-up: who may, the messages that users get, and their group."""

from __future__ import annotations

import re

import pytest

from service.identity import custom_message, post_confirmation, pre_sign_up
from service.identity.events import BadEvent, Refused
from service.identity.messages import WORDINGS, Purpose, Refusal
from tests.support.cognito_events import USER, an_event
from tests.unit.identity.conftest import FakeAws

SIGN_UPS = ("PreSignUp_SignUp", "PreSignUp_AdminCreateUser", "PreSignUp_ExternalProvider")
MESSAGES = tuple(custom_message.PURPOSES)


@pytest.fixture
def _domains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_EMAIL_DOMAINS", "example.com, example.org")


@pytest.mark.usefixtures("aws", "_domains")
@pytest.mark.parametrize("source", SIGN_UPS)
def test_an_address_of_a_listed_domain_may_sign_up(source: str) -> None:
    event = an_event(source)
    assert pre_sign_up.handle(event, None) == event


@pytest.mark.usefixtures("aws", "_domains")
@pytest.mark.parametrize("source", [pre_sign_up.SELF, pre_sign_up.FEDERATED])
@pytest.mark.parametrize(
    "address",
    [
        "rider@elsewhere.com",
        "rider@sub.example.com",
        "rider@example.com.elsewhere.com",
        "rider@notexample.com",
        "rider@example.com.",
        "rider@exa\u043cple.com",
    ],
)
def test_a_domain_that_is_not_listed_may_not(source: str, address: str) -> None:
    with pytest.raises(Refused, match=r"domain|valid"):
        pre_sign_up.handle(an_event(source, {"email": address}), None)


@pytest.mark.usefixtures("aws", "_domains")
def test_an_invited_user_may_have_an_address_of_any_domain() -> None:
    event = an_event(pre_sign_up.INVITED, {"email": "driver@elsewhere.com"})
    assert pre_sign_up.handle(event, None) == event


@pytest.mark.usefixtures("aws")
def test_without_a_list_every_domain_may_sign_up() -> None:
    event = an_event(pre_sign_up.SELF, {"email": "rider@anywhere.test"})
    assert pre_sign_up.handle(event, None) == event


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(
    "address", ["", "rider", "a@b@example.com", 'x" or sub = "y@example.com', "a\\@example.com"]
)
def test_a_text_that_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(Refused, match="valid e-mail address"):
        pre_sign_up.handle(an_event(pre_sign_up.SELF, {"email": address}), None)


@pytest.mark.parametrize("source", SIGN_UPS)
@pytest.mark.parametrize("address", ["rider@example.com", "Rider@Example.com"])
def test_an_address_has_one_account(aws: FakeAws, source: str, address: str) -> None:
    aws.addresses["rider@example.com"] = "somebody-else"
    with pytest.raises(Refused, match="has an account already"):
        pre_sign_up.handle(an_event(source, {"email": address}), None)
    aws.addresses["rider@example.com"] = USER["sub"]
    assert pre_sign_up.handle(an_event(source, {"email": address}), None)


def test_a_pool_that_does_not_answer_lets_nobody_in(aws: FakeAws) -> None:
    aws.is_down = True
    with pytest.raises(Refused, match="try again"):
        pre_sign_up.handle(an_event(pre_sign_up.SELF), None)


@pytest.mark.usefixtures("aws", "_domains")
@pytest.mark.parametrize("language", sorted(WORDINGS))
def test_a_refusal_is_in_the_words_of_the_user(language: str) -> None:
    event = an_event(
        pre_sign_up.SELF, {"email": "a@b.test"}, clientMetadata={"locale": f"{language}-XX"}
    )
    with pytest.raises(Refused, match=re.escape(WORDINGS[language].refusals[Refusal.DOMAIN])):
        pre_sign_up.handle(event, None)


@pytest.mark.parametrize("source", MESSAGES)
@pytest.mark.parametrize("language", [*sorted(WORDINGS), "tlh", ""])
def test_a_message_is_in_the_users_language_and_holds_its_placeholders(
    source: str, language: str
) -> None:
    answer = custom_message.handle(an_event(source, {"locale": language}), None)["response"]
    words = WORDINGS.get(language, WORDINGS["en"])
    purpose = custom_message.PURPOSES[source]
    assert answer["emailSubject"] == words.subjects[purpose]
    assert words.closing in answer["emailMessage"]
    wanted = {"{####}", *(["{username}"] if purpose is Purpose.INVITE else [])}
    for part in ("emailMessage", "smsMessage"):
        assert set(re.findall(r"\{.*?\}", answer[part])) == wanted
    sent = answer["smsMessage"].replace("{####}", 10 * "0").replace("{username}", 36 * "0")
    assert len(sent) <= 140
    assert len(answer["emailSubject"]) <= 140


def test_what_the_app_asks_for_comes_before_the_users_own_language() -> None:
    event = an_event(MESSAGES[0], {"locale": "de"}, clientMetadata={"locale": "ja"})
    answer = custom_message.handle(event, None)["response"]
    assert answer["emailSubject"] == WORDINGS["ja"].subjects[Purpose.CONFIRM]


@pytest.mark.parametrize(
    ("name", "greeting"),
    [
        ("Ada", "Hello Ada,"),
        ("Renée d’Arc", "Hello Renée d’Arc,"),
        ("O'Neil", "Hello O&#x27;Neil,"),
        ("<b>Ada</b>", "Hello,"),
        ("Win at evil.test", "Hello,"),
        ("{####}", "Hello,"),
        ("{username}", "Hello,"),
        ("go to this site and pay", "Hello,"),
        ("A" * 41, "Hello,"),
        ("", "Hello,"),
    ],
)
def test_only_a_name_is_greeted_as_a_name(name: str, greeting: str) -> None:
    answer = custom_message.handle(an_event(MESSAGES[0], {"given_name": name}), None)["response"]
    assert answer["emailMessage"].startswith(f"<p>{greeting}</p>")


def test_a_message_without_a_place_for_the_code_is_not_sent() -> None:
    with pytest.raises(BadEvent):
        custom_message.handle(an_event(MESSAGES[0], codeParameter="123456"), None)


def test_a_confirmed_user_becomes_a_rider_and_a_repeat_changes_nothing(aws: FakeAws) -> None:
    event = an_event(post_confirmation.SIGNED_UP)
    assert post_confirmation.handle(event, None) == event
    assert post_confirmation.handle(event, None) == event
    assert set(aws.groups) == {(USER["sub"], "riders")}


def test_a_new_password_changes_no_group(aws: FakeAws) -> None:
    event = an_event(post_confirmation.RESET)
    assert post_confirmation.handle(event, None) == event
    assert aws.groups == []
