"""A world that goes on after a crash: time, sweeps, rounds, positions; and what must hold in it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from service.core import unicorns
from service.core.sweep import sweep
from service.core.unicorns import Step
from service.model import ASSIGNED, Ride, RideStatus, Unicorn
from tests.support.service import PICKUP, Service

GRACE_SECONDS = 8
"""A dead holder's lease (2 s), the sweep's longest pause (4 s), its period (1 s), and one more."""

FORGETS_SECONDS = 30
"""After this the fleet index asks DynamoDB what a unicorn is doing: nothing stale lives longer."""

NEXT = {
    RideStatus.OFFERED: Step.ACCEPT,
    RideStatus.MATCHED: Step.ARRIVE,
    RideStatus.ARRIVED: Step.START,
    RideStatus.IN_PROGRESS: Step.COMPLETE,
}

Outcome = tuple[frozenset[tuple[object, ...]], frozenset[tuple[object, ...]]]


@dataclass
class World:
    """The service in memory, seen from outside. Unicorns named `silent` send no positions."""

    service: Service
    silent: frozenset[str] = field(default_factory=frozenset)

    def settles(self) -> None:
        """Within the grace for what the fleet index knows of, soon after for the rest."""
        self.goes_on(GRACE_SECONDS)
        self.check_served({u.unicorn_id for u in self.unicorns() if self._is_known(u)})
        self.goes_on(FORGETS_SECONDS, every=3)
        self.forgets_states()
        self.goes_on(GRACE_SECONDS)
        self.check_served({u.unicorn_id for u in self.unicorns()})

    def goes_on(self, seconds: int, every: int = 1) -> None:
        """Sweep by sweep, checking each time that nothing is double or half done."""
        for _ in range(0, seconds, every):
            self.service.later(every)
            self._expire()
            self._report_positions()
            sweep(self.service.ports, self.service.now)
            self.service.run_published_rounds()
            self.check_pairs()

    def loses_messages(self) -> None:
        self.service.rounds.published.clear()

    def outcome(self) -> Outcome:
        """What became of all rides and unicorns, but for instants."""
        return frozenset(map(_ride_facts, self.rides())), frozenset(
            map(_unicorn_facts, self.unicorns())
        )

    def rides(self) -> list[Ride]:
        return list(self.service.rides._stored.values())

    def unicorns(self) -> list[Unicorn]:
        return list(self.service.unicorns._stored.values())

    def known_as_waiting(self) -> set[str]:
        return {ride_id for rides in self.service.waiting.rides.values() for ride_id in rides}

    def forgets_states(self) -> None:
        self.service.fleet._states.clear()

    def check_pairs(self) -> None:
        """No ride has two unicorns, no unicorn two rides, and no reservation is an orphan."""
        pairs = [(r.ride_id, r.unicorn_id) for r in self.rides() if r.status in ASSIGNED]
        reserved = [(u.ride_id, u.unicorn_id) for u in self.unicorns() if u.ride_id]
        assert sorted(pairs, key=str) == sorted(reserved, key=str)
        assert max(Counter(unicorn for _, unicorn in pairs).values(), default=0) <= 1
        assert all((ride.due_at is None) == ride.is_terminal for ride in self.rides())

    def check_served(self, known: set[str]) -> None:
        """Nobody waits who could be served by these; who waits is known to the next round."""
        state = self.service.control.current()
        requested = [ride for ride in self.rides() if ride.status is RideStatus.REQUESTED]
        waiting = [ride for ride in requested if not state.is_paused(ride.zone)]
        usable = {u.unicorn_id for u in self.unicorns() if u.can_take_a_ride} & known
        assert not [ride for ride in waiting if usable - ride.excluded - self.silent]
        assert {ride.ride_id for ride in waiting} <= self.known_as_waiting()

    def ends(self) -> None:
        """Every ride is driven or given up, one more is asked for and served: nothing is left."""
        self.service.control.set_paused(None, False)
        for _ in range(2 * len(NEXT)):
            self._drive()
            self.goes_on(1)
        self.service.later(200)
        self.goes_on(2)
        self.service.on_duty("the-last")
        self.service.request("the-last")
        for _ in range(len(NEXT) + 1):
            self.goes_on(1)
            self._drive()
        assert all(ride.is_terminal for ride in self.rides())
        assert not [unicorn for unicorn in self.unicorns() if unicorn.ride_id]
        assert not self.known_as_waiting()

    def _is_known(self, unicorn: Unicorn) -> bool:
        return self.service.fleet._states.get(unicorn.unicorn_id) == unicorn

    def _drive(self) -> None:
        for ride in self.rides():
            if ride.status in NEXT and ride.unicorn_id:
                args = (NEXT[ride.status], ride.unicorn_id, ride.ride_id, self.service.now)
                unicorns.advance(self.service.ports, *args)

    def _report_positions(self) -> None:
        for unicorn in self.unicorns():
            if unicorn.accepting and unicorn.unicorn_id not in self.silent:
                self.service.drives_to(PICKUP, unicorn.unicorn_id)

    def _expire(self) -> None:
        """What Redis forgets by itself; only a process that died leaves a lease behind."""
        waiting = self.service.waiting
        waiting.marks.clear()
        if int(self.service.now.timestamp()) % 2:
            for zone in waiting.leased:
                waiting.expire(zone)


def _ride_facts(ride: Ride) -> tuple[object, ...]:
    return (
        *(ride.ride_id, ride.status, ride.version, ride.unicorn_id, ride.excluded),
        *(ride.canceled_by, ride.cancel_reason, ride.rating, ride.fresh_deadlines),
    )


def _unicorn_facts(unicorn: Unicorn) -> tuple[object, ...]:
    return (
        *(unicorn.unicorn_id, unicorn.version, unicorn.state),
        *(unicorn.accepting, unicorn.ride_id, unicorn.account_sub),
    )
