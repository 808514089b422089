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

from celery.signals import worker_process_init

from service.bootstrap import photos_of
from service.core.photos import Uploads, clean_uploads
from service.identity.pictures import clean
from service.model.errors import Unavailable
from service.settings import Settings, load
from service.stores.broker import CLEAN_TASK, MEDIA_QUEUE
from service.stores.dynamodb.client import dynamodb_client
from worker.base import celery_app

logger = logging.getLogger(__name__)

EVERY_SECONDS: Final = 2.0
BUDGET_SECONDS: Final = 10.0
"""A job begins no further photo after this many seconds. A photo takes about a second at most."""

settings = load(Settings)
app = celery_app("media", settings, connections="wildrydes-media")
app.conf.update(
    # A valid picture takes less time. A job that takes longer is killed, and its upload is lost.
    task_soft_time_limit=20,
    task_time_limit=25,
    # In kilobytes. The largest picture needs 345 MB. Celery replaces a child that uses more.
    worker_max_memory_per_child=400_000,
    worker_enable_remote_control=False,
    task_default_queue=MEDIA_QUEUE,
    beat_schedule={
        "clean": {
            "task": CLEAN_TASK,
            "schedule": EVERY_SECONDS,
            # A job that waited for a whole period is not needed: the next one follows.
            "options": {"expires": EVERY_SECONDS},
        }
    },
)
_uploads: Uploads | None = None


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
