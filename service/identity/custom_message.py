"""Trigger that writes the user pool's messages in the user's language.

https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-lambda-custom-message.html
lists the placeholders that each message must have, and the maximum lengths: 140 characters for an
SMS and for a subject, 20,000 for an e-mail.
"""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Mapping
from typing import Final

from service.identity.events import BadEvent, Event, Trigger, answered, read, text
from service.identity.messages import Purpose, wording

PURPOSES: Final[Mapping[str, Purpose]] = {
    "CustomMessage_SignUp": Purpose.CONFIRM,
    "CustomMessage_ResendCode": Purpose.CONFIRM,
    "CustomMessage_ForgotPassword": Purpose.RESET,
    "CustomMessage_UpdateUserAttribute": Purpose.VERIFY,
    "CustomMessage_VerifyUserAttribute": Purpose.VERIFY,
    "CustomMessage_Authentication": Purpose.SIGN_IN,
    "CustomMessage_AdminCreateUser": Purpose.INVITE,
}
CODE: Final = "{####}"
USERNAME: Final = "{username}"
"""Cognito replaces `CODE` by the code or a temporary password, and `USERNAME` by the user name."""
LONGEST_NAME: Final = 40


def handle(event: Event, _context: object) -> Event:
    """Raises `BadEvent`. No remote call."""
    trigger = read(event, *PURPOSES)
    purpose = PURPOSES[trigger.source]
    _require_placeholders(trigger, purpose)
    words = wording(trigger.language)
    body = words.bodies[purpose].format(code=CODE, username=USERNAME)
    name = greeting_name(trigger.attributes.get("given_name", ""))
    greeting = words.named_greeting.format(name=html.escape(name)) if name else words.greeting
    paragraphs = (greeting, body, words.closing)
    return answered(
        event,
        smsMessage=body,
        emailSubject=words.subjects[purpose],
        emailMessage="".join(f"<p>{paragraph}</p>" for paragraph in paragraphs),
    )


def greeting_name(name: str) -> str:
    """The name if it looks like a name; otherwise empty.

    Somebody who signs up with a stranger's address chooses the name that the stranger reads. This
    check keeps links, sentences and placeholders out of the message.
    """
    fits = 0 < len(name) <= LONGEST_NAME and len(name.split()) <= 3
    letters = all(unicodedata.category(each)[0] in "LM" or each in " '’-" for each in name)
    return name.strip() if fits and letters else ""


def _require_placeholders(trigger: Trigger, purpose: Purpose) -> None:
    """Raise `BadEvent` unless Cognito uses the placeholders that the messages have."""
    wanted = {"codeParameter": CODE}
    if purpose is Purpose.INVITE:
        wanted["usernameParameter"] = USERNAME
    for parameter, placeholder in wanted.items():
        if text(trigger.request, parameter) != placeholder:
            raise BadEvent(f"{parameter} is not the documented one")
