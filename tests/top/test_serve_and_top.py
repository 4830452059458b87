"""`tether serve --model offline` and `tether top` on its metrics: two commands, as a person starts them."""

from pathlib import Path

import anyio.to_thread
import pytest

import tether

pytest.importorskip("hypercorn", reason="hypercorn is not installed")
pytest.importorskip("prometheus_client", reason="needs prometheus-client")

from tests.cli.screen import terminal
from tests.cli.test_serve import serving
from tests.web.test_client import until_end

from tether.web import connect

SIZES = [("asyncio", 80, 24), ("trio", 160, 50)]


@pytest.mark.parametrize(("backend", "columns", "lines"), SIZES)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_runs_of_a_server_are_seen_as_they_happen(
    tmp_path: Path, backend: str, columns: int, lines: int
) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    with (
        serving(tmp_path, "--port", "0", "--backend", backend) as server,
        terminal(
            tmp_path,
            *("top", f"{server.url}/metrics", "--backend", backend, "--every", "0.2"),
            columns=columns,
            lines=lines,
            ready="APPROVALS",
        ) as there,
    ):
        until = there.until
        await anyio.to_thread.run_sync(until, "active 0  started 0")
        async with connect(server.link) as remote:
            talk = await remote.conversation()
            follower = talk.follow()
            await talk.say("how many lines has a.txt")
            seen: list[tether.Event] = []
            await until_end(follower, seen)
            await talk.say("run sleep 1000")
            await anyio.to_thread.run_sync(until, "waiting 1")
            await follower.aclose()
        shown = {line.split()[0]: line for line in there.lines() if line}
        assert "active 1  started 2" in shown["RUNS"]
        assert "stop 1" in shown["ENDED"]
        assert "input" in shown["TOKENS"]
        assert "output" in shown["TOKENS"]
        assert "tools active 1" in shown["FLOW"]
        assert shown["offline"].split()[1] == "3"
        assert "loop lag" in shown["FLOW"]
        there.types("t")
        await anyio.to_thread.run_sync(until, "tether_approvals_waiting")
        there.types("q")
        assert await anyio.to_thread.run_sync(there.until_gone) == 0
