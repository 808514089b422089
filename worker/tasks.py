"""Jobs. Only ids travel; each task hands them to one use case."""

from __future__ import annotations

from service.logs import log_context
from service.queues import ROUND_TASK, SWEEP_TASK
from worker.app import app
from worker.dependencies import dependencies


@app.task(name=ROUND_TASK)
def dispatch_round(zone: str, request_id: str) -> None:
    """Pair and claim the waiting rides of a zone."""
    with log_context(request_id=request_id):
        dependencies().dispatcher.run(zone, request_id)


@app.task(name=SWEEP_TASK)
def dispatch_sweep() -> None:
    """Look after the open rides whose time has come."""
    dependencies().sweep()
