"""Options of Celery and gunicorn that depend on each other."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from service.auth.verifier import LONGEST_TOKEN
from service.core.rounds import WORK_BUDGET_SECONDS
from service.entrypoints import gunicorn
from service.settings import ApiSettings
from service.stores import broker
from service.stores.broker import SWEEP_QUEUE, SWEEP_TASK, broker_options
from tests.support.infrastructure import PROJECT
from tests.unit.test_ecs_templates import containers, resources, template

ENVIRONMENT = {
    "AWS_REGION": "us-east-1",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "MONITOR_ENABLED": "false",
    "PATH": os.defpath,
}
NAMES = (
    "task_ignore_result",
    "result_backend",
    "task_acks_late",
    "task_reject_on_worker_lost",
    "worker_prefetch_multiplier",
    "task_soft_time_limit",
    "task_time_limit",
    "broker_connection_retry_on_startup",
    "broker_connection_max_retries",
    "broker_transport_options",
    "broker_channel_error_retry",
    "task_publish_retry_policy",
    "worker_enable_remote_control",
    "worker_hijack_root_logger",
    "worker_soft_shutdown_timeout",
    "task_default_queue",
    "beat_schedule",
    "beat_max_loop_interval",
)
CALLED = (
    ("setup_logging", "start_logging"),
    ("worker_init", "_begin_worker"),
    ("worker_before_create_process", "_share_memory"),
    ("worker_ready", "listen_as_worker"),
    ("beat_init", "_begin_beat"),
    ("beat_init", "listen_as_beat"),
    ("worker_process_init", "_build_stores"),
    ("worker_process_init", "begin_child"),
    ("worker_process_shutdown", "end_child"),
    ("task_prerun", "start"),
    ("task_postrun", "end"),
)
"""What is called at each signal of Celery."""


@pytest.fixture(scope="module")
def celery(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A worker's options, read in another process because importing the module installs hooks."""
    code = (
        "import json; from celery import signals; import worker.tasks; from worker.app import app; "
        f"found = {{name: app.conf[name] for name in {NAMES!r}}}; "
        "names = lambda signal: [each.__name__ for _, each in signal.receivers "
        "if hasattr(each, '__name__')]; "
        f"found |= {{name: names(getattr(signals, name)) for name in {[*dict(CALLED)]!r}}}; "
        "print(json.dumps(found | {'tasks': [*app.tasks], 'routes': app.conf.task_routes}))"
    )
    return json.loads(run(code, tmp_path_factory.mktemp("home")).stdout)


def run(code: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run the code in a process with the settings of a worker."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env=ENVIRONMENT | {"HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )


STORE_IS_AWAY = """
from service.model.errors import Unavailable
from worker import media
class Away:
    def __getattr__(self, name):
        raise Unavailable("S3 is away")
media.clean_photos()  # without a bucket there is nothing to do
media._uploads = Away()
media.clean_photos()
"""


def test_a_store_that_is_away_is_a_warning_of_the_media_role_and_no_failed_job(
    tmp_path: Path,
) -> None:
    assert "photos not cleaned" in run(STORE_IS_AWAY, tmp_path).stderr


MEDIA: Final = """
import json
from celery.signals import worker_process_init
from worker import media
from worker.media import app
names = ("task_soft_time_limit", "task_time_limit", "worker_max_memory_per_child",
         "worker_enable_remote_control", "task_default_queue", "beat_schedule")
found = {name: app.conf[name] for name in names} | {"budget": media.BUDGET_SECONDS}
# Celery keeps what is to be called itself, and not a weak reference.
found["begins"] = media._build_stores in [each for _, each in worker_process_init.receivers]
print(json.dumps(found))
"""


def test_a_picture_costs_the_media_role_no_more_than_its_container_has(tmp_path: Path) -> None:
    options = json.loads(run(MEDIA, tmp_path).stdout)
    soft, hard = options["task_soft_time_limit"], options["task_time_limit"]
    assert 1 < options["budget"] < soft - 5 < hard - 5 < stop_timeouts()["media"] - 5
    _, mebibytes = template("service.yaml")["Parameters"]["MediaSize"]["Default"].split("/")
    # The largest picture needs 345 MB.
    assert 345_000 < options["worker_max_memory_per_child"] < int(mebibytes) * 1024 / 2
    assert options["begins"]
    assert options["worker_enable_remote_control"] is False
    assert options["task_default_queue"] == broker.MEDIA_QUEUE
    job = {"task": broker.CLEAN_TASK, "schedule": 2.0, "options": {"expires": 2.0}}
    assert options["beat_schedule"] == {"clean": job}


def stop_timeouts() -> dict[str, int]:
    """Seconds that ECS gives each role to end."""
    return {name: container["StopTimeout"] for name, container in containers().items()}


