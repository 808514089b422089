"""A worker with the service's settings whose only job reports its start, to measure Celery's own
share.
"""

from __future__ import annotations

import os

from celery import Celery

from service.stores.broker import broker_options
from service.stores.redis import keys
from service.stores.redis.link import connect

app = Celery("noop", broker=os.environ["REDIS_URL"])
app.conf.update(
    broker_transport_options=broker_options(timeout_seconds=5),
    task_ignore_result=True,
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
)
redis = connect(os.environ["REDIS_URL"], timeout_seconds=2)


@app.task(name="noop")
def noop(topic: str) -> None:
    redis.publish(keys.CHANGES, topic)
