"""The smallest API of this kind: one conditional put and one publish, without auth or validation.

It runs with the gunicorn settings of the service, and the CPU of the service is compared with it.
"""

from __future__ import annotations

import os
import uuid
from functools import cache

import boto3
from botocore.config import Config
from celery import Celery
from flask import Flask, request

from service.stores.broker import DISPATCH_QUEUE

TABLE = os.environ["RIDES_TABLE"]
app = Flask(__name__)
queue = Celery("floor", broker=os.environ["REDIS_URL"])
queue.conf.task_ignore_result = True


@cache
def dynamodb():
    return boto3.client(
        "dynamodb",
        region_name=os.environ["AWS_REGION"],
        config=Config(parameter_validation=False, max_pool_connections=64),
    )


@app.post("/v1/rides")
def request_ride() -> tuple[dict[str, str], int]:
    ride_id = str(uuid.uuid4())
    body = request.get_json()
    dynamodb().put_item(
        TableName=TABLE,
        Item={
            "ride_id": {"S": ride_id},
            "latitude": {"N": str(body["pickup"]["latitude"])},
            "longitude": {"N": str(body["pickup"]["longitude"])},
        },
        ConditionExpression="attribute_not_exists(ride_id)",
    )
    queue.send_task("floor.match", args=(ride_id,), queue=f"{DISPATCH_QUEUE}.floor")
    return {"ride_id": ride_id}, 202


@app.get("/healthz")
def healthz() -> dict[str, str]:
    return {"status": "ok"}
