"""The route that follows a ride as a stream of events; see `service.api.streams`.

`ride` holds each new version of the ride, with its number as id; `live`, without an id, holds the
unicorn's position.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from itertools import chain
from typing import Final

from flask import Blueprint, Response

from service.api.streams import EndView, Stream, end, event
from service.api.views import LiveRideView, RideView, View, ride_view
from service.auth import policy
from service.core import watch
from service.core.watch import LiveView, Wait
from service.http import headers
from service.http.context import caller, client, dependencies
from service.http.gate import gate
from service.http.openapi import EVENT_STREAM
from service.http.responses import empty, encode
from service.http.route import Route, Text
from service.model import Ride
from service.model.errors import RideNotFound

blueprint: Final = Blueprint("events", __name__)

EVENTS: Final[Mapping[str, type[View]]] = {"ride": RideView, "live": LiveRideView, "end": EndView}


@Route(
    blueprint,
    "GET",
    "/v1/rides/<ride_id>/events",
    policy=policy.RIDES_READ,
    headers=("Last-Event-ID",),
    answers={200: Text(EVENT_STREAM, "Events `ride`, `live` and `end`.", EVENTS), 204: None},
)
def follow_ride(ride_id: str) -> Response:
    """Follow a ride as a stream of events; 204 if it has ended and you have seen all of it."""
    deps, principal, seen = dependencies(), caller(), headers.last_event_id()
    with ExitStack() as open_until_closed:
        wait = open_until_closed.enter_context(gate().streaming(client(), principal.subject))
        feed = watch.follow_ride(
            deps.ports,
            deps.ports.pickup_etas,
            ride_id,
            principal.subject,
            deps.now,
            deps.monotonic,
            wait,
        )
        open_until_closed.enter_context(closing(feed))
        ride = next(feed)
        if isinstance(ride, Ride):
            if ride.is_terminal and seen == ride.version:
                return empty(204)
            if seen > ride.version:
                seen = 0  # not a version of this ride, so the client has seen nothing
        stream = Stream(deps, wait, principal, policy.RIDES_READ)
        response = stream.response(_texts(chain([ride], feed), seen, wait))
        response.call_on_close(open_until_closed.pop_all().close)
        return response


def _texts(feed: Iterable[Ride | LiveView | None], seen: int, wait: Wait) -> Iterator[str]:
    """The events for a client that has seen version `seen` of the ride."""
    try:
        for news in feed:
            yield _text(news, seen)
    except RideNotFound:
        yield end("ride_not_found")
        return
    if not wait.ended_by:
        yield end("ride_ended")


def _text(news: Ride | LiveView | None, seen: int) -> str:
    match news:
        case Ride() if news.version > seen:
            return event("ride", encode(ride_view(news)), news.version)
        case LiveView():
            return event("live", encode(LiveRideView.of(news)))
    return ""
