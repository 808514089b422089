"""What riders, unicorns and admins do in the city of the ride machine.

Each act is judged by what was stored before it: what is legal succeeds, what is not is refused.
"""

from __future__ import annotations

from service.api.views import ride_view
from service.core import geofence, positions, staff, unicorns
from service.core.rides import RideOrder, cancel_ride, rate_ride, request_ride, ride_id_of
from service.core.unicorns import Step
from service.core.watch import live_view
from service.matching.travel import GreatCircle
from service.matching.zones import zone_of
from service.model import Location, Position, Rating, Ride, UnicornState
from service.model.errors import IdempotencyKeyReused, Unavailable
from tests.support.builders import a_unicorn
from tests.support.ride_city import City
from tests.support.ride_witness import (
    ARRIVED,
    CANCELED,
    COMPLETED,
    ENDED,
    IN_PROGRESS,
    MATCHED,
    OFFERED,
    REQUESTED,
)

LATITUDE = 40.7128
BORDER = next(
    east / 100
    for east in range(-7400, 0)
    if zone_of(Location(LATITUDE, east / 100)) != zone_of(Location(LATITUDE, -74.01))
)
"""The first longitude east of New York that is in another zone."""

PLACES = (
    Location(LATITUDE, BORDER - 0.015),
    Location(LATITUDE + 0.005, BORDER - 0.012),
    Location(LATITUDE, BORDER + 0.003),
    Location(LATITUDE, BORDER + 0.075),
)
"""Two in one zone, the third in the next zone but within reach of them, the last out of reach."""

FROM = {
    Step.ACCEPT: {OFFERED},
    Step.DECLINE: {OFFERED, MATCHED, ARRIVED},
    Step.ARRIVE: {MATCHED},
    Step.START: {ARRIVED},
    Step.COMPLETE: {IN_PROGRESS},
}
REACHES = {
    Step.ACCEPT: MATCHED,
    Step.ARRIVE: ARRIVED,
    Step.START: IN_PROGRESS,
    Step.COMPLETE: COMPLETED,
}


