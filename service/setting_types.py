"""The types of settings: what a value may be, and how it is read from a text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from service import addresses
from service.auth.roles import RoleGrants
from service.strict import read_json_object


def _unless_empty(check: Callable[[str], str]) -> AfterValidator:
    """Check a value unless it is empty: an empty default means that there is none."""
    return AfterValidator(lambda text: check(text) if text else text)


def parts_of(value: str) -> tuple[str, ...]:
    """The parts of a setting that is a list, separated by commas with or without spaces."""
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _parts(value: object) -> object:
    return parts_of(value) if isinstance(value, str) else value


def _json(value: object) -> object:
    return json.loads(value) if isinstance(value, str) else value


def _proofs(value: object) -> object:
    """The proofs by name, without empty ones. An empty value is a proof that is not in use."""
    proofs = _json(value)
    if isinstance(proofs, dict):
        return {name: proof for name, proof in proofs.items() if proof != ""}
    return proofs


def _key_file(name: str) -> str:
    """The name of a file with keys. Raises `ValueError`.

    Not by `read_key_set`, which imports ssl: the master of gunicorn loads the settings, and gevent
    patches ssl only after the fork.
    """
    try:
        if read_json_object(Path(name).read_bytes()).get("keys"):
            return name
    except (OSError, ValueError):
        pass
    raise ValueError("is no file with a key")


def _grants(scopes: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    RoleGrants(scopes)
    return scopes


Parts = BeforeValidator(_parts)
"""Splits a list that is separated by commas."""
Region = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
Table = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{3,255}$")]
Bucket = Annotated[str, Field(pattern=r"^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$")]
Word = Annotated[str, Field(pattern=r"^[\x21\x23-\x26\x28-\x7e]*$")]
"""Visible ASCII without quotes, which can go into headers and labels as it is."""
Namespace = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.#/-]{0,255}$")]
Group = Annotated[str, Field(pattern=r"^\S{1,128}$")]
RateLimit = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8}/(second|minute|hour)$")]
Login = Annotated[str, Field(pattern=r"^[\x21-\x2b\x2d-\x39\x3b-\x7e]+:[\x21-\x2b\x2d-\x7e]+$")]
"""`user:password` in visible ASCII, without commas: Flower takes those for the end of a login."""
Prefix = Annotated[str, Field(pattern=r"^(/?[A-Za-z0-9_.~-]+(/[A-Za-z0-9_.~-]+)*/?)?$")]
IdentityPoolId = Annotated[str, Field(pattern=r"^([a-z0-9-]+:[0-9a-f-]{36})?$")]
Seconds = Annotated[int, Field(le=86_400)]
"""At most a day. A longer time is a slip, and an instant that lies so far ahead may not exist (the
calendar ends in the year 9999)."""
Leeway = Annotated[int, Field(ge=0, le=300)]
Session = Annotated[int, Field(gt=0, le=3650 * 86_400)]
ClientId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_+]{1,128}$")]
Latitude = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
Longitude = Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]

Host = Annotated[str, AfterValidator(addresses.listening_host)]
PlainHosts = Annotated[tuple[Annotated[str, AfterValidator(addresses.plain_host)], ...], Parts]
Origins = Annotated[tuple[Annotated[str, AfterValidator(addresses.origin)], ...], Parts]
KeyFile = Annotated[str, _unless_empty(_key_file)]
PublicUrl = Annotated[str, _unless_empty(addresses.public_url)]
ProtectedUrl = Annotated[str, _unless_empty(addresses.protected_url)]
RedisUrl = Annotated[str, _unless_empty(addresses.redis_url)]
TilesUrl = Annotated[str, _unless_empty(addresses.tiles_url)]
WebUrl = Annotated[str, _unless_empty(addresses.web_url)]

Scopes = Annotated[dict[str, tuple[str, ...]], BeforeValidator(_json), AfterValidator(_grants)]
"""The scopes of each IAM role, by its ARN, as a JSON object."""
Groups = Annotated[dict[str, tuple[Group, ...]], BeforeValidator(_json)]
Proofs = Annotated[
    dict[str, Annotated[str, Field(pattern=r"^[A-Za-z0-9]{32,128}$")]], BeforeValidator(_proofs)
]
