"""Tokens that were verified a moment ago, so that the next request need not do it again."""

from __future__ import annotations

from service.auth.principal import Principal

Entry = tuple[int, Principal]


class VerifiedTokens:
    """Principals by token digest: the tokens themselves are not kept.

    At most `limit` entries, in two halves: what was not asked for while one half filled up goes.
    That is nearly least-recently-used, and needs no lock, because each step is one operation on a
    dict; racing threads can at worst forget an entry.
    """

    def __init__(self, limit: int) -> None:
        self._half = limit // 2
        self._young: dict[bytes, Entry] = {}
        self._old: dict[bytes, Entry] = {}

    def get(self, digest: bytes, generation: int, now: float) -> Principal | None:
        """The principal, if it has not expired and the keys are still those that proved it."""
        entry = self._young.get(digest)
        if entry is None:
            entry = self._old.get(digest)
            if entry is None:
                return None
            self._keep(digest, entry)
        verified_with, principal = entry
        return principal if verified_with == generation and now < principal.expires_at else None

    def add(self, digest: bytes, generation: int, principal: Principal) -> None:
        self._keep(digest, (generation, principal))

    def _keep(self, digest: bytes, entry: Entry) -> None:
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        if self._half:
            self._young[digest] = entry
