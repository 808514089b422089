"""The events that a user pool sends to its triggers, read strictly.

AWS documents the parameters that all events have, and the time limit of 5 s for an answer, here:
https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pools-working-with-lambda-triggers.html
An event that is not as documented, or whose source the handler does not expect, raises `BadEvent`.
Cognito takes any error as a refusal, so an unforeseen event is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

Event = dict[str, Any]

VERSION: Final = "1"
"""The version of all events except those of the pre token generation trigger."""


class BadEvent(ValueError):
    """The event does not have the shape, version or source that the handler expects."""


class Refused(Exception):
    """The user is refused; Cognito shows the text to the user."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """The parameters of every event. `attributes`: the user's, by name; all values are text."""

    source: str
    pool_id: str
    client_id: str
    username: str
    attributes: Mapping[str, str]
    request: Mapping[str, Any]

    @property
    def language(self) -> str:
        """The app's language, or else the user's: `ja` for `ja-JP`; empty if both are unknown."""
        metadata = mapping(self.request, "clientMetadata", of=object, default={})
        wanted = metadata.get("locale") or self.attributes.get("locale")
        if not isinstance(wanted, str) or not is_text(wanted):
            return ""
        return wanted.replace("_", "-").partition("-")[0].lower()


def read(event: object, *sources: str, versions: Collection[str] = (VERSION,)) -> Trigger:
    """The parts of an event from one of the `sources`. Raises `BadEvent`."""
    if not isinstance(event, dict):
        raise BadEvent("not an object")
    source = text(event, "triggerSource")
    if source not in sources:
        raise BadEvent("an unknown trigger source")
    if text(event, "version") not in versions:
        raise BadEvent("an unknown version")
    mapping(event, "response", of=object)
    request = mapping(event, "request", of=object)
    return Trigger(
        source=source,
        pool_id=text(event, "userPoolId"),
        client_id=text(mapping(event, "callerContext", of=object), "clientId"),
        username=text(event, "userName", default=""),
        attributes=mapping(request, "userAttributes", of=str, default={}),
        request=request,
    )


def answered(event: Event, **response: object) -> Event:
    """The event as Cognito expects it back: unchanged, except for these fields of its response."""
    return {**event, "response": {**event["response"], **response}}


def is_text(value: object) -> bool:
    """Whether the value is text that UTF-8 can encode. JSON may also hold lone surrogates."""
    return isinstance(value, str) and not any(
        "\ud800" <= character <= "\udfff" for character in value
    )


def text(holder: Mapping[str, Any], name: str, *, default: str | None = None) -> str:
    """A field that is text; `default` if it is absent or null. Raises `BadEvent`."""
    value = holder.get(name)
    if value is None and default is not None:
        return default
    if not is_text(value):
        raise BadEvent(f"{name} is not text")
    return str(value)


def texts(holder: Mapping[str, Any], name: str) -> list[str]:
    """A field that is a list of texts; empty if it is absent or null. Raises `BadEvent`."""
    value = holder.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(map(is_text, value)):
        raise BadEvent(f"{name} is not a list of texts")
    return value


def flag(holder: Mapping[str, Any], name: str) -> bool:
    """A field that is true or false; false if it is absent or null. Raises `BadEvent`."""
    value = holder.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadEvent(f"{name} is neither true nor false")
    return bool(value)


def mapping(
    holder: Mapping[str, Any], name: str, *, of: type, default: Mapping[str, Any] | None = None
) -> Mapping[str, Any]:
    """A field that is an object whose values have the type `of`. Raises `BadEvent`."""
    value = holder.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, dict):
        raise BadEvent(f"{name} is not an object")
    good = is_text if of is str else (lambda each: isinstance(each, of))
    if not all(is_text(key) and good(each) for key, each in value.items()):
        raise BadEvent(f"{name} holds something else")
    return value
