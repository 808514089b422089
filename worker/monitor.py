"""The `monitor` role: Flower, with all of it but `/healthcheck` behind its login.

Flower serves `/metrics` to anybody who reaches its port, and they name tasks, hosts and workers.
"""

from __future__ import annotations

from flower.views.monitor import Metrics  # type: ignore[import-untyped]
from tornado.web import authenticated

from worker.app import app


def main() -> None:
    """Run Flower until it is told to stop. Its settings are `FLOWER_…` in the environment."""
    Metrics.get = authenticated(Metrics.get)
    app.start(["flower", "--read-only"])


if __name__ == "__main__":
    main()
