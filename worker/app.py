"""The Celery application of workers, beat and monitor."""

from __future__ import annotations

import gc
from typing import Any

from celery.signals import beat_init, worker_before_create_process, worker_init, worker_process_init

from service.observability import directory
from service.settings import Settings, load

settings = load(Settings)
directory.prepare(settings.metrics_port)

# Imported late: prometheus_client reads at import time where to count, which is set just above.
from service.stores.broker import (  # noqa: E402
    COUNT_TASK,
    DISPATCH_QUEUE,
    LEARN_TASK,
    REPOSITION_ALL_TASK,
    REPOSITION_TASK,
    ROUND_TASK,
    SWEEP_EXPIRES,
    SWEEP_QUEUE,
    SWEEP_TASK,
)
from service.stores.dynamodb.descriptions import descriptions  # noqa: E402
from worker import dependencies, liveness, metrics  # noqa: E402
from worker.base import celery_app  # noqa: E402
from worker.heartbeat import CountedRequest, HeartbeatSender, main_clock  # noqa: E402

# The connections' name is the monitor's; workers and beat set their own when they start.
app = celery_app("dispatch", settings, connections="wildrydes-monitor", include=["worker.tasks"])
# When beat publishes and when a job expires go by the clock of Redis, because the clocks of hosts
# may disagree.
clock = main_clock(settings)
app.now = clock.now  # type: ignore[method-assign]
CountedRequest.now = clock.now
app.conf.update(
    # A job is acknowledged when it is done, so a job that dies with its worker is delivered again
    # after 30 s. A round or a sweep has expired by then, and another was published. If only a pool
    # process is killed, the job is lost, and another is published: no crash loop.
    task_acks_late=True,
    # Less than the visibility timeout; otherwise a job could run twice at once.
    task_soft_time_limit=15,
    task_time_limit=20,
    broker_transport_options=app.conf.broker_transport_options
    | {
        # Above the hard time limit. Interval and throttle matter too: with their defaults a worker
        # looks for such jobs only every 100 s, whatever the timeout.
        "visibility_timeout": 30,
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
    },
    # A monitor turns task events on by remote control. Without a monitor, remote control is off.
    worker_enable_remote_control=settings.monitor_enabled,
    # A cold shutdown (SIGQUIT, or Ctrl-C twice) gives running jobs this long. A warm one (SIGTERM)
    # finishes them; a stuck job then ends by its hard time limit.
    worker_soft_shutdown_timeout=10,
    task_routes={
        ROUND_TASK: {"queue": DISPATCH_QUEUE},
        SWEEP_TASK: {"queue": SWEEP_QUEUE},
        LEARN_TASK: {"queue": SWEEP_QUEUE},
        COUNT_TASK: {"queue": SWEEP_QUEUE},
        # Repositioning is on the queue of the sweep, so that it delays no round.
        REPOSITION_ALL_TASK: {"queue": SWEEP_QUEUE},
        REPOSITION_TASK: {"queue": SWEEP_QUEUE},
    },
    task_default_queue=DISPATCH_QUEUE,
    beat_schedule={
        "sweep": {
            "task": SWEEP_TASK,
            "schedule": 1.0,
            "options": {"expires": SWEEP_EXPIRES.total_seconds()},
        },
        "learn": {
            "task": LEARN_TASK,
            "schedule": 60.0,
            # A job that waited for a minute is not needed: the next one follows.
            "options": {"expires": 60},
        },
        "count": {
            "task": COUNT_TASK,
            # The charts show minutes. Two counts in each minute, so that one may be lost.
            "schedule": 30.0,
            "options": {"expires": 30},
        },
    },
)
if settings.reposition_seconds:
    app.conf.beat_schedule["reposition"] = {
        "task": REPOSITION_ALL_TASK,
        "schedule": float(settings.reposition_seconds),
        # A job that waited for a whole period is not needed: the next one follows.
        "options": {"expires": settings.reposition_seconds},
    }
app.Task.Request = "worker.heartbeat:CountedRequest"


def _name_connections(role: str) -> None:
    app.conf.broker_transport_options["client_name"] = f"wildrydes-{role}"


@worker_init.connect(weak=False)
def _begin_worker(**_: Any) -> None:
    _name_connections("worker")
    clock.keep_reading()
    # The parent reads the descriptions, so that the children share their memory.
    descriptions()


@worker_before_create_process.connect(weak=False)
def _share_memory(**_: Any) -> None:
    # A garbage collection in a child writes into each object that it visits, which copies the
    # object's page. It does not visit frozen objects
    # (https://docs.python.org/3/library/gc.html#gc.freeze).
    gc.collect()
    gc.freeze()


@beat_init.connect(weak=False)
def _begin_beat(sender: Any, **_: Any) -> None:
    _name_connections("beat")
    liveness.end_between_ticks(sender)
    clock.keep_reading()


@worker_process_init.connect(weak=False)
def _build_stores(**_: Any) -> None:
    # Clients must not be shared across a fork, so they are built here. The numeric libraries are
    # imported in the parent (through worker.dependencies), because children share its memory pages.
    dependencies.build(settings)


metrics.install(settings)
HeartbeatSender(settings, clock.now).install()
