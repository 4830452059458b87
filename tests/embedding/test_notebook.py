"""Cells of a notebook, in a kernel: they await, are interrupted, run again, and leave no process."""

import shutil

import pytest
from tests.embedding.processes import GUARD, all_end, pids_in, running

pytestmark = pytest.mark.skipif(shutil.which("sleep") is None, reason="there is no command `sleep`")
pytest.importorskip("ipykernel", reason="ipykernel is not installed")

SET_UP = """
import asyncio, signal
asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: None)
from tests.embedding.agents import new_agent
from tether import blocking
agent = new_agent()
def show(event):
    if event.type == "tool_execution_update":
        print(event.content[0].text.strip(), flush=True)
"""
AWAITED = 'print((await agent.prompt("hi")).text)'
STREAMED = """
async with agent.run({!r}) as run:
    async for event in run:
        show(event)
print((await run.result()).text)
"""
BLOCKED = """
with blocking.run(agent, {!r}) as run:
    for event in run:
        show(event)
    print(run.result().text)
"""


def test_cells_await_are_interrupted_and_run_again() -> None:
    cells = [
        SET_UP,
        AWAITED,
        STREAMED.format("hi"),
        STREAMED.format("work"),
        STREAMED.format("hi"),
        BLOCKED.format("work"),
        BLOCKED.format("hi"),
        AWAITED,
    ]
    with running("-m", "tests.embedding.notebook", *cells) as process:
        out, err = process.communicate(timeout=6 * GUARD)
    said = out.splitlines()
    assert len(said) == 9, err
    hello = "Hello, browser."
    assert said[:2] == [hello, hello]
    assert said[3:5] == ["CancelledError", hello]
    assert said[6:] == ["KeyboardInterrupt", hello, hello]
    pids = [*pids_in(said[2]), *pids_in(said[5])]
    assert len(pids) == 4
    assert all_end(pids, within=0)
