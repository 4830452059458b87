"""A browser, and a server with the page: what the tests of the page share."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

__all__ = ("Eyes", "Server", "chromium", "open_browser")

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0
"""Seconds; the machine may be busy."""
DESKTOP = {"width": 1200, "height": 860}
TELEPHONE = {"width": 390, "height": 800}


def chromium() -> str:
    """Return the path of Debian's chromium; without it, the tests of the page are skipped."""
    found = os.environ.get("TETHER_CHROMIUM") or shutil.which("chromium")
    if found is None:
        pytest.skip("chromium is not installed: the page is not tried in a browser")
    return found


@contextmanager
def open_browser() -> Iterator[Any]:
    """Open a browser, driven by playwright."""
    path = chromium()
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@define
class Server:
    """A server in a process of its own, which can be killed and started again."""

    folder: Path
    port: int
    backend: str = "asyncio"
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        words = [str(self.port), self.backend, str(self.folder)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.web.page_server", *words], cwd=ROOT
        )
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with urllib.request.urlopen(self.url):
                    return
            except OSError:
                assert self._process.poll() is None, "the server ended as it began"
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.1)

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None


@define
class Eyes:
    """Looks at what the browser does: pictures of the page, and what it should not have done."""

    folder: Path = field(factory=lambda: _folder())
    problems: list[str] = field(factory=list)
    """Messages of the console and errors of scripts."""
    requests: list[str] = field(factory=list)

    def watch(self, page: Any) -> None:
        """Note what happens on a page."""
        page.on("console", lambda message: self._note(message))
        page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        page.on("request", lambda request: self.requests.append(request.url))

    def _note(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.problems.append(f"{message.type}: {message.text}")

    def keep(self, page: Any, name: str) -> None:
        """Keep a picture, light and dark."""
        for scheme in ("dark", "light"):
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=self.folder / f"{name}-{scheme}.png")


def _folder() -> Path:
    named = os.environ.get("TETHER_SCREENSHOTS")
    folder = Path(named or tempfile.gettempdir()) / ("" if named else "tether-screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
