"""Whatever a command starts ends with it, wherever it went."""

import os
import signal
import sys
import time
from pathlib import Path

import anyio
import pytest
from tests.toolbox.commands import GUARD, run, running, shell, text

from tether import Agent, ToolResultMessage
from tether.testing import ScriptedModel, call
from tether.toolbox import supervisor
from tether.toolbox.supervised import supervised

on_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux finds processes that have left their parents"
)

NEW_GROUP = (
    f'{sys.executable} -c \'import os; os.setpgid(0, 0); os.execlp("sleep", "sleep", "{{0}}")\''
)
ESCAPES = " & ".join(
    [
        "sleep {0}",
        "nohup sleep {0}",
        "setsid sleep {0}",
        NEW_GROUP,
        "setsid -f env -i setsid -f sleep {0}",
        "(trap '' TERM HUP; setsid sleep {0})",
    ]
)
"""Six processes, four of which leave the group, one its parents and environment, too."""


def sleeping() -> str:
    """A command that no other process on this machine has."""
    return f"sleep 73.{time.monotonic_ns()}"


async def begun(mark: str, count: int) -> None:
    while len(running(mark)) < count:
        await anyio.sleep(0.05)


@on_linux
async def test_what_is_left_in_the_background_is_ended_and_named(tmp_path: Path) -> None:
    sleep = sleeping()
    all_six = f"until [ $(pgrep -xfc '{sleep}') = 6 ]; do sleep 0.05; done"
    command = f"{ESCAPES.format(sleep.removeprefix('sleep '))} & {all_six}; echo started"
    result = await run(tmp_path, command, tool=shell(tmp_path, grace=0.2))
    assert running(sleep) == []
    said = text(result)
    assert said.startswith("started\n")
    assert "[ended what was still running in the background: " in said
    assert "run_command with background=true keeps it running]" in said
    assert said.count(f"{sleep} (pid ") == 6
    assert result.details["exit_code"] == 0
    assert len(result.details["ended"]) == 6


async def test_what_ends_by_itself_just_after_the_shell_is_waited_for(tmp_path: Path) -> None:
    assert text(await run(tmp_path, "(sleep 0.05; echo late) & echo early")) == "early\nlate\n"


@on_linux
@pytest.mark.parametrize("how", ["timeout", "cancelled"])
async def test_a_command_that_is_stopped_ends_all_of_them(tmp_path: Path, how: str) -> None:
    sleep = sleeping()
    tool = shell(tmp_path, grace=0.2)
    command = ESCAPES.format(sleep.removeprefix("sleep ")) + " & wait"
    if how == "timeout":
        assert (await run(tmp_path, command, tool=tool, timeout=0.5)).outcome == "timeout"
    else:
        agent = Agent(ScriptedModel(call("run_command", command=command)), tools=[tool])
        with anyio.fail_after(GUARD):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(agent.prompt, "go")
                await begun(sleep, 6)
                tasks.cancel_scope.cancel()
        [result] = [m for m in agent.messages if isinstance(m, ToolResultMessage)]
        assert result.outcome == "interrupted"
    assert running(sleep) == []


@on_linux
async def test_they_end_with_the_program_too_however_that_ends(tmp_path: Path) -> None:
    """A program that is killed closes its end of the socket, with what it has not read, and does nothing else."""
    sleep = sleeping()
    command = f"trap '' TERM; setsid {sleep} & wait"
    async with supervised(command, tmp_path, os.environ, grace=GUARD) as process:
        with anyio.fail_after(GUARD):
            await begun(sleep, 1)
            process._orders.close()
    assert running(sleep) == []


def test_a_native_cancel_pierces_the_shield_and_ends_them_at_once(tmp_path: Path) -> None:
    import asyncio

    async def main() -> None:
        sleep = sleeping()
        command = f"trap '' TERM; setsid {sleep} & wait"
        up = asyncio.Event()

        async def use() -> None:
            async with supervised(command, tmp_path, os.environ, grace=10 * GUARD) as process:
                await begun(sleep, 1)
                up.set()
                await process.listen()

        task = asyncio.create_task(use())
        await up.wait()
        with anyio.fail_after(GUARD):
            while not task.done():
                task.cancel()
                await asyncio.sleep(0)
        assert task.cancelled()
        assert running(sleep) == []

    asyncio.run(main())


async def test_a_command_cannot_send_away_what_watches_it(tmp_path: Path) -> None:
    assert text(await run(tmp_path, "kill $PPID; kill -INT $PPID; echo done")) == "done\n"


async def test_where_what_watches_a_command_is_killed_that_is_an_error(tmp_path: Path) -> None:
    sleep = sleeping()
    with pytest.raises(ChildProcessError, match="some of its processes may be left") as raised:
        await run(tmp_path, f"echo begun; kill -9 $PPID; {sleep}")
    assert "It had printed: begun" in str(raised.value)
    assert running(sleep) == []


async def test_where_not_all_can_be_found_the_result_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on systems other than Linux. The pipe that a lost process holds keeps nobody waiting."""
    monkeypatch.setattr("tether.toolbox.supervised._reach", lambda: "group")
    sleep = sleeping()
    lost = f"{sys.executable} -c 'import os; os.fork() and os._exit(0); os.setsid(); {{}}'"
    pid = lost.format('print(os.getpid(), flush=True); os.execlp("sleep", "sleep", "73.6")')
    said = text(await run(tmp_path, f"{sleep} & {pid}; sleep 0.1"))
    os.kill(int(said.split()[0]), signal.SIGKILL)
    assert "a process that has left the command's process group still runs" in said
    assert f"{sleep} (pid " in said
    assert running(sleep) == []


@on_linux
def test_where_there_is_no_proc_ps_tells_the_same() -> None:
    """As on other systems. Processes come and go between two looks: the test's own stay."""
    this, above = os.getpid(), os.getppid()
    ours = [row for row in supervisor._processes() if row[0] in {this, above}]
    assert (this, above, os.getpgid(this)) in ours
    told = [row for row in supervisor._processes_by_ps() if row[0] in {this, above}]
    assert sorted(told) == sorted(ours)


async def test_a_flood_from_a_process_that_cannot_be_found_comes_to_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tether.toolbox.supervised._reach", lambda: "group")
    flood = "import os, time; os.fork() and os._exit(0); os.setsid()\n"
    flood += "print(os.getpid(), flush=True)\nwhile True: print('flood')"
    (tmp_path / "flood.py").write_text(flood)
    said = text(await run(tmp_path, f"{sys.executable} flood.py; sleep 0.1"))
    os.kill(int(said.split()[0]), signal.SIGKILL)
    assert "still runs: this system cannot find it" in said
