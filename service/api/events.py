"""The route that follows a ride as a stream of events; see `service.api.streams`.

An event `ride` holds a new version of the ride, and has the number of that version as its id. An
event `live` holds the unicorn's position and ETAs, and has no id.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Final

from flask import Blueprint, Response

from service.api.streams import EndView, end, event, opened
from service.api.views import LiveRideView, RideView, View, ride_view
from service.auth import policy
from service.core import watch
from service.core.watch import LiveView, Wait
from service.http import headers
from service.http.context import caller, dependencies
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
    """Follow a ride as a stream of events; 204 if it has ended and you have seen all of it.

    `live` says where the unicorn is, at most every 2 s. `end` is the last event. A stream that
    closes without `end` was on a process that is stopping: connect again with `Last-Event-ID`, as
    browsers do. A `Last-Event-ID` above the ride's version is ignored, and the stream begins anew.
    A web process holds at most 5 streams of a rider. A sixth ends the oldest one; it gets 429
    instead if a stream of this rider was ended in this way within the last 10 s. Without Redis a
    stream reads the ride again every 5 s.
    """
    deps, seen = dependencies(), headers.last_event_id()

    def follow(wait: Wait) -> Generator[Ride | LiveView | None, None, None]:
        ports, rider_id = deps.ports, caller().subject
        etas = ports.pickup_etas
        return watch.follow_ride(ports, etas, ride_id, rider_id, deps.now, deps.monotonic, wait)

    with opened(follow) as stream:
        ride = stream.first
        if isinstance(ride, Ride):
            if ride.is_terminal and seen == ride.version:
                return empty(204)
            if seen > ride.version:
                seen = 0  # not a version of this ride, so the client has seen nothing
        return stream.response(_texts(stream.news, seen, stream.wait))


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
