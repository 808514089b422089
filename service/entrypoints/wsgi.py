"""The application that gunicorn serves; each worker process builds its own, after the fork."""

from __future__ import annotations

import gc

from service.api.app import create_app
from service.bootstrap import build
from service.logs import configure_logging
from service.observability import traces
from service.observability.exposition import WEB, expose
from service.settings import ApiSettings, load

settings = load(ApiSettings)
configure_logging(settings.log_level)
traces.begin(settings, "web")
app = create_app(build(settings))
expose(settings, WEB)

# The loaded objects live as long as the process, so garbage collections need not visit them.
gc.collect()
gc.freeze()
