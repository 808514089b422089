"""Routes of staff about the service itself: workers, queues, dead letters, audit, tokens, dispatch.

Each write makes an audit entry.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final, Self

from flask import Blueprint, Response
from pydantic import ConfigDict, Field, field_validator, model_validator

from service.api.fields import Nothing, PageQuery, Strict, left_out
from service.api.operation_views import (
    DeadLetterListView,
    DeadLetterView,
    DispatchView,
    QueueListView,
    ReconciledView,
    WorkerListView,
    dispatch_view,
    queue_view,
    worker_view,
)
from service.api.staff_views import AuditListView
from service.auth import policy
from service.core import dead_letters, staff
from service.core.reconcile import reconcile as reconcile_all
from service.http import audit, cursors, guard
from service.http.context import dependencies
from service.http.responses import answer, empty
from service.http.route import Route
from service.matching.zones import RESOLUTION, is_zone
from service.model import RepositioningLevel, items_of

blueprint: Final = Blueprint("admin_operations", __name__)

RECONCILE_SECONDS: Final = 20.0
"""The time limit of a reconciliation: less than a load balancer waits for an answer. A larger fleet
needs the command `reconcile`."""
MOST_RIDES: Final = 10_000
"""The most open rides that one request reads."""


Identifier = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,640}$")]
"""The value of a token's claim, by which tokens are revoked. The longest values are ARNs of roles
with long paths."""


class Revocation(Strict):
    """What to revoke: exactly one of a subject, a sign-in and a token."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    sub: Identifier = Field(default_factory=left_out)
    origin_jti: Identifier = Field(default_factory=left_out)
    jti: Identifier = Field(default_factory=left_out)

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError("must have exactly one of sub, origin_jti and jti")
        return self

    def identifiers(self) -> dict[str, str]:
        """The given claim, by its name."""
        return self.model_dump(exclude_unset=True)


class DispatchChange(Strict):
    """Pause or resume dispatch, or choose how idle unicorns are repositioned, or both.

    With `zone` (an H3 cell, as in the `zone` of a waiting ride) the change holds in that zone, else
    everywhere.
    """

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["paused"]}, {"required": ["repositioning"]}]}
    )

    paused: bool = Field(default_factory=left_out)
    repositioning: Annotated[RepositioningLevel, Field(strict=False)] = Field(
        default_factory=left_out
    )
    zone: Annotated[str, Field(pattern=r"^[0-9a-f]{15}$")] | None = None

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set & {"paused", "repositioning"}:
            raise ValueError("must have paused, repositioning or both")
        return self

    @field_validator("zone")
    @classmethod
    def _is_a_zone(cls, zone: str | None) -> str | None:
        if zone is not None and not is_zone(zone):
            raise ValueError(f"must be an H3 cell of resolution {RESOLUTION}")
        return zone


@Route(
    blueprint, "GET", "/v1/admin/workers", policy=policy.ADMIN_READ, answers={200: WorkerListView}
)
def list_workers() -> Response:
    """List all workers by their last heartbeats, with those lost in the last hour."""
    deps = dependencies()
    now = deps.now()
    heartbeats = deps.oversight.workers.heartbeats(now)
    views = [worker_view(heartbeat, now) for heartbeat in heartbeats]
    return answer(200, WorkerListView(workers=views, next_cursor=None))


@Route(blueprint, "GET", "/v1/admin/queues", policy=policy.ADMIN_READ, answers={200: QueueListView})
def list_queues() -> Response:
    """List the queues: waiting and running jobs, and how long the oldest ride has waited."""
    deps = dependencies()
    oldest = staff.oldest_waiting(deps.oversight.city, deps.now())
    views = [queue_view(queue, oldest) for queue in deps.oversight.queues.lengths()]
    return answer(200, QueueListView(queues=views, next_cursor=None))


@Route(
    blueprint,
    "GET",
    "/v1/admin/dead-letters",
    policy=policy.ADMIN_READ,
    answers={200: DeadLetterListView},
)
def list_dead_letters(query: PageQuery) -> Response:
    """List the rides that were set aside, with the cause, newest first.

    Each is kept for 30 days; DynamoDB deletes it within days after that.
    """
    newest = partial(dependencies().ports.dead_letters.newest, limit=query.limit)
    page, next_cursor = cursors.read_page(cursors.DEAD_LETTERS, query.cursor, newest)
    return answer(200, DeadLetterListView.of(dead_letters=page, next_cursor=next_cursor))


