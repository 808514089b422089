"""Routes of staff about the whole city: map, changes, waiting rides, statistics.

Maps hold thousands of entries, so they are built as plain dicts; the views beside them declare
their form.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Annotated, Any, Final

from flask import Blueprint, Response
from pydantic import BeforeValidator, Field
from pydantic.json_schema import WithJsonSchema
from pydantic_core import to_json

from service.api.fields import Count, Query
from service.api.staff_views import (
    MapChangesView,
    MapView,
    StatisticsView,
    WaitingRideListView,
    statistics_view,
)
from service.api.streams import EndView, event, opened
from service.api.views import View, instant_text
from service.auth import policy
from service.core import city_map
from service.core.city_map import MapChanges, SeenUnicorn, Snapshot, WaitingRide
from service.core.statistics import last_hour
from service.http import headers
from service.http.context import dependencies
from service.http.openapi import EVENT_STREAM
from service.http.responses import JSON_TYPE, answer
from service.http.route import Route, Text
from service.model import WORLD, Box

blueprint: Final = Blueprint("admin_map", __name__)

EVENTS: Final[Mapping[str, type[View]]] = {
    "snapshot": MapView,
    "changes": MapChangesView,
    "end": EndView,
}

_NUMBER: Final = r"-?[0-9]{1,3}(?:\.[0-9]{1,15})?"
_BOX: Final = f"^{_NUMBER}(?:,{_NUMBER}){{3}}$"


def _box(value: object) -> Box:
    if isinstance(value, str) and re.fullmatch(_BOX, value):
        west, south, east, north = map(float, value.split(","))
        if max(abs(west), abs(east)) <= 180 and -90 <= south <= north <= 90:
            return Box(west, south, east, north)
    raise ValueError("must be west,south,east,north in degrees, such as -74.1,40.6,-73.8,40.9")


class Area(Query):
    """The area of the map; the whole world if `bbox` is left out."""

    bbox: Annotated[
        Box,
        BeforeValidator(_box),
        WithJsonSchema(
            {
                "type": "string",
                "pattern": _BOX,
                "description": "west,south,east,north in degrees; west > east crosses 180°.",
            }
        ),
    ] = Field(default_factory=lambda: WORLD)


class Oldest(Query):
    """The number of rides to return."""

    limit: Count = 20


@Route(blueprint, "GET", "/v1/admin/map", policy=policy.ADMIN_READ, answers={200: MapView})
def show_map(query: Area) -> Response:
    """Show unicorns with a fresh position and waiting rides, at most 5,000 of each.

    Send `event_id` as `Last-Event-ID` to `/v1/admin/events` to get the changes since this map.
    """
    deps = dependencies()
    return _json(_map(city_map.read_snapshot(deps.oversight.city, query.bbox, deps.now())))


@Route(
    blueprint,
    "GET",
    "/v1/admin/waiting-rides",
    policy=policy.ADMIN_READ,
    answers={200: WaitingRideListView},
)
def list_waiting_rides(query: Oldest) -> Response:
    """List the rides that have waited longest for a unicorn, oldest first."""
    waiting = dependencies().oversight.city.waiting(WORLD, query.limit)
    return _json({"rides": list(map(_ride, waiting)), "next_cursor": None})


@Route(
    blueprint,
    "GET",
    "/v1/admin/statistics",
    policy=policy.ADMIN_READ,
    answers={200: StatisticsView},
)
def show_statistics() -> Response:
    """Show time to match and share of busy unicorns for the last hour and each of its minutes.

    The figures are approximate: they are counted in Redis after each event, so a few events may be
    missing, and all figures are lost with Redis.
    """
    deps = dependencies()
    hour = last_hour(deps.oversight.statistics, deps.now())
    return answer(200, statistics_view(hour))


@Route(
    blueprint,
    "GET",
    "/v1/admin/events",
    policy=policy.ADMIN_READ,
    headers=("Last-Event-ID",),
    answers={200: Text(EVENT_STREAM, "Events `snapshot`, `changes` and `end`.", EVENTS)},
)
def follow_map() -> Response:
    """Follow the changes on the map of the whole world, at most one event a second.

    The first event is `snapshot`, the map itself, unless `Last-Event-ID` names an event of the last
    minute. `changes` holds new and changed entries in full, and the ids of removed ones.
    """
    seen = headers.last_event_id() or None
    with opened(partial(city_map.follow, dependencies().shared_map, seen)) as stream:
        return stream.response(_text(news) if news else "" for news in stream.news)


# Cached, because all followers in a process get the same events.
@lru_cache(maxsize=4)
def _text(news: Snapshot | MapChanges) -> str:
    if isinstance(news, Snapshot):
        return event("snapshot", to_json(_map(news)).decode(), news.event_id)
    return event("changes", to_json(_changes(news)).decode(), news.event_id)


def _map(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "as_of": instant_text(snapshot.at),
        "event_id": str(snapshot.event_id),
        "truncated": snapshot.truncated,
        "unicorns": list(map(_unicorn, snapshot.unicorns)),
        "waiting_rides": list(map(_ride, snapshot.waiting)),
    }


def _changes(changes: MapChanges) -> dict[str, Any]:
    return {
        "as_of": instant_text(changes.at),
        "unicorns": list(map(_unicorn, changes.unicorns)),
        "gone_unicorns": changes.gone_unicorns,
        "waiting_rides": list(map(_ride, changes.waiting)),
        "gone_rides": changes.gone_rides,
    }


def _unicorn(seen: SeenUnicorn) -> dict[str, Any]:
    return seen._asdict() | {"position_at": instant_text(seen.position_at)}


def _ride(waiting: WaitingRide) -> dict[str, Any]:
    ride, plan = waiting
    return {
        "ride_id": ride.ride_id,
        "version": ride.version,
        "zone": ride.zone,
        "pickup": ride.pickup,
        "dropoff": ride.dropoff,
        "requested_at": instant_text(ride.requested_at),
        "deadline_at": instant_text(ride.deadline_at),
        "planned_unicorn_id": plan and plan.unicorn_id,
        "planned_pickup_eta_seconds": plan and plan.pickup_eta_seconds,
    }


def _json(data: Mapping[str, Any]) -> Response:
    return Response(to_json(data), content_type=JSON_TYPE)
