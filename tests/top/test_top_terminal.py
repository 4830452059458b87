"""`tether top` in a real terminal: what a person sees and types."""

import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio.from_thread
import pytest
from tests.cli.screen import Terminal, terminal
from tests.top.golden import is_kept
from tests.top.pages import NOW, shop
from tests.top.servers import answered, serving
from tests.top.test_screen import TETHER

_SIZES = [("asyncio", 80, 24), ("trio", 160, 50)]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket in it."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@contextmanager
def server(folder: Path, page: Callable[[], str]) -> Iterator[None]:
    """Serve a page at `unix:a.sock` of a folder."""
    socket = folder / "a.sock"
    socket.unlink(missing_ok=True)
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(
            serving(lambda _: answered(page()), socket=str(socket)),
        ),
    ):
        yield


_BEGAN = time.time() - (3 * 24 + 4) * 3600 - 60
"""Three days and four hours ago, for most of an hour from now."""


def still() -> str:
    """A server in which nothing moves, and that began a while ago."""
    page = shop(30).replace(f"{NOW - 7323:.0f}", f"{_BEGAN:.0f}")
    return page.replace(f"{NOW - 3725:.0f}", f"{_BEGAN:.0f}")


def kept(there: Terminal, name: str) -> None:
    """Compare the screen with the one that is kept, but for how long an answer took."""
    is_kept(name, [re.sub(r"\b\d+ ms\b", "N ms", line) for line in there.lines()])


@contextmanager
def top(
    folder: Path,
    *words: str,
    ready: str,
    backend: str = "asyncio",
    columns: int = 80,
    lines: int = 24,
) -> Iterator[Terminal]:
    with terminal(
        folder,
        "top",
        "unix:a.sock",
        "--backend",
        backend,
        *words,
        columns=columns,
        lines=lines,
        ready=ready,
    ) as there:
        yield there


@pytest.mark.parametrize(("backend", "columns", "lines"), _SIZES)
def test_a_server_is_looked_into(folder: Path, backend: str, columns: int, lines: int) -> None:
    name = f"{columns}x{lines}"
    with (
        server(folder, still),
        top(
            folder, ready="sent_bytes_total", backend=backend, columns=columns, lines=lines
        ) as there,
    ):
        there.until("cpu 0.0%")
        there.until(
            lambda: re.search(r"sent_bytes_total\s+0B\s", there.text()) is not None
        )  # the second scrape
        kept(there, f"terminal-table-{name}")
        there.types("/")
        there.types("duration")
        there.until("find: duration_")
        there.until(lambda: "build_info" not in there.text())
        there.types("\x1bOP\x1b[5~x\x7f\r")
        there.until("find duration")
        there.types("\x1b[B\r")
        there.until("≤ 50ms")
        kept(there, f"terminal-family-{name}")
        there.types("\x1b")
        there.until("NAME")
        there.types("?")
        there.until("leave")
        there.types("\x1b")
        there.until("NAME")
        there.types("\x1b")
        there.until("build_info")
        there.types("q")
        assert there.until_gone() == 0
    assert "\x1b[?1049l" in there.raw
    assert there.raw.rstrip().endswith("\x1b[?1007l")


@pytest.mark.parametrize(("backend", "columns", "lines"), _SIZES)
def test_a_tether_server_has_a_screen_of_its_own(
    folder: Path, backend: str, columns: int, lines: int
) -> None:
    page = TETHER.format(done=40, more=45, tokens=1200)
    with (
        server(folder, lambda: page),
        top(folder, ready="APPROVALS", backend=backend, columns=columns, lines=lines) as there,
    ):
        there.until("800 0/s")  # the second scrape
        kept(there, f"terminal-runs-{columns}x{lines}")
        there.types("t")
        there.until("tether_runs_active")
        there.types("\x03")
        assert there.until_gone() == 0


def test_a_server_goes_and_comes_back_and_the_window_changes_its_size(folder: Path) -> None:
    with (
        server(folder, still),
        top(folder, "--every", "0.1", ready="sent_bytes_total", backend="trio") as there,
    ):
        there.resize(60, 12)
        there.until(lambda: any("? help" in line for line in there.lines()[:12]))
        server_is_gone = "DOWN"
        (folder / "a.sock").unlink()
        there.until(server_is_gone)
        with server(folder, still):
            there.until(lambda: "DOWN" not in there.text().splitlines()[-12])
        there.types("q")
        assert there.until_gone() == 0
