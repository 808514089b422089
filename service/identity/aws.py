"""Clients for the triggers: botocore alone, which every Python runtime of Lambda has.

Cognito waits 5 s for a trigger, and no trigger makes more than two calls. So a trigger's call has
1.5 s in all and is not repeated.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any, Final

from botocore.config import Config
from botocore.session import get_session

CONNECT_SECONDS: Final = 0.5
READ_SECONDS: Final = 1.0
_CONFIG: Final = Config(
    connect_timeout=CONNECT_SECONDS,
    read_timeout=READ_SECONDS,
    retries={"mode": "standard", "total_max_attempts": 1},
)


@cache
def client(service: str) -> Any:
    """This process's client of an AWS service, made when it is first needed."""
    return get_session().create_client(
        service, region_name=os.environ["AWS_REGION"], config=_CONFIG
    )