class People(City):
    """Everybody who asks the service for something."""

    def request(self, rider: str, pickup: int, dropoff: int | None, key: str | None) -> None:
        order = RideOrder(
            rider_id=rider,
            pickup=PLACES[pickup],
            dropoff=None if dropoff is None else PLACES[dropoff],
            idempotency_key=key,
        )
        ride_id = key and ride_id_of(rider, key)
        known = self.witness.rides.get(ride_id) if ride_id else None
        same = known is None or known.fingerprint == order.fingerprint
        answer = self.expect(same, lambda: request_ride(self.ports, order, self.now))
        if isinstance(answer, tuple):
            self.witness.shown(answer[0])
            assert same
            assert ride_id in (None, answer[0].ride_id)
        else:
            assert answer is None or isinstance(answer, IdempotencyKeyReused | Unavailable)

    def cancel(self, ride_id: str) -> None:
        ride = self.witness.rides[ride_id]
        legal = ride.status in {REQUESTED, OFFERED, MATCHED, ARRIVED, CANCELED}
        self._shown(
            self.expect(
                legal,
                lambda: cancel_ride(self.ports, ride.ride_id, ride.rider_id, "rain", self.now),
            )
        )

    def rate(self, ride_id: str, stars: int) -> None:
        ride = self.witness.rides[ride_id]
        rating = Rating(stars)
        self._shown(
            self.expect(
                ride.status is COMPLETED,
                lambda: rate_ride(self.ports, ride.ride_id, ride.rider_id, rating, self.now),
            )
        )

    def look(self, ride_id: str) -> None:
        """The rider looks: no older version than before, no unicorn that was only asked.

        Whoever declined the ride looks by saying so again.
        """
        seen = self.ports.rides.get(ride_id)
        assert seen
        self._shown(seen)
        live = live_view(self.ports, self.ports.pickup_etas, seen, self.now)
        if seen.status in {REQUESTED, OFFERED}:
            assert ride_view(seen).unicorn is None
            assert live.position is None
            assert live.pickup_eta_seconds is None
        for unicorn_id in seen.declined:
            self._repeat_decline(unicorn_id, ride_id)

    def _repeat_decline(self, unicorn_id: str, ride_id: str) -> None:
        """Changes nothing, and shows the unicorn nothing of what became of the ride."""
        answer = unicorns.advance(self.ports, Step.DECLINE, unicorn_id, ride_id, self.now)
        assert (answer.status, answer.unicorn) == (REQUESTED, None), "another's ride is shown"

    def enroll(self, unicorn_id: str, at: int, auto_accept: bool) -> None:
        unicorn = a_unicorn(unicorn_id=unicorn_id, auto_accept=auto_accept)
        at_place = PLACES[at]
        self.expect(
            True, lambda: staff.enroll(self.ports, unicorn, at_place, self.now), again=False
        )
        self.present[unicorn_id] = PLACES[at]

    def go(self, unicorn_id: str, *, on_duty: bool) -> None:
        self.expect(
            self.witness.unicorns[unicorn_id].state is not UnicornState.REMOVED,
            lambda: unicorns.set_availability(self.ports, unicorn_id, on_duty, self.now),
        )

    def step(self, unicorn_id: str, ride_id: str, step: Step) -> None:
        ride = self.witness.rides[ride_id]
        own = ride.unicorn_id == unicorn_id
        legal = own and ride.status in FROM[step]
        if step is Step.ACCEPT:
            legal = legal and ride.offer_ends_at is not None and self.now < ride.offer_ends_at
        if step is Step.ARRIVE:
            legal = legal and not self._is_elsewhere(unicorn_id, ride)
        done = own and ride.status is REACHES.get(step)
        if step is Step.DECLINE:
            done = unicorn_id in ride.declined
        self.expect(
            legal or done, lambda: unicorns.advance(self.ports, step, unicorn_id, ride_id, self.now)
        )

    def _is_elsewhere(self, unicorn_id: str, ride: Ride) -> bool:
        """Whether its last seconds speak against its arrival, and it has not insisted."""
        if self.trouble.redis_is_away:
            return False
        last = self.stores.fleet.position(unicorn_id, self.now)
        since = ride.arrive_refused_at
        if last is None or self.now - last.recorded_at > geofence.RECENT:
            return False
        insists = since is not None and self.now - since >= geofence.INSIST_AFTER
        return not insists and GreatCircle().crow_metres(last.location, ride.pickup) > 500

    def send_positions(self) -> None:
        """Every unicorn that is still there says where it is."""
        for unicorn_id in self.present:
            self._send_position(unicorn_id)

    def _send_position(self, unicorn_id: str) -> None:
        position = Position(self.present[unicorn_id], self.now)
        answer = self.attempt(
            lambda: positions.record_position(self.ports, unicorn_id, position, self.now)
        )
        if isinstance(answer, positions.Noted):
            self.witness.heard_at[unicorn_id] = self.now

    def poll_without_a_place(self, unicorn_id: str, seconds: float) -> None:
        """Its app asks for news every half minute, and says nothing of where it is."""
        self.present.pop(unicorn_id, None)
        for _ in range(0, int(seconds), 30):
            self.pass_time(30)
            if not self.trouble.redis_is_away:
                self.ports.fleet.hear(unicorn_id, self.now)
                self.witness.heard_at[unicorn_id] = self.now
            self.send_positions()
            self.sweep()

    def cancel_as_admin(self, ride_id: str) -> None:
        status = self.witness.rides[ride_id].status
        self.expect(
            status is CANCELED or status not in ENDED,
            lambda: staff.cancel_as_admin(self.ports, ride_id, "storm", self.now),
        )

    def reassign(self, ride_id: str) -> None:
        self.expect(
            self.witness.rides[ride_id].status in {OFFERED, MATCHED, ARRIVED},
            lambda: staff.reassign_ride(self.ports, ride_id, self.now),
            again=False,
        )

    def remove(self, unicorn_id: str) -> None:
        self.expect(
            self.witness.unicorns[unicorn_id].ride_id is None,
            lambda: staff.remove_unicorn(self.ports, unicorn_id, self.now),
        )

    def _shown(self, answer: object) -> None:
        if isinstance(answer, Ride):
            self.witness.shown(answer)
