"""DynamoDB in trouble, seen by those who call the API and by a worker's rounds.

Real HTTP between the stores and DynamoDB, with the trouble made on the way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Any

import pytest
from werkzeug.test import TestResponse

from service.bootstrap import build_ports, redis_stores
from service.core.rounds import Dispatcher
from service.core.sweep import sweep
from service.matching.tuning import Tuning
from service.matching.zones import zone_of
from service.model import Location, RideStatus
from service.settings import Settings
from service.stores.dynamodb.client import dynamodb_client
from service.stores.dynamodb.schema import create_tables
from tests.support.api import Api, build_api
from tests.support.dynamodb import DynamoStores, fresh_settings
from tests.support.dynamodb_trouble import (
    Trouble,
    Troubled,
    canceled,
    cut_short,
    refused,
    reset_after,
    reset_before,
    silent_after,
    slow,
)
from tests.support.fakes_redis import FakeRoundQueue
from tests.support.infrastructure import MiniStack, RedisServer

PICKUP = {"latitude": 40.7128, "longitude": -74.0060}
ZONE = zone_of(Location(**PICKUP))
SHORT = 0.05

PASSING: dict[str, tuple[Trouble, ...]] = {
    "throttled": (
        refused("ProvisionedThroughputExceededException"),
        refused("ThrottlingException"),
        refused("RequestLimitExceeded"),
    ),
    "faulty": (refused("InternalServerError", 500), refused("ServiceUnavailable", 503)),
    "busy and slow": (canceled("TransactionConflict", "None"), slow(0.05)),
    "cut off": (reset_before, reset_after, cut_short),
}
"""Each of them meets every write, one after the other."""


@dataclass
class City:
    """The API and a worker on DynamoDB behind the proxy, and on Redis."""

    api: Api
    troubled: Troubled
    dispatcher: Dispatcher

    def call(self, method: str, path: str, body: Any = None, **sent: Any) -> TestResponse:
        return self.api.call(method, path, body, **sent)

    def enrolls(self, unicorn_id: str = "u1", **members: Any) -> TestResponse:
        body = {"unicorn_id": unicorn_id, "name": "Shadowfax", "color": "White", "gender": "Male"}
        place = {"account_sub": "driver-1", "location": PICKUP}
        return self.call("POST", "/v1/admin/unicorns", body | place | members, token="admin")

    def goes_on_duty(self) -> TestResponse:
        path = "/v1/fleet/me/availability"
        return self.call("PUT", path, {"available": True}, token="driver")

    def requests(self) -> TestResponse:
        return self.call("POST", "/v1/rides", {"pickup": PICKUP}, headers={"Idempotency-Key": "1"})

    def rounds(self) -> None:
        self.dispatcher.run(ZONE, "request-1")

    def cancels(self) -> TestResponse:
        return self.call("POST", f"/v1/rides/{self.ride_id()}/cancel")

    def steps(self, step: str) -> TestResponse:
        return self.call("POST", f"/v1/fleet/me/rides/{self.ride_id()}/{step}", token="driver")

    def index_hears_of_the_unicorn(self) -> None:
        """As every 30 s: by a position the index learns what an earlier write could not tell it."""
        unicorn = self.api.ports.unicorns.get("u1")
        assert unicorn
        self.api.ports.fleet.refresh(unicorn, self.api.clock[0])
        assert self.call("PUT", "/v1/fleet/me/position", PICKUP, token="driver").status_code == 204

    def ride_id(self) -> str:
        (ride,) = self.call("GET", "/v1/rides").get_json()["rides"]
        return str(ride["ride_id"])

    def facts(self) -> dict[str, Any]:
        """What is stored, as clients see it."""
        rides = self.call("GET", "/v1/rides").get_json()["rides"]
        unicorn = self.call("GET", "/v1/fleet/me", token="driver").get_json().get("unicorn", {})
        return {
            "rides": [(ride["status"], ride["version"]) for ride in rides],
            "unicorn": (unicorn.get("state"), unicorn.get("version")),
        }


@pytest.fixture(scope="module")
def troubled(ministack: MiniStack) -> Iterator[Troubled]:
    with Troubled(ministack) as proxy:
        yield proxy


@pytest.fixture
def settings(ministack: MiniStack, redis_server: RedisServer) -> Settings:
    settings = fresh_settings().model_copy(update={"redis_url": redis_server.url})
    with closing(ministack.dynamodb_client()) as client:
        create_tables(client, settings)
    return settings


@pytest.fixture
def city(
    ministack: MiniStack, troubled: Troubled, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[City]:
    for name, value in ministack.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", troubled.url)
    redis = redis_stores(settings, timeout_seconds=2)
    with closing(dynamodb_client(settings)) as client, closing(redis.link.client):
        ports = build_ports(settings, redis, FakeRoundQueue(), client)
        api = build_api(ports)
        dispatcher = Dispatcher(
            ports=ports,
            dead_letters=ports.dead_letters,
            leases=redis.waiting,
            tuning=Tuning(),
            now=lambda: api.clock[0],
            monotonic=time.monotonic,
            sleep=time.sleep,
            commit_all=map,
        )
        yield City(api, troubled, dispatcher)


@pytest.fixture
def impatient_city(city: City, settings: Settings) -> City:
    """Gives up soon, so that tests of giving up need not take longer."""
    client: Any = city.api.ports.rides._client  # type: ignore[attr-defined]
    stores = DynamoStores(client, settings, patience_seconds=SHORT)
    ports = replace(city.api.ports, **vars(stores))
    api = build_api(ports)
    return City(api, city.troubled, replace(city.dispatcher, ports=ports))


def life_of_a_ride(city: City) -> list[Callable[[], Any]]:
    """Everything that writes, in order."""
    return [
        lambda: city.enrolls(auto_accept=False),
        city.goes_on_duty,
        city.requests,
        city.rounds,
        lambda: city.steps("accept"),
        lambda: city.steps("arrive"),
        lambda: city.steps("start"),
        lambda: city.steps("complete"),
    ]


FACTS: list[dict[str, Any]] = [
    {"rides": [], "unicorn": ("non_operational", 1)},
    {"rides": [], "unicorn": ("available", 2)},
    {"rides": [("requested", 1)], "unicorn": ("available", 2)},
    {"rides": [("offered", 2)], "unicorn": ("reserved", 3)},
    {"rides": [("matched", 3)], "unicorn": ("reserved", 3)},
    {"rides": [("arrived", 4)], "unicorn": ("reserved", 3)},
    {"rides": [("in_progress", 5)], "unicorn": ("on_trip", 4)},
    {"rides": [("completed", 6)], "unicorn": ("available", 5)},
]
"""What is stored after each of them."""


@pytest.mark.parametrize("troubles", PASSING.values(), ids=PASSING)
def test_nobody_notices_trouble_that_passes(city: City, troubles: tuple[Trouble, ...]) -> None:
    for act, facts in zip(life_of_a_ride(city), FACTS, strict=True):
        with ExitStack() as all_of_it:
            plans = [all_of_it.enter_context(city.troubled.having(each)) for each in troubles]
            answer = act()
        assert not any(plan.left for plan in plans)
        assert answer is None or answer.status_code in {200, 201, 202}, answer.get_json()
        assert answer is None or "Idempotency-Replayed" not in answer.headers
        assert city.facts() == facts


@pytest.mark.parametrize("trouble", [refused("InternalServerError", 500), cut_short, reset_before])
def test_reads_are_tried_again_too(city: City, trouble: Trouble) -> None:
    city.requests()
    with city.troubled.having(trouble, "GetItem", "Query", times=3) as plan:
        ride_id = city.ride_id()
        assert city.call("GET", f"/v1/rides/{ride_id}").status_code == 200
    assert plan.left == 0


def test_a_write_whose_answer_comes_too_late_is_done_once(city: City) -> None:
    """With the service's own timeouts; the connection is not used again."""
    city.enrolls()
    city.goes_on_duty()
    with city.troubled.having(silent_after(3), "PutItem"):
        asked = city.requests()
    assert asked.status_code == 202
    assert "Idempotency-Replayed" not in asked.headers
    with city.troubled.having(silent_after(3), "TransactWriteItems"):
        city.rounds()
    assert city.facts() == {"rides": [("matched", 2)], "unicorn": ("reserved", 3)}


NEVER_DONE: dict[str, Trouble] = {
    "server error": refused("InternalServerError", 500),
    "reset before": reset_before,
}
DONE_UNHEARD: dict[str, Trouble] = {"reset after": reset_after, "answer cut short": cut_short}


@pytest.mark.parametrize("trouble", NEVER_DONE.values(), ids=NEVER_DONE)
def test_trouble_that_stays_is_503_with_nothing_half_done(
    impatient_city: City, trouble: Trouble
) -> None:
    city = impatient_city
    before: dict[str, Any] = {"rides": [], "unicorn": (None, None)}
    for act, facts in zip(life_of_a_ride(city), FACTS, strict=True):
        with city.troubled.having(trouble, times=1000):
            require_unavailable(act())
        assert city.facts() == before
        act()
        assert city.facts() == facts
        before = facts


@pytest.mark.parametrize("trouble", DONE_UNHEARD.values(), ids=DONE_UNHEARD)
def test_a_write_whose_answer_is_lost_is_done_once_and_a_repeated_request_finds_it(
    impatient_city: City, trouble: Trouble
) -> None:
    city = impatient_city
    for act, facts in zip(life_of_a_ride(city), FACTS, strict=True):
        with city.troubled.having(trouble, times=1000):
            require_unavailable(act())
        assert city.facts() == facts
        again = act()
        assert again is None or again.status_code in {200, 202, 409}
        assert city.facts() == facts
        city.index_hears_of_the_unicorn()


def require_unavailable(answer: TestResponse | None) -> None:
    """A round answers nobody."""
    if answer is not None:
        assert (answer.status_code, answer.get_json()["reason"]) == (503, "unavailable")
        assert answer.headers["Retry-After"] == "1"
        assert answer.content_type == "application/problem+json"


def test_a_canceled_ride_frees_its_unicorn_whatever_the_trouble(city: City) -> None:
    city.enrolls()
    city.goes_on_duty()
    city.requests()
    city.rounds()
    with city.troubled.having(reset_after, times=3):
        assert city.cancels().status_code == 200
    assert city.facts() == {"rides": [("canceled", 3)], "unicorn": ("available", 4)}


def test_the_sweep_matches_what_trouble_left_behind(impatient_city: City) -> None:
    city = impatient_city
    city.enrolls()
    city.goes_on_duty()
    city.requests()
    with city.troubled.having(refused("InternalServerError", 500), times=1000):
        city.rounds()
    city.api.pass_time(3)
    sweep(city.api.ports, city.api.clock[0])
    city.rounds()
    ride = city.api.ports.rides.get(city.ride_id())
    assert ride
    assert ride.status is RideStatus.MATCHED


def test_retries_are_few(city: City) -> None:
    """The pauses between repetitions grow, so that the service adds no load to a busy table."""
    before = len(city.troubled.asked)
    with city.troubled.having(refused("ThrottlingException"), times=1000):
        require_unavailable(city.requests())
    assert 3 <= len(city.troubled.asked) - before <= 40
