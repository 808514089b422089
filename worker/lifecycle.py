"""Hooks into a worker's life: logging, and stores built once per pool child, after the fork."""

from __future__ import annotations

from typing import Any

from celery.signals import setup_logging, worker_process_init

from service.logs import configure_logging
from service.settings import Settings
from worker import dependencies, liveness, metrics
from worker.heartbeat import Heartbeat


def install(settings: Settings) -> None:
    """Connect the hooks; Celery keeps weak references, hence `weak=False`."""

    def start_logging(**_: Any) -> None:
        configure_logging(settings.log_level)

    def build_stores(**_: Any) -> None:
        # Clients must not be shared across a fork. The import of the numeric libraries, on the
        # other hand, happens in the parent (through worker.tasks), whose pages the children share.
        dependencies.build(settings)

    liveness.keep(settings.liveness_file)
    metrics.install(settings)
    setup_logging.connect(start_logging, weak=False)
    worker_process_init.connect(build_stores, weak=False)
    Heartbeat(settings).install()
