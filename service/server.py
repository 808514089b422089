"""gunicorn's configuration: each option with its reason. The port comes from `PORT` or `--bind`."""

from __future__ import annotations

import os
from typing import Final

from gunicorn.arbiter import Arbiter

from service.logs import logging_config
from service.settings import ApiSettings, load

wsgi_app = "service.wsgi:app"

worker_class = "gthread"
threads = 1100

# Requests being answered and connections kept alive between requests.
worker_connections = 4096
# Above the idle timeout of a load balancer (ALB: 60 s): the balancer must be the one to close,
# else it sends requests into connections that are just being closed, and answers 502.
keepalive = 75
# Requests under way get this long to end. Below the container's stop timeout (30 s), so that it
# is gunicorn that ends the process.
graceful_timeout = 25

# The heartbeat file: on a disk its fsync can block a worker until it counts as hung, and a
# container's root file system is read-only.
_MEMORY: Final = "/dev/shm"  # noqa: S108
worker_tmp_dir = _MEMORY if os.path.isdir(_MEMORY) else None

# A path, a cursor and two parameters. Header fields: a token of 7 KiB and its scheme.
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190
# Nobody's word on scheme or address is taken: absolute URLs come from PUBLIC_URL.
forwarded_allow_ips = ""

# The service writes a line per request itself, with the request id; this is gunicorn's own voice.
accesslog = None
logconfig_dict = logging_config("INFO")
# A socket to command the running server: nothing here uses it, and it wants a writable home.
control_socket_disable = True


def on_starting(_: Arbiter) -> None:
    """End here, naming the fault, when a setting is bad: a worker that did would be restarted."""
    load(ApiSettings)
