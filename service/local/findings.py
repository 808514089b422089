"""The result of checking one part of an AWS account."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError


class Missing(Exception):
    """The account lacks something. The message names it and says what to do."""


class Unknown(Exception):
    """The account does not say whether it has something. The message says what to look at."""


class Finding(NamedTuple):
    """The result of checking one part. `text` says what was found, or what is missing."""

    word: Literal["ok", "MISSING", "UNKNOWN"]
    part: str
    text: str


Check = Callable[[], str]
"""Checks a part of the account. Returns a sentence about what it found; raises `Missing`,
`Unknown`, or an error of botocore, which counts as missing."""


def finding(part: str, check: Check) -> Finding:
    """Call `check`, which makes the remote calls, and return its result."""
    try:
        return Finding("ok", part, check())
    except Missing as missing:
        return Finding("MISSING", part, str(missing))
    except Unknown as unknown:
        return Finding("UNKNOWN", part, str(unknown))
    except (BotoCoreError, ClientError) as error:
        return Finding("MISSING", part, reason_of(error))


def reason_of(error: BotoCoreError | ClientError) -> str:
    """What the account answered, or why it could not be asked."""
    if isinstance(error, ClientError):
        fields = error.response["Error"]
        return f"{fields.get('Code')}: {fields.get('Message')}"
    return str(error)
