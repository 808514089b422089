"""Serves metrics to Prometheus on a port of its own: any process answers for its whole role."""

from __future__ import annotations

import logging
import operator
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from socket import AF_INET6
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from service.observability import directory
from service.observability.figure_log import FigureLog
from service.observability.files import CounterFile
from service.settings import Settings

logger = logging.getLogger(__name__)

WEB, WORKER, BEAT = range(3)
"""The number that each role adds to `METRICS_PORT`."""
NAMES: Final = ("web", "worker", "beat")

LASTING: Final[Mapping[str, Callable[[float, float], float]]] = {
    "counter": operator.add,
    "histogram": operator.add,
    "gauge_max": max,
}
"""Kinds of files whose values are kept when their process ends, and how values are combined."""


class Role(Collector):
    """Collects the metrics of all processes of this role, their number and their memory."""

    def __init__(self, folder: Path, version: str, revision: str) -> None:
        self._folder = folder
        self._build = (version, revision)

    def collect(self) -> Iterator[Metric]:
        with directory.alone(self._folder):
            bury(self._folder)
            yield from MultiProcessCollector(None, str(self._folder)).collect()  # type: ignore[no-untyped-call]
            pids = directory.processes(self._folder)
        yield GaugeMetricFamily(
            "wildrydes_processes", "Living processes of this role.", value=len(pids)
        )
        yield GaugeMetricFamily(
            "wildrydes_memory_bytes",
            "Memory of this role's processes in bytes; shared pages count once (PSS).",
            value=sum(map(_memory_bytes, pids)),
        )
        build = GaugeMetricFamily(
            "wildrydes_build_info",
            "Always 1; the labels say which version and commit this role runs.",
            labels=["version", "revision"],
        )
        build.add_metric(self._build, 1)
        yield build


def tidy() -> None:
    """Remove the files of dead processes; called by each process when it starts.

    Each scrape does the same. Without `tidy`, a role that nobody scrapes and that restarts often
    would fill the memory with files.
    """
    folder = directory.current()
    if folder:
        with directory.alone(folder):
            bury(folder)


def bury(folder: Path) -> None:
    """Move the lasting values of dead processes to one file per kind, and remove their files."""
    for file in list(directory.dead_files(folder)):
        kind = file.stem.rpartition("_")[0]
        if kind in LASTING and file.stat().st_size:
            _move(file, folder / f"{kind}_dead.db", LASTING[kind])
        file.unlink(missing_ok=True)


def _move(file: Path, target: Path, combine: Callable[[float, float], float]) -> None:
    kept = CounterFile(str(target))
    counted: Any = MmapedDict.read_all_values_from_file(str(file))  # type: ignore[no-untyped-call]
    for key, value, _, _ in counted:
        before, _ = kept.read_value(key)
        kept.write_value(key, combine(before, value), 0.0)
    kept.close()  # type: ignore[no-untyped-call]


def _memory_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    kilobytes = (line.split()[1] for line in lines if line.startswith("Pss:"))
    return 1024 * int(next(kilobytes, "0"))


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    # All processes of a role serve the same port; each answers for all.
    allow_reuse_port = True


class _ServerOnIPv6(_Server):
    address_family = AF_INET6


class _Silent(WSGIRequestHandler):
    timeout = 5

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: a line per scrape is of no use."""


def expose(settings: Settings, role: int, *more: Collector) -> None:
    """Serve the metrics of this process's role, and log its figures, if the settings say so.

    A port that is in use is logged, and the process goes on.
    """
    folder = directory.current()
    if not settings.metrics_port or folder is None:
        return
    port = settings.metrics_port + role
    tidy()
    role_metrics = Role(folder, settings.service_version, settings.service_revision)
    if settings.metrics_namespace:
        FigureLog(NAMES[role], settings.metrics_namespace, folder, role_metrics).keep_writing()
    try:
        serve(settings.host, port, role_metrics, *more)
    except OSError as error:
        logger.error("metrics not served", extra={"port": port, "cause": str(error)})


def serve(host: str, port: int, *collectors: Collector) -> Callable[[], None]:
    """Serve in a thread of this process; returns a function that stops it. Raises `OSError`."""
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    app = make_wsgi_app(registry)
    server = (_ServerOnIPv6 if ":" in host else _Server)((host, port), _Silent)
    server.set_app(app)
    # A forked child must not hold the port open after its parent has gone.
    os.register_at_fork(after_in_child=server.socket.close)
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop
