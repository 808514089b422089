"""The Celery application of workers and beat. The only worker module that reads the environment."""

from __future__ import annotations

from celery import Celery

from service.observability import directory
from service.queues import DISPATCH_QUEUE, ROUND_TASK, SWEEP_QUEUE, SWEEP_TASK
from service.settings import Settings, load

settings = load(Settings)
directory.prepare(settings.metrics_port)

# Only now: the instruments are made on import, and where they count has just been decided.
from service.stores.broker import broker_options  # noqa: E402
from worker import broker_guard, consumer, lifecycle, liveness  # noqa: E402

app = Celery("dispatch", broker=settings.broker_url, include=["worker.tasks"])
app.conf.update(
    # Results are in DynamoDB; a result backend would cost 86 % more CPU per task.
    task_ignore_result=True,
    result_backend=None,
    # A job is acknowledged when its work is done: one that dies with its worker is run again.
    # For a pool child that is killed alone the sweep re-delivers (no crash loop on a poison job).
    task_acks_late=True,
    # A job waits for its turn in the queue, where another worker can take it, not in a worker.
    worker_prefetch_multiplier=1,
    # soft < hard < visibility timeout, else a job runs twice at once.
    task_soft_time_limit=15,
    task_time_limit=20,
    broker_connection_retry_on_startup=True,
    # A worker outlives its broker: it tries for ever instead of exiting after 100 attempts.
    broker_connection_max_retries=None,
    broker_transport_options=broker_options(timeout_seconds=5)
    | {
        # Above the hard time limit. The interval and throttle matter as much: with the defaults
        # re-delivery takes 90 s whatever the timeout says.
        "visibility_timeout": 30,
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
    },
    # Task events begin when a monitor asks for them; without remote control none can ask.
    worker_enable_remote_control=settings.monitor_enabled,
    # Our own logging; Celery's would print task arguments.
    worker_hijack_root_logger=False,
    # Warm shutdown finishes running jobs (milliseconds each); this is the belt for a stuck one,
    # below the containers' stop timeout.
    worker_soft_shutdown_timeout=10,
    task_routes={ROUND_TASK: {"queue": DISPATCH_QUEUE}, SWEEP_TASK: {"queue": SWEEP_QUEUE}},
    # Declared here, so a typing error in a queue name fails instead of making a new queue.
    task_create_missing_queues=True,
    task_default_queue=DISPATCH_QUEUE,
    beat_schedule={
        "sweep": {
            "task": SWEEP_TASK,
            "schedule": 1.0,
            # A sweep that could not run within a second is followed by the next one.
            "options": {"expires": 1},
        }
    },
    # Beat looks at its clock at least this often, whatever else it believes.
    beat_max_loop_interval=1,
    worker_consumer="worker.consumer:DroppingConsumer",
)
app.Task.Request = "worker.heartbeat:CountedRequest"

app.steps["worker"].add(liveness.LoopStep)

broker_guard.install()
consumer.install()
lifecycle.install(settings)
