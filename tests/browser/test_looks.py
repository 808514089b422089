"""Every page at the width of a phone and of a desk, light and dark: accessible, console clean."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.windows import DESKTOP, PHONE, Window
from tests.clients import tools

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
