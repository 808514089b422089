"""The application gunicorn serves, built in each worker process, so after the fork."""

from __future__ import annotations

from service.app import create_app
from service.dependencies import build
from service.logs import configure_logging
from service.settings import ApiSettings, load

settings = load(ApiSettings)
configure_logging(settings.log_level)
app = create_app(build(settings))
