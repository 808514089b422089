"""Windows of Chromium on the pages, as people use them: sign in, look, press, type."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1440, "height": 900}
EXPECTED = re.compile(
    r"status of (401|403|404|409|422)|ERR_(INTERNET_DISCONNECTED|CONNECTION_REFUSED)"
)
"""What Chromium itself writes to the console: it was refused, is offline, has no tiles."""

CONTROLS = {"button", "checkbox", "combobox", "link", "radio", "searchbox", "tab", "textbox"}
"""Roles of what a person operates (https://www.w3.org/TR/wai-aria-1.2/#widget_roles)."""

PATIENCE_MILLISECONDS = 60_000
"""The longest that a window waits for the page: it is seconds, unless the machine is busy."""

expect.set_options(timeout=PATIENCE_MILLISECONDS)


def profile(browser: Browser, viewport: dict[str, int]) -> BrowserContext:
    """A browser profile of its own: cookies, storage and the size of its windows."""
    context = browser.new_context(
        viewport={"width": viewport["width"], "height": viewport["height"]}
    )
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    return context


class Window:
    """One tab of a person's browser profile."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.context = context
        self.page: Page = context.new_page()
        self.faults: list[str] = []
        self.tokens: set[str] = set()
        self.address = address
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda request: self._sent(request.headers))

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not EXPECTED.search(message.text):
            self.faults.append(message.text)

    def _sent(self, headers: dict[str, str]) -> None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme == "Bearer":
            self.tokens.add(token)

    def sign_in(self, path: str, username: str, password: str) -> None:
        """Open the page and come back to it through the pool's login page."""
        self.opens_login(path)
        self.log_in(username, password)
        self.sees("#work")

    def opens_login(self, path: str) -> None:
        """Open the page and go to the pool's login page."""
        self.page.goto(f"{self.address}{path}")
        self.presses("Sign in")

    def log_in(self, username: str, password: str) -> None:
        """What the pool's login page asks for."""
        self.page.locator("[name=username]").fill(username)
        self.page.locator("[name=password]").fill(password)
        self.page.locator("[type=submit]").click()

    def sees(self, selector: str, text: str | re.Pattern[str] | None = None) -> None:
        """Wait until it is visible, with this text if one is given."""
        found = self.page.locator(selector)
        expect(found).to_be_visible()
        if text is not None:
            expect(found).to_contain_text(text)

    def sees_not(self, selector: str) -> None:
        expect(self.page.locator(selector)).to_be_hidden()

    def presses(self, name: str) -> None:
        """Press the button of this name."""
        self.page.get_by_role("button", name=name, exact=True).click()

    def violations(self, axe: str) -> list[Any]:
        """What axe-core finds wrong with the page for people who use it otherwise."""
        # As the debugger evaluates it: the page's own policy allows no script but the page's.
        self.page.evaluate(axe)
        found: list[Any] = self.page.evaluate(
            "axe.run(document, {resultTypes: ['violations']}).then(({violations}) =>"
            " violations.map(({id, nodes}) => [id, nodes.map(({html}) => html.slice(0, 200))]))"
        )
        return found

    def unnamed_controls(self) -> list[Any]:
        """The controls that a screen reader can only call by their kind."""
        return [
            node
            for node in self._accessible().values()
            if node["role"]["value"] in CONTROLS and not node["name"]["value"].strip()
        ]

    def announced(self) -> str:
        """The text in live regions: a screen reader says it when it changes."""
        nodes = self._accessible()

        def texts(node: dict[str, Any]) -> str:
            children = (nodes[each] for each in node["childIds"] if each in nodes)
            return node["name"]["value"] if not node["childIds"] else " ".join(map(texts, children))

        return "\n".join(texts(node) for node in nodes.values() if _is_live(node))

    def _accessible(self) -> dict[str, Any]:
        """The accessibility tree as Chromium gives it to a screen reader: nodes by their id."""
        session = self.context.new_cdp_session(self.page)
        nodes = session.send("Accessibility.getFullAXTree")["nodes"]
        session.detach()
        empty = {"name": {"value": ""}, "role": {"value": ""}, "childIds": [], "properties": []}
        return {node["nodeId"]: {**empty, **node} for node in nodes}

    def close(self) -> None:
        with suppress(Exception):
            self.page.unroute_all(behavior="ignoreErrors")
        self.context.close()


def _is_live(node: dict[str, Any]) -> bool:
    return any(each["name"] == "live" for each in node["properties"])
