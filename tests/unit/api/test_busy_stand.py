"""Five unicorns at a busy stand, and riders two kilometres out: nobody is left to wait in vain."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from service.auth.principal import Principal
from service.core.sweep import sweep
from service.matching.tuning import Tuning
from service.model import Location
from tests.support.api import Api, a_principal, build_api
from tests.support.fakes_redis import FakeRoundQueue
from tests.support.service import a_dispatcher

STAND = Location(40.7128, -74.0060)
REMOTE = Location(40.7128 + 2000 / 111_195, -74.0060)
"""Two kilometres out: a pickup ETA of 427 s, within the cap of 480 s."""
HERD = 5
BUSY_SECONDS = 5
"""How long a ride keeps its unicorn here; it is back at the stand then."""
SECONDS = 300
"""How long near riders come, one every second: until the last remote ride's deadline."""
REMOTE_EVERY = 10


class AnyToken:
    """Believes whoever says who they are."""

    def verify(self, token: str, now: float) -> Principal:
        return a_principal(token, groups=frozenset({"unicorns", "admin"}))


@dataclass
class Scene:
    """Near riders come at least as fast as unicorns get free; remote ones now and then."""

    tuning: Tuning = field(default_factory=Tuning)

    def __post_init__(self) -> None:
        self.api: Api = build_api(verifier=AnyToken(), rate_limit_enabled=False)
        ports = self.api.ports
        self.dispatcher = replace(
            a_dispatcher(ports, ports.waiting, self.now),  # type: ignore[arg-type]
            tuning=self.tuning,
        )
        self.rides: dict[str, list[str]] = {"near": [], "remote": []}
        self.busy: deque[tuple[int, str, str]] = deque()

    def now(self) -> Any:
        return self.api.clock[0]

    def call(self, method: str, path: str, body: Any, token: str) -> Any:
        answer = self.api.call(method, path, body, token=token)
        assert answer.status_code < 300, answer.json
        return answer.json

    def plays(self) -> dict[str, list[str]]:
        """How each near and each remote ride ended."""
        for number in range(HERD):
            self.enrolls(f"u{number}")
        for second in range(SECONDS + 100):
            if second < SECONDS:
                self.asks("near", STAND, second)
            if second % REMOTE_EVERY == 0 and second < 11 * REMOTE_EVERY:
                self.asks("remote", REMOTE, second)
            self.drives(second)
            self.dispatches(second)
            self.api.pass_time(1)
        return {kind: list(self.outcomes(kind)) for kind in self.rides}

    def enrolls(self, name: str) -> None:
        unicorn = {"unicorn_id": name, "name": name, "color": "White", "gender": "Male"}
        unicorn |= {"account_sub": name}
        self.call("POST", "/v1/admin/unicorns", unicorn, "admin-1")
        self.reports(name)
        self.call("PUT", "/v1/fleet/me/availability", {"available": True}, name)

    def reports(self, name: str) -> None:
        at = {"latitude": STAND.latitude, "longitude": STAND.longitude}
        self.api.call("PUT", "/v1/fleet/me/position", at, token=name)

    def asks(self, kind: str, pickup: Location, second: int) -> None:
        at = {"latitude": pickup.latitude, "longitude": pickup.longitude}
        ride = self.call("POST", "/v1/rides", {"pickup": at}, f"{kind}-{second}")
        self.rides[kind].append(ride["ride_id"])

    def drives(self, second: int) -> None:
        while self.busy and self.busy[0][0] <= second:
            _, name, ride_id = self.busy.popleft()
            ride = self.call("GET", "/v1/fleet/me", None, name)["ride"]
            for step in ("arrive", "start", "complete"):
                body = ride["pickup"] if step == "arrive" else None
                self.call("POST", f"/v1/fleet/me/rides/{ride_id}/{step}", body, name)
        under_way = {ride_id for _, _, ride_id in self.busy}
        for number in range(HERD):
            if second % 20 == 0:
                self.reports(f"u{number}")
            ride = self.call("GET", "/v1/fleet/me", None, f"u{number}")["ride"]
            if ride and ride["ride_id"] not in under_way:
                self.busy.append((second + BUSY_SECONDS, f"u{number}", ride["ride_id"]))

    def dispatches(self, second: int) -> None:
        sweep(self.api.ports, self.now())
        queue = self.api.ports.rounds
        assert isinstance(queue, FakeRoundQueue)
        while queue.published:
            self.dispatcher.run(*queue.published.pop(0))
        self.api.ports.waiting.marks.clear()  # type: ignore[attr-defined]

    def outcomes(self, kind: str) -> Iterator[str]:
        for ride_id in self.rides[kind]:
            ride = self.api.ports.rides.get(ride_id)
            assert ride
            yield ride.status


def test_remote_riders_are_served_and_the_near_ones_hardly_notice() -> None:
    ended = Scene().plays()
    assert len(ended["remote"]) == 11
    assert ended["remote"].count("completed") >= 9
    assert ended["near"].count("completed") >= 0.95 * len(ended["near"])


def test_the_scene_starves_remote_riders_where_waiting_counts_for_little() -> None:
    """So the test above can fail: this is the weight there was before, 480 s of ETA in 480 s."""
    ended = Scene(Tuning(deadline_seconds=960)).plays()
    assert ended["remote"].count("completed") <= 1