def test_a_worker_knows_each_job_of_dispatch_and_its_queue(celery: Any) -> None:
    jobs = {name for key, name in vars(broker).items() if key.endswith("_TASK")}
    jobs.remove(broker.CLEAN_TASK)  # of the media role
    assert jobs <= set(celery["tasks"])
    queues = {job: route["queue"] for job, route in celery["routes"].items()}
    expected = dict.fromkeys(jobs, broker.SWEEP_QUEUE) | {broker.ROUND_TASK: broker.DISPATCH_QUEUE}
    assert queues == expected


@pytest.mark.parametrize(("signal", "called"), CALLED)
def test_celery_keeps_what_it_calls_at_each_signal(celery: Any, signal: str, called: str) -> None:
    assert called in celery[signal]


def test_a_job_is_stopped_before_it_is_given_to_another_worker(celery: Any) -> None:
    soft, hard = celery["task_soft_time_limit"], celery["task_time_limit"]
    visibility = celery["broker_transport_options"]["visibility_timeout"]
    assert 10 * WORK_BUDGET_SECONDS <= soft <= hard - 5
    assert hard + 10 <= visibility <= 30


def test_a_job_that_was_lost_is_given_to_another_worker_soon(celery: Any) -> None:
    assert celery["task_acks_late"]
    # A killed child's job would come back for ever; the sweep finds its rides.
    assert not celery["task_reject_on_worker_lost"]
    transport = celery["broker_transport_options"]
    assert transport["unacked_restore_interval"] == transport["unacked_restore_throttle"] == 1


def test_a_worker_takes_one_job_at_a_time_and_stores_no_results(celery: Any) -> None:
    assert celery["worker_prefetch_multiplier"] == 1
    assert celery["task_ignore_result"]
    assert celery["result_backend"] is None


def test_a_worker_outlives_its_broker(celery: Any) -> None:
    assert celery["broker_connection_retry_on_startup"]
    assert celery["broker_connection_max_retries"] is None
    assert celery["broker_channel_error_retry"]


def test_no_call_of_the_broker_hangs(celery: Any) -> None:
    transport = celery["broker_transport_options"]
    assert transport["socket_timeout"] == transport["socket_connect_timeout"] == 2
    assert transport["socket_keepalive"]
    assert transport["health_check_interval"] == 5
    assert transport["max_retries"] == 0
    assert celery["task_publish_retry_policy"] == {"max_retries": 0}
    assert broker_options(timeout_seconds=0.25)["socket_timeout"] == 0.25


def test_the_sweep_is_published_every_second_and_messages_never_pile_up(celery: Any) -> None:
    schedule = celery["beat_schedule"]
    assert (schedule["sweep"]["task"], schedule["sweep"]["schedule"]) == (SWEEP_TASK, 1.0)
    for entry in schedule.values():
        assert 0 < entry["options"]["expires"] <= max(10, entry["schedule"])
    assert celery["beat_max_loop_interval"] == 1
    # The statistics show minutes, so each minute has two counts; times are learned from as many.
    assert (schedule["count"]["schedule"], schedule["learn"]["schedule"]) == (30, 60)
    assert celery["task_default_queue"] != SWEEP_QUEUE


def test_without_a_monitor_nobody_controls_a_worker_and_its_log_is_ours(celery: Any) -> None:
    assert celery["worker_enable_remote_control"] is False
    assert celery["worker_hijack_root_logger"] is False


def test_the_runbook_says_how_long_the_platform_waits() -> None:
    runbook = (PROJECT / "docker/RUNBOOK.md").read_text()
    (sentence,) = re.findall(r"ECS waits ([^.]+)\.", runbook)
    (monitor,) = resources("flower.yaml", "AWS::ECS::TaskDefinition").values()
    (part,) = monitor["ContainerDefinitions"]
    waits = stop_timeouts() | {part["Name"]: part["StopTimeout"]}
    assert {role: int(said) for said, role in re.findall(r"(\d+) s for (\w+)", sentence)} == waits


def test_a_container_is_given_longer_to_stop_than_what_runs_in_it(celery: Any) -> None:
    stop = stop_timeouts()
    assert stop["worker"] > celery["worker_soft_shutdown_timeout"] + celery["task_time_limit"]


def test_a_head_with_the_longest_token_is_read_and_little_more() -> None:
    field = len("Authorization: Bearer ") + LONGEST_TOKEN
    assert field < gunicorn.limit_request_field_size < 2 * field
    assert 32 <= gunicorn.limit_request_fields <= 100
    assert 2000 < gunicorn.limit_request_line < 8190
    assert gunicorn.forwarded_allow_ips == ""
    assert gunicorn.control_socket_disable


def test_a_process_takes_more_connections_than_it_lets_wait_and_not_without_limit() -> None:
    waiters = ApiSettings.model_fields["api_max_waiters"].default
    assert 2 * waiters <= gunicorn.worker_connections <= 5000


def test_a_workers_heartbeat_is_written_to_memory() -> None:
    assert gunicorn.worker_tmp_dir == next(filter(os.path.isdir, ["/dev/shm"]), None)
