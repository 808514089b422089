"""The Celery tasks. Each takes only ids and calls one use case.

A task ignores unknown arguments (`_more`, `_named`). A later release may add arguments, and while
it is deployed, workers of this release get its jobs.
"""

from __future__ import annotations

from celery import Task

from service.logs import log_context
from service.observability import traces
from service.stores.broker import (
    COUNT_TASK,
    LEARN_TASK,
    REPOSITION_ALL_TASK,
    REPOSITION_TASK,
    ROUND_TASK,
    SWEEP_TASK,
)
from worker.app import app
from worker.dependencies import dependencies


@app.task(name=ROUND_TASK, bind=True)
def dispatch_round(
    job: Task[..., None], /, zone: str, request_id: str, *_more: object, **_named: object
) -> None:
    """Pair and claim the waiting rides of a zone."""
    carrier = job.request.headers or traces.NOTHING
    with log_context(request_id=request_id), traces.span("round", kind="consumer", carrier=carrier):
        dependencies().dispatcher.run(zone, request_id)


@app.task(name=SWEEP_TASK)
def dispatch_sweep(*_more: object, **_named: object) -> None:
    """Handle the open rides that are due."""
    dependencies().sweep()


@app.task(name=LEARN_TASK)
def dispatch_learn(*_more: object, **_named: object) -> None:
    """Learn travel times from the legs that were completed lately."""
    dependencies().learn()


@app.task(name=COUNT_TASK)
def dispatch_count(*_more: object, **_named: object) -> None:
    """Count the unicorns that have a ride and those that are free, for the statistics."""
    dependencies().count()


@app.task(name=REPOSITION_ALL_TASK)
def dispatch_reposition_all(*_more: object, **_named: object) -> None:
    """Ask for a run of repositioning in each zone where riders asked for rides lately."""
    dependencies().reposition_all()


@app.task(name=REPOSITION_TASK)
def dispatch_reposition(zone: str, *_more: object, **_named: object) -> None:
    """Tell a zone's idle unicorns where to wait."""
    dependencies().reposition(zone)
