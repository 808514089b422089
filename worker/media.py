"""The media role: cleans profile photos. It is optional and separate from dispatch.

It is a Celery application of its own, with its own beat. Only this role imports Pillow and uses its
queue, so a harmful picture cannot delay a ride. Start it where `PHOTOS_BUCKET` is set. Each job
reads from the bucket which photos to clean, so a lost job only delays them by two seconds.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import Any, Final

from celery import Celery
from celery.signals import setup_logging, worker_process_init

from service.bootstrap import photos_of
from service.core.photos import Uploads, clean_uploads
from service.identity.pictures import clean
from service.logs import configure_logging, drop_unwritable_output
from service.model.errors import Unavailable
from service.settings import Settings, load
from service.stores.broker import CLEAN_TASK, MEDIA_QUEUE, broker_options, broker_tls
from service.stores.dynamodb.client import dynamodb_client
from worker import consumer, liveness

logger = logging.getLogger(__name__)

EVERY_SECONDS: Final = 2.0
BUDGET_SECONDS: Final = 10.0
"""A job begins no further photo after this many seconds. A photo takes about a second at most."""

settings = load(Settings)
app = Celery("media", broker=settings.broker_url)
app.conf.update(
    task_ignore_result=True,
    # A child takes one job and reserves no further one, because each job reads the whole bucket.
    worker_prefetch_multiplier=1,
    # A valid picture takes less. Celery kills the child, and the upload is lost.
    task_soft_time_limit=20,
    task_time_limit=25,
    # In kilobytes. The largest picture needs 345 MB. Celery replaces a child that uses more.
    worker_max_memory_per_child=400_000,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options=broker_options(timeout_seconds=2, name="wildrydes-media"),
    broker_use_ssl=broker_tls(settings.broker_url),
    broker_channel_error_retry=True,
    task_publish_retry_policy={"max_retries": 0},
    worker_enable_remote_control=False,
    worker_hijack_root_logger=False,
    task_default_queue=MEDIA_QUEUE,
    # As for the other workers: neither an unreadable message nor a silent broker holds the loop up.
    worker_consumer="worker.consumer:DroppingConsumer",
    beat_schedule={
        "clean": {
            "task": CLEAN_TASK,
            "schedule": EVERY_SECONDS,
            # A job that waited for a whole period is not needed: the next one follows.
            "options": {"expires": EVERY_SECONDS},
        }
    },
    beat_max_loop_interval=1,
)

app.events_cls = "worker.consumer:Events"
app.steps["worker"].add(liveness.LoopStep)
consumer.install()
liveness.keep(settings.liveness_file)
_uploads: Uploads | None = None


@setup_logging.connect(weak=False)
def _start_logging(**_: Any) -> None:
    drop_unwritable_output()
    configure_logging(settings.log_level)


@worker_process_init.connect(weak=False)
def _build_stores(**_: Any) -> None:
    # Clients must not be shared across a fork.
    global _uploads
    _uploads = photos_of(settings, dynamodb_client(settings))


@app.task(name=CLEAN_TASK)
def clean_photos() -> None:
    """Clean what was uploaded; without a bucket there is nothing to do."""
    if _uploads is None:
        return
    end = time.monotonic() + BUDGET_SECONDS
    try:
        kept = clean_uploads(_uploads, clean, partial(_is_before, end))
    except Unavailable as error:
        logger.warning("photos not cleaned", extra={"cause": str(error)})
        return
    if kept:
        logger.info("photos cleaned", extra={"photos": kept})


def _is_before(end: float) -> bool:
    return time.monotonic() < end
