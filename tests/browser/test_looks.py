"""Every page on a phone and a desk, light and dark, with tiles, a position, a screen reader."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from io import BytesIO

import pytest
from PIL import Image
from playwright.sync_api import expect

from service.local.provisioning import load_identity
from tests.browser.servers import serving
from tests.browser.windows import DESKTOP, PHONE, Window
from tests.clients import tools
from tests.support.local_stack import LocalStack

Open = Callable[..., Window]


@pytest.fixture(scope="module")
def axe() -> str:
    if not tools.has_npm():
        pytest.skip(tools.MISSING)
    tools.install()
    return (tools.MODULES / "axe-core" / "axe.min.js").read_text()


@pytest.mark.parametrize(
    ("path", "user"), [("/", "rider"), ("/drive", "unicorn"), ("/console", "admin")]
)
def test_a_page_is_accessible_before_and_after_the_sign_in(
    window: Open, axe: str, password: str, path: str, user: str
) -> None:
    opened = window(DESKTOP)
    opened.page.goto(f"{opened.address}{path}")
    opened.sees("#welcome")
    opened.sees(".leaflet-control-attribution", "no street map")
    found = [opened.violations(axe)]
    opened.sign_in(path, user, password)
    for viewport in (DESKTOP, PHONE):
        opened.page.set_viewport_size({"width": viewport["width"], "height": viewport["height"]})
        for theme in ("light", "dark"):
            opened.page.emulate_media(color_scheme="light" if theme == "light" else "dark")
            found.append(opened.violations(axe))
    assert found == [[]] * 5
    assert opened.unnamed_controls() == []


def test_a_map_stays_where_it_is_when_a_phone_is_turned(window: Open) -> None:
    opened = window(PHONE)
    opened.page.goto(f"{opened.address}/")
    opened.sees("#welcome")
    opened.page.set_viewport_size({"width": PHONE["height"], "height": PHONE["width"]})
    opened.sees("#map")
    opened.page.wait_for_function("document.querySelector('#map').clientHeight > innerHeight / 2")


@contextmanager
def tile_server(port: int) -> Iterator[list[str]]:
    """Serves a grey tile at each address; yields the addresses that were asked for."""
    asked: list[str] = []
    picture = BytesIO()
    Image.new("L", (256, 256), 200).save(picture, "PNG")
    tile = picture.getvalue()

    class Tiles(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.send_header("Content-Length", str(len(tile)))
            self.end_headers()
            self.wfile.write(tile)

        def log_message(self, *_: object) -> None:
            """Nothing: pytest's output is for failures."""

    with serving(port, Tiles):
        yield asked


def test_a_map_shows_the_tiles_of_the_setting_under_its_content_security_policy(
    window: Open, tiles_port: int
) -> None:
    with tile_server(tiles_port) as asked:
        opened = window(DESKTOP)
        opened.page.goto(f"{opened.address}/")
        expect(opened.page.locator("#map img.leaflet-tile-loaded").first).to_be_visible()
        opened.sees(".leaflet-control-attribution", "Streets of the test")
        expect(opened.page.locator(".leaflet-control-attribution")).not_to_contain_text("no street")
        # A tile that is still on its way when the server closes would be an error of the console.
        expect(opened.page.locator("#map img:not(.leaflet-tile-loaded)")).to_have_count(0)
    assert re.fullmatch(r"/15/\d+/\d+\.png", asked[0])


def test_a_rider_is_picked_up_where_the_device_is(window: Open, password: str) -> None:
    rider = window(PHONE)
    rider.sign_in("/", "rider", password)
    rider.presses("Here")
    rider.sees("#pickup-fault", "This device does not say where it is")
    rider.context.grant_permissions(["geolocation"])
    rider.context.set_geolocation({"latitude": 40.7302, "longitude": -73.9951})
    rider.presses("Here")
    expect(rider.page.locator("#pickup")).to_have_value("40.73020, -73.99510")


def test_a_drivers_device_is_where_the_unicorn_is(
    window: Open, pages: LocalStack, password: str
) -> None:
    unicorn = {"unicorn_id": "arion", "name": "Arion", "color": "Black", "gender": "Male"}
    account = {"account_sub": load_identity(pages.folder).subs["herd-02"]}
    pages.call("POST", "/v1/admin/unicorns", unicorn | account, token="ADMIN_TOKEN")
    driver = window(PHONE)
    driver.context.grant_permissions(["geolocation"])
    driver.context.set_geolocation({"latitude": 40.7302, "longitude": -73.9951})
    driver.sign_in("/drive", "herd-02", password)
    driver.page.get_by_label("This device").check()
    driver.presses("Go on duty")
    driver.sees("#state", "on duty, free")
    moved = {"latitude": 40.7304, "longitude": -73.9951}
    with driver.page.expect_request(
        lambda sent: sent.url.endswith("/fleet/me/position") and sent.post_data_json == moved
    ):
        driver.context.set_geolocation({"latitude": 40.7304, "longitude": -73.9951})
    driver.presses("Go off duty")
    driver.sees("#state", "off duty")
