"""The `monitor` role: Flower, with everything except `/healthcheck` behind its login.

By itself, Flower serves `/metrics` to anybody who reaches its port, and those metrics name tasks,
hosts and workers.
"""

from __future__ import annotations

import logging
import os
from typing import Final, NoReturn

from flower import command, urls  # type: ignore[import-untyped]
from flower.views.monitor import Metrics  # type: ignore[import-untyped]
from flower.views.workers import WorkersView  # type: ignore[import-untyped]
from tornado.web import authenticated, url

from service.observability import directory
from service.settings import MonitorSettings, forget, load
from worker.app import app

MAX_TASKS: Final = 5000
"""The most jobs that Flower remembers, about 4 KB each. Its default of 100,000 takes 400 MB after a
day."""


def options(settings: MonitorSettings) -> list[str]:
    """Flower's command line. It stays in this process, so no list of processes shows the login."""
    # Flower would read the environment itself, where an empty login lets everybody in.
    forget("FLOWER_")
    return [
        "--read-only",
        f"--max-tasks={MAX_TASKS}",
        f"--address={settings.flower_address}",
        f"--port={settings.flower_port}",
        f"--basic-auth={','.join(settings.flower_basic_auth)}",
        f"--url-prefix={settings.flower_url_prefix}",
    ]


def main() -> None:
    """Run Flower until it is told to stop."""
    Metrics.get = authenticated(Metrics.get)
    # Under a prefix, Flower's first page has a slash at its end; people type it without one.
    urls.handlers.insert(0, url("", WorkersView))
    # Flower's own handler raises `SystemExit`. Python drops it if the signal arrives while a
    # callback of a weak reference runs, and Flower would go on.
    command.sigterm_handler = end
    app.start(["flower", *options(load(MonitorSettings))])
    end()


def end(*_: object) -> NoReturn:
    """End this process at once. It is also the handler of SIGTERM.

    Python's own exit would wait for threads that ask a broker which may never answer. Nothing is
    lost with them: what Flower knows is in memory only.
    """
    try:
        directory.remove()
        logging.shutdown()
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
