"""The Lambda functions `handle` and, for simple responses, `handle_simply`.

They read the API's own environment, at the first event, and judge by the API's own declarations.
"""

from __future__ import annotations

from functools import cache

from service import bootstrap
from service.api.app import create_app
from service.auth.gateway import Answer, Event, Handler, handler_for
from service.auth.revocation import RevocationCheck
from service.http.guard import groups_of
from service.http.route import declared_routes
from service.settings import ApiSettings, load
from service.stores.dynamodb.client import dynamodb_client
from service.stores.dynamodb.operations import DynamoRevocations


def handle(event: Event, context: object) -> Answer:
    """For a REST API's TOKEN authorizer, and an HTTP API's that expects an IAM policy."""
    return _handler(simple=False)(event, context)


def handle_simply(event: Event, context: object) -> Answer:
    """For an HTTP API's authorizer with simple responses."""
    return _handler(simple=True)(event, context)


@cache
def _handler(*, simple: bool) -> Handler:
    settings = load(ApiSettings)
    deps = bootstrap.build(settings)
    routes = declared_routes(create_app(deps)).values()
    # Straight from DynamoDB: a function that starts anywhere need not reach into Redis's network.
    revocations = DynamoRevocations(dynamodb_client(settings), settings.operations_table)
    return handler_for(
        deps.verifier,
        RevocationCheck(revocations),
        {f"{route.method} {_template(route.rule)}": route.policy for route in routes},
        groups_of(settings),
        simple=simple,
    )


def _template(rule: str) -> str:
    """`/v1/rides/<ride_id>` as `/v1/rides/{ride_id}`."""
    return rule.replace("<", "{").replace(">", "}")
