"""Answers Prometheus on a port of its own, from any one process for all processes of its role."""

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
from service.observability.files import CounterFile
from service.settings import Settings

logger = logging.getLogger(__name__)

WEB, WORKER, BEAT = range(3)
"""What each role adds to `METRICS_PORT`."""

LASTING: Final[Mapping[str, Callable[[float, float], float]]] = {
    "counter": operator.add,
    "histogram": operator.add,
    "gauge_max": max,
}
"""What of a process outlives it, by the kind of its file, and how it is put to the others'."""

_updates: list[Callable[[], None]] = []


class Role(Collector):
    """All processes of this role as one: what they counted, how many they are, their memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        for update in _updates:
            update()
        with directory.alone(self._folder):
            bury(self._folder)
            yield from MultiProcessCollector(None, str(self._folder)).collect()  # type: ignore[no-untyped-call]
            pids = directory.processes(self._folder)
        yield GaugeMetricFamily(
            "wildrydes_processes", "Processes of this role that count.", value=len(pids)
        )
        yield GaugeMetricFamily(
            "wildrydes_memory_bytes",
            "Memory of this role's processes, shared pages counted once (PSS).",
            value=sum(map(_memory_bytes, pids)),
        )


def tidy() -> None:
    """Remove the files of dead processes; called by each process when it starts.

    Scrapes do it too. A role that nobody scrapes and that is restarted over and over would
    otherwise fill the memory with its predecessors' files.
    """
    folder = directory.current()
    if folder:
        with directory.alone(folder):
            bury(folder)


def bury(folder: Path) -> None:
    """Move what dead processes counted to one file per kind and remove theirs."""
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
    # Several processes of a role may listen; each answers for all.
    allow_reuse_port = True


class _ServerOnIPv6(_Server):
    address_family = AF_INET6


class _Silent(WSGIRequestHandler):
    timeout = 5

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a line per scrape says nothing."""


def before_answers(update: Callable[[], None]) -> None:
    """Have this called before each answer, for gauges that are asked rather than told."""
    _updates.append(update)


def listen(settings: Settings, role: int, *more: Collector) -> None:
    """Answer for this process's role, if metrics are on; a taken port costs no ride."""
    folder = directory.current()
    if not settings.metrics_port or folder is None:
        return
    port = settings.metrics_port + role
    tidy()
    try:
        serve(settings.host, port, Role(folder), *more)
    except OSError as error:
        logger.error("no metrics", extra={"port": port, "cause": str(error)})


def serve(host: str, port: int, *collectors: Collector) -> Callable[[], None]:
    """Listen in a thread of this process. Returns how to stop. Raises `OSError`."""
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    app = make_wsgi_app(registry)
    server = (_ServerOnIPv6 if ":" in host else _Server)((host, port), _Silent)
    server.set_app(app)
    # A forked child must not hold the port open for a parent that is gone.
    os.register_at_fork(after_in_child=server.socket.close)
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop
