"""A Textual application: its runs are shown, cancelled by a key or the next question, and end with it."""

import os
import re
import shutil
import signal
import sys
from collections.abc import Callable

import anyio
import pytest
from tests.embedding.processes import GUARD, ROOT, STRICT, all_end, pids_in

pytestmark = pytest.mark.skipif(shutil.which("sleep") is None, reason="there is no command `sleep`")
pytest.importorskip("textual", reason="textual is not installed")
pexpect = pytest.importorskip("pexpect", reason="pexpect is not installed")


@pytest.fixture
def anyio_backend() -> str:
    """Textual runs on asyncio alone."""
    return "asyncio"


async def test_a_run_is_shown_and_cancelled() -> None:
    from tests.embedding.textual_app import Chat
    from textual.widgets import Log

    app = Chat()
    async with app.run_test() as pilot:

        async def ask(text: str) -> None:
            await pilot.press(*text, "enter")

        async def until(done: Callable[[str], object]) -> str:
            with anyio.fail_after(GUARD):
                while not done(shown := "\n".join(app.query_one(Log).lines)):
                    await pilot.pause(0.01)
            return shown

        await ask("hi")
        await until(lambda shown: "Hello, browser." in shown)
        await ask("think")
        await until(lambda shown: "Hm" in shown)
        await pilot.press("escape")
        await app.agent.wait_idle()
        assert app.agent.messages[-1].text == "Hm"

        await ask("work")
        pids = pids_in(await until(lambda shown: re.search(r"\d+ \d+", shown)))
        await ask("hi")
        await until(lambda shown: shown.count("Hello, browser.") == 2)
        assert all_end(pids, within=0)

        await ask("work")
        shown = await until(lambda shown: len(re.findall(r"\d+ \d+", shown)) == 2)
    assert all_end(pids_in(shown), within=0)


@pytest.mark.parametrize("way", ["escape", "quit", "SIGTERM"])
def test_an_application_at_a_terminal_leaves_no_process(way: str) -> None:
    screen = pexpect.spawn(
        sys.executable,
        [*STRICT, "-m", "tests.embedding.textual_app"],
        cwd=str(ROOT),
        dimensions=(24, 80),
        encoding="utf-8",
        timeout=3 * GUARD,
    )
    try:
        screen.expect("Ask something")
        screen.send("work\r")
        screen.expect(r"(\d+) (\d+)")
        pids = [int(screen.match[1]), int(screen.match[2])]
        if way == "escape":
            screen.send("\x1b")
            assert all_end(pids)
        if way == "SIGTERM":
            os.kill(screen.pid, signal.SIGTERM)
        else:
            screen.send("\x11")
        screen.expect(pexpect.EOF)
        assert all_end(pids, within=0)
    finally:
        screen.close(force=True)
    assert (screen.exitstatus, screen.signalstatus) == (0, None)
