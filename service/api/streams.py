"""Streams of events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

The event `end` says why a stream ends. After it the client may reconnect only if its token was
refused, and only with a new token. If a stream ends without `end` (for example because this process
stops), the client should reconnect, as browsers do, and send the last id as `Last-Event-ID`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Final, Generic, Literal, TypeVar

from flask import Response, g, request

from service.api.views import View
from service.auth.errors import AuthUnavailable, InvalidToken
from service.auth.policy import Policy
from service.auth.principal import Principal
from service.core.watch import Wait
from service.http.context import Dependencies, caller, client, dependencies
from service.http.gate import SUPERSEDED, gate
from service.http.openapi import EVENT_STREAM
from service.http.responses import encode

COMMENT_SECONDS: Final = 15.0
"""Time between comments on a silent stream; proxies may cut longer silences (standard, 9.2.7)."""

OPENING: Final = "retry: 1000\n\n"
"""Sent at once, so that the client sees an open stream. `retry`: the milliseconds after which a
client reconnects."""

HEADERS: Final = {"X-Accel-Buffering": "no"}
"""Tells nginx, and proxies that know its header, not to buffer the stream."""

UNCERTAIN: Final = "uncertain"
"""The reason for ending a wait if it is unknown whether the stream's token has been revoked."""


News = TypeVar("News")


@dataclass(frozen=True, slots=True)
class Stream(Generic[News]):
    """An open stream. It outlasts its request: its texts must not use Flask's `request` or `g`."""

    deps: Dependencies
    wait: Wait
    principal: Principal
    policy: Policy
    first: News
    """Read before the answer begins, so that an error becomes its status."""
    news: Iterable[News]
    """All the news, the first included."""
    until_closed: ExitStack

    def response(self, texts: Iterable[str]) -> Response:
        """The answer that sends each text; an empty text means "no news".

        Raises a 429 problem if the caller has too many streams.
        """
        response = Response(self._sent(texts), headers=HEADERS, content_type=EVENT_STREAM)
        # The answer to HEAD has no body, so nobody would close it: the stream ends at once.
        if request.method != "HEAD":
            # Counted only now, when it is sure to open, because it may end another stream.
            counted = gate().open_stream(self.wait, self.principal.subject)
            self.until_closed.enter_context(counted)
            response.call_on_close(self.until_closed.pop_all().close)
        return response

    def _sent(self, texts: Iterable[str]) -> Iterator[str]:
        yield OPENING
        sent_at = self.deps.monotonic()
        for news in texts:
            # The token is judged again before each text, because the wait for a text may be long.
            refusal = self._refusal()
            if refusal:
                yield end(refusal)
            if refusal or self.wait.ended_by == UNCERTAIN:
                return
            is_silent = self.deps.monotonic() - sent_at >= COMMENT_SECONDS
            text = news or (":\n\n" if is_silent else "")
            if text:
                yield text
                sent_at = self.deps.monotonic()
            if self.wait.ended_by:
                break
        if self.wait.ended_by == SUPERSEDED:
            yield end(SUPERSEDED)

    def _refusal(self) -> str | None:
        """Why the stream's token is no longer accepted; None if it still is."""
        now = self.deps.now()
        if now.timestamp() >= self.principal.expires_at:
            return "token_expired"
        try:
            self.deps.revoked.check(self.principal, self.policy, "GET", now)
        except InvalidToken:
            return "token_revoked"
        except AuthUnavailable:
            self.wait.end(UNCERTAIN)
        return None


@contextmanager
def opened(follow: Callable[[Wait], Generator[News, None, None]]) -> Iterator[Stream[News]]:
    """A stream of what `follow` yields. It stays open beyond the context if it makes a response.

    Raises a 503 problem if there are too many streams, and what the first step of `follow` raises.
    """
    with ExitStack() as until_closed:
        wait = until_closed.enter_context(gate().streaming(client()))
        feed = until_closed.enter_context(closing(follow(wait)))
        first = next(feed)
        news = chain([first], feed)
        yield Stream(dependencies(), wait, caller(), g.policy, first, news, until_closed)


class EndView(View):
    """Why the stream ends.

    Reconnect only after `token_expired` or `token_revoked`, and only with a new token.
    """

    reason: Literal["ride_ended", "ride_not_found", "superseded", "token_expired", "token_revoked"]


def event(name: str, data: str, event_id: int | None = None) -> str:
    """One event; `data` is JSON on one line."""
    number = "" if event_id is None else f"id: {event_id}\n"
    return f"{number}event: {name}\ndata: {data}\n\n"


def end(reason: str) -> str:
    """The last event of a stream."""
    return event("end", encode({"reason": reason}))
