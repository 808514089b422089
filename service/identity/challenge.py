"""Sign-in by a one-time code sent by e-mail: three triggers of the custom challenge.

https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-lambda-challenge.html
A code has eight digits. It is valid for three attempts and for the session of the sign-in
(`AuthSessionValidity`, 3 minutes). The app gets only `publicChallengeParameters`; Cognito does not
show it `privateChallengeParameters` or the metadata of earlier attempts.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
from collections.abc import Sequence
from typing import Any, Final

from service.identity.aws import client
from service.identity.events import BadEvent, Event, Trigger, answered, flag, mapping, read, text
from service.identity.messages import Purpose, wording

DEFINE: Final = "DefineAuthChallenge_Authentication"
CREATE: Final = "CreateAuthChallenge_Authentication"
VERIFY: Final = "VerifyAuthChallengeResponse_Authentication"
CHALLENGE: Final = "CUSTOM_CHALLENGE"
ATTEMPTS: Final = 3
DIGITS: Final = 8
_CODE: Final = re.compile(rf"[0-9]{{{DIGITS}}}")


def define(event: Event, _context: object) -> Event:
    """Issue tokens after a right answer; after a wrong one ask again, up to three attempts."""
    trigger = read(event, DEFINE)
    session = _session(trigger)
    succeeded = 0 < len(session) <= ATTEMPTS and session[-1]["challengeResult"] is True
    failed = not succeeded and len(session) >= ATTEMPTS
    return answered(
        event,
        challengeName=None if succeeded or failed else CHALLENGE,
        issueTokens=succeeded and not flag(trigger.request, "userNotFound"),
        failAuthentication=failed,
    )


def create(event: Event, _context: object) -> Event:
    """Send a new code, or continue with the one that was sent. A new code costs one remote call.

    Sends nothing for a user who does not exist or to an address that is not verified; the app
    cannot see the difference. Raises `BadEvent` and botocore's errors.
    """
    trigger = read(event, CREATE)
    if text(trigger.request, "challengeName") != CHALLENGE:
        raise BadEvent("another challenge")
    session = _session(trigger)
    code = text(session[-1], "challengeMetadata") if session else _new_code()
    if not _CODE.fullmatch(code):
        raise BadEvent("an earlier challenge of another kind")
    if not session and _may_be_sent_to(trigger):
        _send(trigger, code)
    return answered(
        event,
        publicChallengeParameters={"medium": "EMAIL"},
        privateChallengeParameters={"code": code},
        challengeMetadata=code,
    )


def verify(event: Event, _context: object) -> Event:
    """Compare the answer with the code, in constant time. Raises `BadEvent`."""
    trigger = read(event, VERIFY)
    code = text(mapping(trigger.request, "privateChallengeParameters", of=str), "code")
    if not _CODE.fullmatch(code):
        raise BadEvent("no code to compare with")
    given = text(trigger.request, "challengeAnswer", default="")
    is_right = hmac.compare_digest(given.encode(), code.encode())
    return answered(event, answerCorrect=is_right and not flag(trigger.request, "userNotFound"))


def _may_be_sent_to(trigger: Trigger) -> bool:
    exists = not flag(trigger.request, "userNotFound")
    return exists and trigger.attributes.get("email_verified") == "true"


def _new_code() -> str:
    return f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"


def _session(trigger: Trigger) -> Sequence[dict[str, Any]]:
    """The attempts so far. Raises `BadEvent` if one is not a custom challenge."""
    session = trigger.request.get("session") or []
    if not isinstance(session, list) or not all(
        isinstance(each, dict)
        and each.get("challengeName") == CHALLENGE
        and isinstance(each.get("challengeResult"), bool)
        for each in session
    ):
        raise BadEvent("session holds something else")
    return session


def _send(trigger: Trigger, code: str) -> None:
    words = wording(trigger.language)
    body = f"{words.bodies[Purpose.SIGN_IN].format(code=code, username='')}\n\n{words.closing}"
    client("sesv2").send_email(
        FromEmailAddress=os.environ["CODE_SENDER"],
        Destination={"ToAddresses": [text(trigger.attributes, "email")]},
        Content={
            "Simple": {
                "Subject": {"Data": words.subjects[Purpose.SIGN_IN], "Charset": "UTF-8"},
                "Body": {"Text": {"Data": body, "Charset": "UTF-8"}},
            }
        },
    )
