"""Stores that things happen to: answers get lost, processes die, others write in between.

Every write goes through `Trouble.around`, which shows the witness what is stored afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from service.model import Ride, Unicorn
from service.model.errors import Unavailable
from tests.support.ride_stores import Stores
from tests.support.ride_witness import Witness


class Killed(BaseException):
    """The process that did it is gone: nothing that should follow happens."""


class Trouble:
    """What goes wrong next, each once: others write first, the answer is lost, the writer dies."""

    def __init__(self, stores: Stores, witness: Witness) -> None:
        self._stores = stores
        self._witness = witness
        self.meanwhile: Callable[[], object] | None = None
        self.answer_is_lost = False
        self.writer_dies = False
        self.writer_is_dead = False
        self.redis_is_away = False
        self.verdict: AssertionError | None = None
        """What the witness said; kept, since those who work on many rides go on after an error."""

    def end(self) -> None:
        """Nothing goes wrong any more."""
        self.meanwhile = None
        self.answer_is_lost = self.writer_dies = self.redis_is_away = False

    def around(
        self, write: Callable[[], Any], ride_id: str | None, unicorn_id: str | None = None
    ) -> Any:
        self._let_others_write()
        lose, self.answer_is_lost = self.answer_is_lost, False
        die, self.writer_dies = self.writer_dies, False
        try:
            answer = self._stores.lose_answer(write) if lose else write()
        finally:
            self._show(ride_id, unicorn_id)
        if die:
            self.writer_is_dead = True
            raise Killed
        return answer

    def _show(self, ride_id: str | None, unicorn_id: str | None) -> None:
        try:
            self._witness.saw(
                self._stores.rides.get(ride_id) if ride_id else None,
                self._stores.unicorns.get(unicorn_id) if unicorn_id else None,
            )
        except AssertionError as error:
            self.verdict = self.verdict or error
            raise

    def _let_others_write(self) -> None:
        others, self.meanwhile = self.meanwhile, None
        if others:
            others()
            self._witness.meddled = True


class Troubled:
    """A store of the DynamoDB side whose reads are the store's own."""

    def __init__(self, store: object, trouble: Trouble) -> None:
        self._store: Any = store
        self._around = trouble.around

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class TroubledRides(Troubled):
    """`Rides` in trouble."""

    def create(self, ride: Ride) -> Ride | None:
        answer: Ride | None = self._around(lambda: self._store.create(ride), ride.ride_id)
        return answer

    def save(self, before: Ride, after: Ride) -> None:
        self._around(lambda: self._store.save(before, after), before.ride_id)

    def postpone(self, ride: Ride, due_at: datetime, failed_looks: int = 0) -> bool:
        postpone = self._store.postpone
        return bool(self._around(lambda: postpone(ride, due_at, failed_looks), ride.ride_id))

    def postpone_all(self, times: Sequence[tuple[Ride, datetime]]) -> Sequence[Ride]:
        return [replace(r, due_at=due_at) for r, due_at in times if self.postpone(r, due_at)]


class TroubledUnicorns(Troubled):
    """`Unicorns` in trouble."""

    def create(self, unicorn: Unicorn) -> None:
        self._around(lambda: self._store.create(unicorn), None, unicorn.unicorn_id)

    def save(self, before: Unicorn, after: Unicorn) -> None:
        self._around(lambda: self._store.save(before, after), None, before.unicorn_id)


class TroubledAssignments(Troubled):
    """`Assignments` in trouble."""

    def commit(self, ride: tuple[Ride, Ride], unicorn: tuple[Unicorn, Unicorn]) -> None:
        names = ride[0].ride_id, unicorn[0].unicorn_id
        self._around(lambda: self._store.commit(ride, unicorn), *names)


class Unreliable:
    """Any store of the Redis side: `Unavailable` while Redis is away, of no use to the dead."""

    def __init__(self, store: object, trouble: Trouble) -> None:
        self._store = store
        self._trouble = trouble

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            if self._trouble.writer_is_dead:
                raise Killed
            if self._trouble.redis_is_away:
                raise Unavailable("Redis is away")
            return found(*args, **kwargs)

        return call


class UnreliableLeases:
    """`RoundLeases` whose leases are as unreliable as they are."""

    def __init__(self, stores: Stores, trouble: Trouble) -> None:
        self._leases = Unreliable(stores.leases, trouble)
        self._trouble = trouble

    def take(self, zone: str) -> Any:
        lease = self._leases.take(zone)
        return lease and Unreliable(lease, self._trouble)