@Route(blueprint, "GET", "/v1/admin/audit", policy=policy.ADMIN_READ, answers={200: AuditListView})
def list_audit_entries(query: PageQuery) -> Response:
    """List the changes that staff made by these routes, newest first.

    Each is kept for 90 days; DynamoDB deletes it within days after that.
    """
    newest = partial(dependencies().oversight.audit.newest, limit=query.limit)
    page, next_cursor = cursors.read_page(cursors.AUDIT, query.cursor, newest)
    return answer(200, AuditListView.of(entries=page, next_cursor=next_cursor))


@Route(
    blueprint,
    "POST",
    "/v1/admin/dead-letters/<dead_letter_id>/replay",
    policy=policy.ADMIN_WRITE,
    answers={202: DeadLetterView},
)
def replay_dead_letter(dead_letter_id: str, body: Nothing) -> Response:
    """Request the ride of a dead letter again, with a new deadline; repeats change nothing."""
    deps = dependencies()
    letter = dead_letters.replay(deps.ports, deps.ports.dead_letters, dead_letter_id, deps.now())
    audit.wrote("dead letter replayed", dead_letter_id=dead_letter_id)
    return answer(202, DeadLetterView.of(letter))


@Route(blueprint, "POST", "/v1/admin/revocations", policy=policy.ADMIN_WRITE, answers={204: None})
def revoke(body: Revocation) -> Response:
    """Revoke a token, all tokens of a sign-in, or all tokens that a subject has, within seconds.

    A subject is signed out at the user pool first, if the service is allowed to do that.
    """
    ((kind, value),) = body.identifiers().items()
    signed_out = guard.revoke(kind, value)
    audit.wrote("revoked", kind=kind, value=value, at_the_pool=signed_out)
    return empty(204)


@Route(
    blueprint, "GET", "/v1/admin/dispatch", policy=policy.ADMIN_READ, answers={200: DispatchView}
)
def show_dispatch() -> Response:
    """Show whether dispatch is paused, and the level of repositioning: everywhere and by zone."""
    return answer(200, dispatch_view(dependencies().ports.control.current()))


@Route(
    blueprint, "PUT", "/v1/admin/dispatch", policy=policy.ADMIN_WRITE, answers={200: DispatchView}
)
def change_dispatch(body: DispatchChange) -> Response:
    """Pause or resume dispatch, or set the level of repositioning, within seconds.

    Applies to a zone or (without `zone`) everywhere. If repositioning is off everywhere, it is off
    in each zone, whatever the zone's own level.
    """
    deps, where = dependencies(), body.zone or "everywhere"
    state = deps.ports.control.current()
    if "repositioning" in body.model_fields_set:
        state = deps.ports.control.reposition(body.zone, body.repositioning)
        audit.wrote("repositioning changed", zone=where, weight=body.repositioning)
    if "paused" in body.model_fields_set:
        state = staff.set_pause(deps.ports, body.zone, body.paused, deps.now())
        audit.wrote("dispatch paused" if body.paused else "dispatch resumed", zone=where)
    return answer(200, dispatch_view(state))


@Route(
    blueprint,
    "POST",
    "/v1/admin/reconcile",
    policy=policy.ADMIN_WRITE,
    answers={200: ReconciledView},
)
def reconcile(body: Nothing) -> Response:
    """Repair rides and unicorns that contradict each other, for example after a restore."""
    deps = dependencies()
    end = deps.monotonic() + RECONCILE_SECONDS
    fleet = items_of(deps.oversight.roster.unicorns)
    done = reconcile_all(deps.ports, fleet, deps.now(), MOST_RIDES, lambda: deps.monotonic() < end)
    for repair in done.repairs:
        audit.part_of_action(repair.what, ride_id=repair.ride_id, unicorn_id=repair.unicorn_id)
    audit.wrote("reconciled", repairs=str(len(done.repairs)))
    return answer(200, ReconciledView.of(done))
