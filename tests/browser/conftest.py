"""Pages in a browser without a window, as they are opened from disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class Opener:
    """Opens pages, and takes note of all that a page of ours never does.

    Attributes:
        complaints: errors and warnings in the console, and whatever but the file itself was asked for.
    """

    def __init__(self, browser: Browser) -> None:
        self.complaints: list[str] = []
        self._browser = browser
        self._pages: list[Page] = []

    def __call__(
        self, path: Path, *, dark: bool = False, javascript: bool = True, width: int = 1000, height: int = 900
    ) -> Page:
        """Return the page in *path*, opened."""
        page = self._browser.new_page(
            color_scheme="dark" if dark else "light",
            java_script_enabled=javascript,
            viewport={"width": width, "height": height},
        )
        self._pages.append(page)
        page.on("console", self._note_message)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (self.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda one: self._note_request(one.url, path))
        page.goto(path.as_uri())
        return page

    def close(self) -> None:
        """Close all pages."""
        for page in self._pages:
            page.context.close()

    def _note_message(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _note_request(self, url: str, path: Path) -> None:
        if url.partition("#")[0] != path.as_uri():
            self.complaints.append(f"request: {url}")


@contextmanager
def start_browser() -> Iterator[Browser]:
    """Start the browser of this machine, without a window."""
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, NAMES)), None)
    assert found, f"None of {', '.join(NAMES)} is on this machine: `make env-browser` installs one."
    # Chromium does not run as root with its sandbox
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One for all tests: it takes a second to start."""
    with start_browser() as browser:
        yield browser


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Opener]:
    """Opens a page; the test fails if it has errors, or asks for anything but its own file."""
    opener = Opener(browser)
    yield opener
    opener.close()
    assert [] == opener.complaints
