"""The workshop's pages on an origin of their own, and the hosts that they name.

Those hosts are fixed in the pages' scripts, so requests to them are answered before they leave the
browser. Cognito's API is passed on to the emulator as it is. The emulator has no implicit grant:
the pool's domain is played by its login page with a code, which is exchanged on the way back, so
that the page gets the pool's own token in the fragment, as Cognito sends it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import urllib3
from playwright.sync_api import Page, Route

from tests.browser.servers import serving
from tests.clients import tools

DOMAIN_PREFIX = "wildrydes"

IDENTITY_JS = tools.MODULES / "amazon-cognito-identity-js/dist/amazon-cognito-identity.min.js"

MAP_LIBRARY = """
window.require = (names, ready) => ready(
  class {},
  class {
    center = {latitude: 47.6, longitude: -122.31};
    extent = {xmin: -122.4, ymin: 47.5, xmax: -122.2, ymax: 47.7};
    graphics = {add() {}, remove() {}};
    watch() {}
    then(loaded) { loaded(); }
    on(name, picked) {
      document.getElementById("map").onclick = () => picked({mapPoint: this.center});
    }
  },
  class {}, class {}, class {}, class {},
  {xyToLngLat: (x, y) => [x, y]},
);
"""
"""What the workshop's own map script calls of the ArcGIS library: a click picks a place."""


@dataclass
class Site:
    """The pages of a folder, on a port of this machine, for one window."""

    folder: Path
    port: int
    settings: dict[str, str]
    """Of the local stack: `API_URL`, `COGNITO_USER_POOL_ID` and so on."""
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    """The secret of PKCE (RFC 7636)."""

    @property
    def origin(self) -> str:
        return f"http://localhost:{self.port}"

    @contextmanager
    def open_in(self, page: Page) -> Iterator[None]:
        """Serve the pages, and answer whatever this one asks of a host of the internet."""
        page.route("https://**", lambda route: route.abort("connectionrefused"))
        page.route("https://js.arcgis.com/**", lambda route: route.fulfill(body=MAP_LIBRARY))
        page.route("https://cognito-idp.*.amazonaws.com/", self._pass_on)
        page.route(f"https://{DOMAIN_PREFIX}.auth.*.amazoncognito.com/**", self._ask_for_a_code)
        page.route(f"{self.origin}/js/config.js", lambda route: route.fulfill(body=self._config()))
        if not (self.folder / "js" / "vendor").exists():
            library = f"{self.origin}/js/vendor/{IDENTITY_JS.name}"
            page.route(library, lambda route: route.fulfill(path=IDENTITY_JS))
        with serving(self.port, partial(_Handler, self)):
            yield

    @property
    def client_id(self) -> str:
        return self.settings["COGNITO_CLIENT_IDS"].split(",")[0]

    @property
    def pool_url(self) -> str:
        return self.settings["COGNITO_DOMAIN_URL"]

    def _config(self) -> str:
        """The one file that who takes the workshop fills in."""
        pool_id = self.settings["COGNITO_USER_POOL_ID"]
        cognito = {
            "userPoolId": pool_id,
            "userPoolClientId": self.client_id,
            "region": pool_id.partition("_")[0],
            "authDomainPrefix": DOMAIN_PREFIX,
        }
        config = {"cognito": cognito, "api": {"invokeUrl": self.settings["API_URL"]}}
        return f"window._config = {json.dumps(config)};"

    def _pass_on(self, route: Route) -> None:
        sent = {name: value for name, value in route.request.headers.items() if name != "host"}
        body = route.request.post_data_buffer
        answer = urllib3.request(route.request.method, self.pool_url, headers=sent, body=body)
        route.fulfill(status=answer.status, headers=dict(answer.headers), body=answer.data)

    def _ask_for_a_code(self, route: Route) -> None:
        """The emulator then judges client, address and scope, and shows its login page."""
        query = {
            name: value for name, (value,) in parse_qs(urlsplit(route.request.url).query).items()
        }
        assert query.pop("response_type") == "token"
        digest = hashlib.sha256(self.verifier.encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        query |= {"code_challenge": challenge, "code_challenge_method": "S256"}
        query["response_type"] = "code"
        location = f"{self.pool_url}/oauth2/authorize?{urlencode(query)}"
        route.fulfill(status=302, headers={"Location": location})

    def address_with_token(self, code: str) -> str:
        """Where Cognito sends a browser after the implicit grant."""
        form = {
            "grant_type": "authorization_code",
            "client_id": self.client_id,
            "code": code,
            "redirect_uri": f"{self.origin}/",
            "code_verifier": self.verifier,
        }
        url = f"{self.pool_url}/oauth2/token"
        sent = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = urllib3.request("POST", url, body=urlencode(form), headers=sent).json()
        names = ("access_token", "token_type", "expires_in")
        return f"{self.origin}/#{urlencode({name: answer[name] for name in names})}"


class _Handler(SimpleHTTPRequestHandler):
    """Serves the files of a site, and sends a browser that comes with a code to its token."""

    def __init__(self, site: Site, *arguments: Any) -> None:
        self._site = site
        super().__init__(*arguments, directory=str(site.folder))

    def do_GET(self) -> None:
        codes = parse_qs(urlsplit(self.path).query).get("code")
        if not codes:
            return super().do_GET()
        self.send_response(302)
        self.send_header("Location", self._site.address_with_token(codes[0]))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: pytest's output is for failures."""
