"""Revocations in memory, for tests whose unit is pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime


class FakeRevocations:
    """As `service.stores.revocations`; the contract tests hold both to the same behaviour."""

    def __init__(self) -> None:
        self._revoked: dict[tuple[str, str], tuple[datetime, datetime]] = {}

    def put(self, kind: str, value: str, *, revoked_at: datetime, expires_at: datetime) -> None:
        known = self._revoked.get((kind, value))
        if known is None or known[0] < revoked_at:
            self._revoked[kind, value] = revoked_at, expires_at

    def lookup(self, marks: Mapping[str, str], now: datetime) -> Mapping[str, datetime]:
        found = {kind: self._revoked.get((kind, value)) for kind, value in marks.items()}
        return {kind: known[0] for kind, known in found.items() if known and known[1] > now}
