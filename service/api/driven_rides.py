"""The route of a unicorn's rides."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Response

from service.api.rides import RideListing
from service.api.views import DrivenRideListView, driven_ride_view
from service.auth import policy
from service.core import unicorns
from service.http import cursors
from service.http.context import caller, dependencies
from service.http.responses import answer
from service.http.route import route

blueprint: Final = Blueprint("driven_rides", __name__)


@route(
    blueprint,
    "GET",
    "/v1/fleet/me/rides",
    policy=policy.FLEET_DRIVE,
    query=RideListing,
    answers={200: DrivenRideListView},
)
def list_driven_rides(query: RideListing) -> Response:
    """List the rides of the caller's unicorn: those it had at their end, and its present one,
    newest first.

    With a `status` a page may hold fewer rides than `limit` although more follow.
    """
    deps, subject = dependencies(), caller().subject
    unicorn_id = unicorns.record_call(deps.ports, subject, deps.now())
    page = unicorns.list_rides(
        deps.ports,
        unicorn_id,
        status=query.status,
        limit=query.limit,
        start=cursors.key_of(query.cursor, subject, cursors.DRIVEN_RIDES),
    )
    next_cursor = cursors.cursor_of(page.next_key, subject, cursors.DRIVEN_RIDES)
    rides = [driven_ride_view(ride) for ride in page.items]
    return answer(200, DrivenRideListView(rides=rides, next_cursor=next_cursor))
