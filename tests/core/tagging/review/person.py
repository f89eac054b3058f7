"""Somebody at the review page in a real Chromium: what they press, and what the page then shows."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.core.report.chromium import BINARY

_OPTIONS = ("--no-sandbox", "--disable-quic", "--disable-background-networking", "--disable-gpu")


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser, for any number of pages."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(BINARY), args=_OPTIONS, timeout=200_000)
        try:
            yield browser
        finally:
            browser.close()


class Person:
    """Somebody at a page: what they press, and what the page then shows."""

    def __init__(self, browser: Any, url: str, width: int = 1200, height: int = 1500) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": height})
        self.context.set_default_timeout(100_000)  # a busy machine
        self.page = self.context.new_page()
        self.problems: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(url)
        self.page.wait_for_selector("#sheet .tile, #image-name:not(:empty)", timeout=100_000)
        self.settle()

    def settle(self) -> None:
        """Wait until everything that was pressed is done."""
        self.page.evaluate(
            """async () => {
              const { inTurn } = await import("./api.js");
              for (const _ of [1, 2]) await inTurn(() => {});
            }"""
        )

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
        self.settle()

    def click(self, selector: str, nth: int = 0) -> None:
        self.page.locator(selector).nth(nth).click()
        self.settle()

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    @property
    def term(self) -> str:
        return self.text("#term-name")

    def open_term(self, name: str) -> None:
        self.click(f"#term-list .entry:has(.name:text-is('{name}'))")

    def marks(self) -> list[str]:
        return self.page.locator("#sheet .tile").evaluate_all(
            "tiles => tiles.map(tile => tile.getAttribute('aria-label'))"
        )

    def labels(self) -> dict[int, str]:
        """{image of `photos/IMAGE.png`: the keys of the label on its tile}."""
        pairs = self.page.locator("#sheet .tile").evaluate_all(
            """tiles => tiles.map(tile => [parseInt(tile.getAttribute("aria-label")),
              tile.querySelector("kbd")?.textContent.toLowerCase()])"""
        )
        return dict(pairs)

    def wide(self) -> bool:
        return self.page.evaluate("document.documentElement.scrollWidth > innerWidth")
