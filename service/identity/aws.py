"""Clients for the triggers: botocore alone, which every Python runtime of Lambda has.

Cognito waits 5 s for a trigger, so a call has 3 s in all and is not repeated.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any, Final

from botocore.config import Config
from botocore.session import get_session

_CONFIG: Final = Config(
    connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 1}
)


@cache
def client(service: str) -> Any:
    """This process's client of an AWS service, made when it is first needed."""
    return get_session().create_client(
        service,
        region_name=os.environ["AWS_REGION"],
        config=_CONFIG,
    )
