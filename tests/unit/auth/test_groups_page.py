"""The trigger that `service/auth/GROUPS.md` prints makes a large token fit."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from service.auth.errors import TokenTooLarge
from service.auth.verifier import TokenVerifier
from tests.support.infrastructure import PROJECT
from tests.support.token_mint import Mint

GROUPS = [
    "admin",
    *(f"department-{number:03}-of-a-large-company-with-long-names" for number in range(110)),
]


def test_the_printed_trigger_leaves_the_groups_that_the_api_reads(
    mint: Mint, verifier: TokenVerifier
) -> None:
    page = (PROJECT / "service" / "auth" / "GROUPS.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    names: dict[str, Any] = {}
    exec(code, names)
    event = {"request": {"groupConfiguration": {"groupsToOverride": GROUPS}}, "response": {}}
    answer = names["handler"](event, None)["response"]["claimsAndScopeOverrideDetails"]
    with pytest.raises(TokenTooLarge):
        verifier.verify(mint.access_token(groups=GROUPS), time.time())
    kept = answer["groupOverrideDetails"]["groupsToOverride"]
    assert verifier.verify(mint.access_token(groups=kept), time.time()).groups == {"admin"}
