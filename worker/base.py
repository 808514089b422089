"""What the Celery applications of `worker.app` and `worker.media` have in common."""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.signals import setup_logging

from service.logs import configure_logging, drop_unwritable_output
from service.settings import Settings
from service.stores.broker import broker_options, broker_tls
from worker import consumer, liveness


def celery_app(name: str, settings: Settings, *, connections: str, **options: Any) -> Celery:
    """An application whose processes outlive their broker and write the service's own log lines.

    `connections`: the name of its connections to the broker. `options`: those of `Celery`.
    """
    app = Celery(name, broker=settings.broker_url, **options)
    app.conf.update(
        # Results are in DynamoDB; a result backend would cost 86 % more CPU per task.
        task_ignore_result=True,
        result_backend=None,
        # Jobs wait in the queue, where any worker can take them, and not inside a busy worker.
        worker_prefetch_multiplier=1,
        broker_connection_retry_on_startup=True,
        # A worker waits for its broker for ever instead of exiting after 100 attempts.
        broker_connection_max_retries=None,
        # The time-out is longer than a worker's wait for jobs (1 s). It is short, because a process
        # may run into it a dozen times before its container's stop time-out ends.
        broker_transport_options=broker_options(timeout_seconds=2, name=connections),
        broker_use_ssl=broker_tls(settings.broker_url),
        # An error from the broker does not end a worker.
        broker_channel_error_retry=True,
        # No retries: beat publishes again when the job is next due, and must not block until then.
        task_publish_retry_policy={"max_retries": 0},
        # The service configures its own logging, because Celery's would print task arguments.
        worker_hijack_root_logger=False,
        # Beat checks its schedule at least every second.
        beat_max_loop_interval=1,
        worker_consumer="worker.consumer:DroppingConsumer",
    )
    app.events_cls = "worker.consumer:Events"
    app.steps["worker"].add(liveness.LoopStep)
    consumer.install()
    liveness.keep(settings.liveness_file)

    # `weak=False`, because Celery otherwise keeps weak references to receivers.
    @setup_logging.connect(weak=False)
    def start_logging(**_: Any) -> None:
        drop_unwritable_output()
        configure_logging(settings.log_level)

    return app
