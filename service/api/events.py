"""A ride as a stream of events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

`ride` carries each new version under its number as id; `live`, without one, where the unicorn is;
`end` says why the stream ends, and that coming back as before is of no use. A stream that ends
without it (this process stops) is to be taken up again, as browsers do, with the last id as
`Last-Event-ID`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import chain
from typing import Final

from flask import Blueprint, Response
from pydantic import BaseModel

from service.api.views import live_ride_view, ride_view
from service.auth import policy
from service.auth.errors import InvalidToken
from service.auth.principal import Principal
from service.core import watch
from service.core.watch import LiveView, Wait
from service.http import headers
from service.http.client import client
from service.http.context import Dependencies, caller, dependencies
from service.http.gate import SUPERSEDED, gate
from service.http.openapi import EVENT_STREAM
from service.http.responses import empty, encode
from service.http.route import Text, route
from service.model import Ride
from service.model.errors import RideNotFound

blueprint: Final = Blueprint("events", __name__)

COMMENT_SECONDS: Final = 15.0
"""A stream that is silent for longer may be cut by what lies between (the standard, 9.2.7)."""

OPENING: Final = "retry: 1000\n\n"
"""Sent at once, so that the client sees the stream open; milliseconds before coming back."""

HEADERS: Final = {"X-Accel-Buffering": "no"}
"""nginx and what follows its customs must not collect the stream."""


@route(
    blueprint,
    "GET",
    "/v1/rides/<ride_id>/events",
    policy=policy.RIDES_READ,
    headers=("Last-Event-ID",),
    answers={200: Text(EVENT_STREAM, "Events `ride`, `live` and `end`."), 204: None},
)
def follow_ride(ride_id: str) -> Response:
    """A stream of what happens to a ride; 204 if all of it was seen."""
    deps, principal, seen = dependencies(), caller(), headers.last_event_id()
    with ExitStack() as open_until_closed:
        wait = open_until_closed.enter_context(gate().streaming(client(), principal.subject))
        feed = watch.follow_ride(
            deps.ports,
            deps.ports.arrivals,
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
                seen = 0  # no version of this ride, so nothing of it was seen
        stream = Stream(deps, wait, principal, seen)
        response = Response(
            stream.text(chain([ride], feed)), headers=HEADERS, content_type=EVENT_STREAM
        )
        response.call_on_close(open_until_closed.pop_all().close)
        return response


@dataclass(frozen=True, slots=True)
class Stream:
    """One open stream. It outlives its request, so it must not ask Flask for anything."""

    deps: Dependencies
    wait: Wait
    principal: Principal
    seen: int
    """The version the client has already."""

    def text(self, feed: Iterable[Ride | LiveView | None]) -> Iterator[str]:
        yield OPENING
        try:
            yield from self._news(feed)
        except RideNotFound:
            yield _end("ride_not_found")

    def _news(self, feed: Iterable[Ride | LiveView | None]) -> Iterator[str]:
        sent_at = self.deps.monotonic()
        for news in feed:
            # Judged before it is told: the wait for it may have been long.
            refusal = self._refusal()
            if refusal:
                yield _end(refusal)
                return
            text = self._told(news)
            if not text and self.deps.monotonic() - sent_at >= COMMENT_SECONDS:
                text = ":\n\n"
            if text:
                yield text
                sent_at = self.deps.monotonic()
            if self.wait.ended_by:
                break
        if not self.wait.ended_by:
            yield _end("ride_ended")
        elif self.wait.ended_by == SUPERSEDED:
            yield _end(SUPERSEDED)

    def _told(self, news: Ride | LiveView | None) -> str:
        match news:
            case Ride() if news.version > self.seen:
                return f"id: {news.version}\n{_event('ride', ride_view(news))}"
            case LiveView():
                return _event("live", live_ride_view(news))
        return ""

    def _refusal(self) -> str | None:
        """Why the token that opened the stream would not open it now."""
        now = self.deps.now()
        if now.timestamp() >= self.principal.expires_at:
            return "token_expired"
        try:
            self.deps.revoked.check(self.principal, policy.RIDES_READ, "GET", now)
        except InvalidToken:
            return "token_revoked"
        return None


def _event(name: str, data: BaseModel | Mapping[str, object]) -> str:
    return f"event: {name}\ndata: {encode(data)}\n\n"


def _end(reason: str) -> str:
    return _event("end", {"reason": reason})
