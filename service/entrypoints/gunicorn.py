"""gunicorn's configuration: each option with its reason. It listens on `HOST` and `PORT`.

Why gevent: a rider who waits (`Prefer: wait`) costs a greenlet instead of a thread. Measured on 2
cores, one process, GET of a ride from memory over kept-alive connections; CPU is per plain request
while others wait, memory is PSS:

    waiting requests held       0         200        1000
    gthread, 1 client      633 us      690 us      732 us   p50 0.67 / 0.72 / 0.76 ms
    gevent,  1 client      377 us      383 us      411 us   p50 0.36 / 0.36 / 0.43 ms
    gthread, 8 clients     747 us      773 us      832 us   p99 11.4 / 11.3 / 11.7 ms
    gevent,  8 clients     367 us      367 us      378 us   p99  5.6 /  5.5 /  5.8 ms
    gthread memory          37 MB       46 MB       86 MB
    gevent memory           40 MB       45 MB       65 MB

gthread passes each request through its main thread and back, which costs more than the request.
On real stores, 16 clients: POST of a ride takes 2.15 ms of CPU with gthread, 1.82 ms with gevent.
"""

from __future__ import annotations

import gc
import os
from typing import Any, Final

from service.entrypoints.server import ApiWorker, ServerLog
from service.logs import logging_config

wsgi_app = "service.entrypoints.wsgi:app"

worker_class = ApiWorker

# The most open connections. A load balancer holds some of them idle.
worker_connections = 4096
# Above the idle timeout of a load balancer (ALB: 60 s), so that the balancer closes first. If the
# server closed first, the balancer could send a request into a closing connection and answer 502.
keepalive = 75
# Requests under way have this long to end. Below the container's stop timeout (30 s), so that
# gunicorn ends the process and not the container runtime.
graceful_timeout = 25

# For the heartbeat file. On a disk, setting the file's times can block a worker until it counts as
# hung, and a container's root file system is read-only.
_MEMORY: Final = "/dev/shm"  # noqa: S108
worker_tmp_dir = _MEMORY if os.path.isdir(_MEMORY) else None

# Enough for a path with an id or a cursor. A header field has room for a token of 7 KiB and its
# scheme. The head as a whole has its own limit (`entrypoints.connection`).
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190
# No proxy is trusted to name the scheme or the address: absolute URLs come from PUBLIC_URL.
forwarded_allow_ips = ""

# The service logs each request itself, with the request id. Without this class gunicorn would build
# an access record per request and throw it away.
logger_class = ServerLog
logconfig_dict = logging_config("INFO")
# gunicorn's control socket is not used here, and it needs a writable home directory.
control_socket_disable = True


def on_starting(server: Any) -> None:
    """Read the settings, so that a bad one ends the server; in a worker it would cause restarts.

    Also set the address to serve on: without this, gunicorn serves on every interface as soon as
    `PORT` is set.
    """
    # Imported here, because only the server's start needs them.
    from service.addresses import socket_address
    from service.observability import directory
    from service.settings import ApiSettings, load

    settings = load(ApiSettings)
    server.cfg.set("bind", socket_address(settings.host, settings.port))
    directory.prepare(settings.metrics_port)


def pre_fork(server: Any, worker: Any) -> None:
    """Freeze all objects, so that server and worker share the memory of the loaded modules.

    A garbage collection writes into each object that it visits, which copies the object's page. It
    does not visit frozen objects (https://docs.python.org/3/library/gc.html#gc.freeze).
    """
    gc.collect()
    gc.freeze()
