"""The metrics that Prometheus reads about a ride through the real processes."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import redis
import urllib3

from service.local.emulators import listens
from service.matching.zones import zone_of
from service.model import Location
from service.observability import directory
from service.observability.figures import FIGURES
from service.stores.redis import keys
from tests.support.infrastructure import MiniStack, RedisServer, three_free_ports, wait_until
from tests.support.key_server import KeyServer
from tests.support.stack import Stack, stack_with_redis
from tests.support.token_mint import SigningKey
from tests.unit.test_exposition import exposed

HERE = {"latitude": 40.7128, "longitude": -74.0060}
WEB, WORKER, BEAT = range(3)


class Scrapes:
    """The stack's metrics, as one scrape of each role finds them."""

    def __init__(self, first_port: int) -> None:
        self._first_port = first_port

    def text(self, role: int) -> str:
        url = f"http://127.0.0.1:{self._first_port + role}/metrics"
        answer = urllib3.request("GET", url, timeout=5, retries=False)
        assert answer.status == 200
        return answer.data.decode()

    def of(self, role: int) -> Mapping[str, float]:
        lines = [line.rpartition(" ") for line in self.text(role).splitlines() if line[0] != "#"]
        return {name: float(value) for name, _, value in lines}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, ministack: MiniStack) -> Iterator[Stack]:
    folder, port = tmp_path_factory.mktemp("metrics"), three_free_ports()
    settings = {"METRICS_PORT": str(port), "METRICS_NAMESPACE": "rides"}
    with stack_with_redis(folder, ministack, **settings) as stack:
        wait_until(lambda: all(listens(port + n) for n in range(3)), "the metrics of each role")
        yield stack


@pytest.fixture(scope="module")
def scrapes(stack: Stack) -> Scrapes:
    return Scrapes(int(stack.environment["METRICS_PORT"]))


@pytest.fixture(scope="module")
def driver(stack: Stack) -> str:
    return stack.on_duty("driver-1", HERE)


def test_a_matched_and_completed_ride_is_counted_where_it_happened(
    stack: Stack, scrapes: Scrapes, driver: str
) -> None:
    before = scrapes.of(WORKER).get('wildrydes_claims_total{result="won"}', 0)
    rider = stack.rider_token("rider-1")
    answer = stack.call("POST", "/v1/rides", {"pickup": HERE}, token=rider, Prefer="wait=20")
    assert answer.status == 201
    ride_id = answer.json["ride_id"]
    for step in ("arrive", "start", "complete"):
        stack.call("POST", f"/v1/fleet/me/rides/{ride_id}/{step}", token=driver)
    worker, web = scrapes.of(WORKER), scrapes.of(WEB)
    assert worker['wildrydes_claims_total{result="won"}'] == before + 1
    assert worker["wildrydes_time_to_match_seconds_count"] >= 1
    assert worker["wildrydes_dispatch_trigger_lag_seconds_count"] >= 1
    assert worker["wildrydes_round_rides_sum"] >= 1
    busy = "wildrydes_worker_busy_seconds_total"
    wait_until(lambda: scrapes.of(WORKER)[busy] > 0, "the end of a job")
    assert web["wildrydes_rides_requested_total"] >= 1
    assert web['wildrydes_rides_ended_total{by="",outcome="completed"}'] == 1
    request = 'wildrydes_http_request_duration_seconds_count{method="POST",route="/v1/rides"'
    assert web[f'{request},status="201",waited="yes"}}'] == 1
    table = stack.settings().rides_table
    units = f'wildrydes_dynamodb_capacity_units_total{{operation="PutItem",table="{table}"}}'
    assert web[units] > 0


@pytest.mark.parametrize("role", ["web", "worker", "beat"])
def test_each_role_logs_figures_from_which_cloudwatch_makes_metrics(
    stack: Stack, role: str
) -> None:
    def figures() -> Any:
        lines = [line for line in stack.log(role).splitlines() if '"figures"' in line]
        return json.loads(lines[-1]) if lines else None

    wait_until(lambda: figures() is not None, f"figures of {role}")
    line = figures()
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "rides"
    names = {each["Name"] for each in directive["Metrics"]}
    assert names <= line.keys()
    assert names <= {each.name for each in FIGURES[role]}
    assert line["wildrydes_memory_bytes"] > 0


def reads(web: Mapping[str, float]) -> float:
    """Reads of DynamoDB so far, by whatever operation."""
    calls = "wildrydes_dynamodb_call_duration_seconds_count"
    operations = ("GetItem", "BatchGetItem", "Query", "Scan", "TransactGetItems")
    return sum(web.get(f'{calls}{{operation="{operation}"}}', 0) for operation in operations)


def test_a_position_costs_no_read_of_dynamodb(stack: Stack, scrapes: Scrapes, driver: str) -> None:
    """Each call has a token of its own, so that no remembered token saves a read."""
    tokens = [stack.unicorn_token("driver-1") for _ in range(200)]

    def knows_the_revocations() -> bool:
        """Until then a new process looks up each token."""
        before = reads(scrapes.of(WEB))
        for _ in range(10):
            token = stack.unicorn_token("driver-1")
            stack.call("PUT", "/v1/fleet/me/position", HERE, token=token)
        return reads(scrapes.of(WEB)) - before < 10

    wait_until(knows_the_revocations, "the revocations are read")
    before, began = reads(scrapes.of(WEB)), time.monotonic()
    for token in tokens:
        assert stack.call("PUT", "/v1/fleet/me/position", HERE, token=token).status == 204
    spent, seconds = reads(scrapes.of(WEB)) - before, time.monotonic() - began
    # Each second the process reads the pause and the count of revocations, now and then their set;
    # twice a minute it reads which unicorn the account drives, and that unicorn's state.
    assert spent <= 3 * (seconds + 2) + 2 < len(tokens)


def test_no_client_can_make_a_series(stack: Stack, scrapes: Scrapes) -> None:
    ride = "0c7ff7f5-7d1d-4c9e-8f1c-0a4bcb5f2a11"
    stack.call("GET", f"/v1/rides/{ride}", token=stack.rider_token("rider-secret"))
    stack.call("GET", "/made/up/by-a-stranger")
    stack.call("BREW", "/v1/rides", token=stack.rider_token("rider-secret"))
    text = scrapes.text(WEB)
    assert 'route="/v1/rides/<ride_id>",status="404"' in text
    for made_up in (ride, "stranger", "rider-secret", "BREW"):
        assert made_up not in text


def test_each_role_exposes_its_own_metrics(scrapes: Scrapes) -> None:
    sweep = "wildrydes_sweep_last_run_timestamp_seconds"
    wait_until(lambda: scrapes.of(WORKER)[sweep] > time.time() - 5, "a sweep")
    worker, beat, web = (scrapes.of(role) for role in (WORKER, BEAT, WEB))
    assert worker["wildrydes_worker_pool_processes"] == 2
    assert worker['wildrydes_queue_jobs{queue="dispatch"}'] == 0
    assert worker["wildrydes_processes"] == 3
    assert beat["wildrydes_beat_last_tick_timestamp_seconds"] > time.time() - 30
    assert web["wildrydes_http_requests_in_flight"] == 0
    assert all(each["wildrydes_memory_bytes"] > 1e6 for each in (worker, beat, web))


def test_each_web_process_says_itself_when_it_fetched_the_keys(
    tmp_path: Path, ministack: MiniStack
) -> None:
    """A scrape and a line of figures reach only one of the processes."""
    port = three_free_ports()
    with (
        RedisServer(tmp_path / "redis") as redis_server,
        KeyServer(SigningKey("key")) as issuer,
        Stack(
            tmp_path,
            ministack,
            redis_server,
            roles=("web",),
            METRICS_PORT=str(port),
            METRICS_NAMESPACE="rides",
            WEB_CONCURRENCY="2",
            AUTH_JWKS_FILE="",
            COGNITO_JWKS_URL=issuer.url,
        ),
    ):
        wait_until(lambda: issuer.fetches == 2, "the fetches of both processes")
        (folder,) = directory._MEMORY.glob(f"wildrydes-metrics-{port}-*")
        fetched = "wildrydes_key_set_fetched_timestamp_seconds"
        wait_until(lambda: exposed(folder)[fetched] > time.time() - 60, "the time of both")


def test_the_counts_of_a_killed_pool_process_are_kept(stack: Stack, scrapes: Scrapes) -> None:
    jobs = 'wildrydes_jobs_total{state="SUCCESS",task="dispatch.sweep"}'
    wait_until(lambda: scrapes.of(WORKER).get(jobs, 0) > 2, "some sweeps")
    counted = scrapes.of(WORKER)[jobs]
    main = stack.processes["worker"].pid
    children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)

    def is_replaced() -> bool:
        now = scrapes.of(WORKER)
        assert now[jobs] >= counted
        return now["wildrydes_worker_pool_processes"] == 2 and now[jobs] > counted + 2

    wait_until(is_replaced, "a new pool process that counts")


def test_a_ride_that_no_round_reads_is_noticed(stack: Stack, scrapes: Scrapes) -> None:
    unseen = "wildrydes_rides_unseen_total"
    before = scrapes.of(WORKER)[unseen]
    pickup = {"latitude": 10.0, "longitude": 20.0}
    zone = zone_of(Location(**pickup))
    with redis.Redis.from_url(stack.redis.url) as client:
        # Somebody has the zone's lease and does nothing with it.
        client.set(keys.lease(zone), "somebody else", px=20_000)
        stack.call("POST", "/v1/rides", {"pickup": pickup}, token=stack.rider_token("rider-2"))
        wait_until(lambda: scrapes.of(WORKER)[unseen] > before, "the sweep's notice")
        client.delete(keys.lease(zone))
    lag = scrapes.of(WORKER)["wildrydes_dispatch_trigger_lag_seconds_sum"]
    wait_until(
        lambda: scrapes.of(WORKER)["wildrydes_dispatch_trigger_lag_seconds_sum"] > lag + 1.5,
        "a round that reads the late trigger",
    )
