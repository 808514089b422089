"""The web pages: `/` for riders, `/drive` for drivers, `/console` for staff.

They are the files of `service/web`. A page loads its scripts and styles from `/assets/<release>/`,
where the release is a digest of all of them, so browsers keep them until the next release.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from html import escape
from pathlib import Path
from string import Template
from typing import Final

from flask import Blueprint, Flask, Response, current_app

from service.addresses import origin_of
from service.api.documents import HTML, KEPT, Document, document_route
from service.http.paths import link
from service.http.problems import Problem
from service.http.route import Text
from service.settings import ApiSettings

blueprint: Final = Blueprint("pages", __name__)
_PAGES: Final = "pages"

WEB: Final = Path(__file__).parents[1] / "web"
MEDIA_TYPES: Final = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""Media types of the files that are assets; other files in the folder are documentation."""

PAGES: Final = ("rider", "drive", "console")
"""The names of the pages, in the order of `PAGE_CLIENT_IDS`."""

_PAGE: Final = Text("text/html", "A page for people.")


class Pages:
    """Pages and assets, read and compressed when they are first requested."""

    def __init__(self, settings: ApiSettings) -> None:
        self._settings = settings

    @cached_property
    def assets(self) -> dict[str, Document]:
        """All assets by file name, including those of libraries, which are in subfolders."""
        files = [path for path in sorted(WEB.glob("**/*")) if path.suffix in MEDIA_TYPES]
        return {
            path.name: Document.of(path.read_bytes(), MEDIA_TYPES[path.suffix]) for path in files
        }

    @cached_property
    def release(self) -> str:
        """A digest of the content of all assets."""
        named = (f"{name} {each.tag}\n" for name, each in self.assets.items())
        return hashlib.sha256("".join(named).encode()).hexdigest()

    @cached_property
    def policy(self) -> str:
        """The content security policy: own files, the API, the user pool, and map tiles if any."""
        settings = self._settings
        sources = [settings.authorization_servers[0], settings.cognito_domain_url]
        pool = " ".join(dict.fromkeys(origin_of(url) for url in sources if url))
        tiles = f" {origin_of(settings.map_tiles_url)}" if settings.map_tiles_url else ""
        return (
            "default-src 'none'; script-src 'self'; style-src 'self'; "
            f"img-src 'self' data:{tiles}; connect-src 'self' {pool}; "
            "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        )

    def page(self, name: str) -> Response:
        """The page of this name, with the content security policy."""
        return self._documents[name].response({"Content-Security-Policy": self.policy})

    def asset(self, release: str, name: str) -> Response:
        """The asset of this name, always from this release.

        Browsers ask for the asset again each time, unless `release` is this release. Raises a 404
        problem if there is no such asset.
        """
        if name not in self.assets:
            raise Problem(404, "not_found", "There is nothing here.")
        kept = {"Cache-Control": KEPT} if release == self.release else None
        return self.assets[name].response(kept)

    @cached_property
    def _documents(self) -> dict[str, Document]:
        clients = self._settings.page_client_ids or self._settings.cognito_client_ids[:1] * 3
        return {
            name: Document.of(self._filled(name, client).encode(), HTML)
            for name, client in zip(PAGES, clients, strict=True)
        }

    def _filled(self, name: str, client: str) -> str:
        """The text of the page, with the settings filled in."""
        values = {key: escape(value) for key, value in self._values(client).items()}
        return Template((WEB / f"{name}.html").read_text()).substitute(values)

    def _values(self, client: str) -> dict[str, str]:
        settings = self._settings
        return {
            "assets": link(settings.public_url, f"/assets/{self.release}"),
            "base": link(settings.public_url, ""),
            "pool": settings.authorization_servers[0],
            "domain": settings.cognito_domain_url,
            "client": client,
            "tiles": settings.map_tiles_url,
            "attribution": settings.map_attribution,
            "center": ",".join(map(str, settings.map_center)),
            "admins": settings.admin_group,
            "dispatchers": settings.dispatcher_group,
        }


def install(app: Flask, settings: ApiSettings) -> None:
    app.extensions[_PAGES] = Pages(settings)


def _pages() -> Pages:
    pages: Pages = current_app.extensions[_PAGES]
    return pages


@document_route(blueprint, "/", _PAGE)
def rider_page() -> Response:
    """The page on which riders request a unicorn and watch it come."""
    return _pages().page("rider")


@document_route(blueprint, "/drive", _PAGE)
def driver_page() -> Response:
    """The page on which drivers take rides."""
    return _pages().page("drive")


@document_route(blueprint, "/console", _PAGE)
def console_page() -> Response:
    """The page on which staff see the city and act on it."""
    return _pages().page("console")


@document_route(
    blueprint,
    "/assets/<string:release>/<string:name>",
    Text("text/javascript", "A script, style or image of a page."),
)
def page_asset(release: str, name: str) -> Response:
    """A script, style or image of the pages, under an address that changes with its content."""
    return _pages().asset(release, name)
