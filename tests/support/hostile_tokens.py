"""The hostile-token table: every row that is told by the `Authorization` header alone.

Run against the verifier here and over HTTP elsewhere. `Mint` has to be of the pool, the clients
and the key the verifier knows; both issuers of the pool must be configured.
"""

from __future__ import annotations

from typing import Final

from tests.support import hostile_claims, hostile_headers, hostile_jose
from tests.support.hostile_case import Case

CASES: Final[tuple[Case, ...]] = (
    *hostile_headers.CASES,
    *hostile_jose.CASES,
    *hostile_claims.CASES,
)
