"""Programs other than web servers: each streams, is left, is stopped, and leaves no process."""

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.embedding.processes import (
    GUARD,
    STRICT,
    all_end,
    descendants_at_work,
    running,
    warnings_in,
)

pytestmark = [
    pytest.mark.skipif(shutil.which("sleep") is None, reason="there is no command `sleep`"),
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc"),
]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_bot_has_an_agent_for_each_chat(backend: str) -> None:
    """One user's run is cancelled, another's is ended by SIGTERM."""
    with running(*STRICT, "-m", "tests.embedding.bot", backend, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def say(line: str) -> None:
            assert process.stdin is not None
            print(line, file=process.stdin, flush=True)

        say("ann hi")
        assert process.stdout.readline() == "ann: Hello, browser.\n"
        say("ann work")
        first = descendants_at_work(process.pid)
        say("bob hi")
        assert process.stdout.readline() == "bob: Hello, browser.\n"
        say("ann /stop")
        assert process.stdout.readline() == "ann: Stopped.\n"
        assert all_end(first, within=0)
        say("ann hi")
        assert process.stdout.readline() == "ann: Hello, browser.\n"
        say("bob work")
        second = descendants_at_work(process.pid)
        process.terminate()
        process.wait(GUARD)
        assert all_end(second, within=0)
        assert process.stderr is not None
        assert (process.returncode, warnings_in(process.stderr.read())) == (0, "")
