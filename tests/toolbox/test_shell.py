"""Commands: real processes, none of which is left behind."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

import anyio
import pytest
from tests.toolbox.commands import GUARD, run, running, shell, text
from tests.waiting import until_blocked

from tether import Agent, ToolExecutionUpdate, ToolResultMessage
from tether.testing import ScriptedModel, call
from tether.toolbox.coding import changing_tools


async def test_output_and_errors_come_in_order_with_the_exit_code(tmp_path: Path) -> None:
    updates: list[str] = []
    result = await run(tmp_path, "echo out; echo err >&2; pwd; exit 3", updates)
    assert text(result) == f"out\nerr\n{tmp_path}\n\n[exit code 3]"
    assert "".join(updates) == f"out\nerr\n{tmp_path}\n"
    assert (result.outcome, result.details) == ("ok", {"exit_code": 3})


async def test_updates_are_whole_lines_and_the_beginning_of_one_that_goes_no_further(
    tmp_path: Path,
) -> None:
    class Answering(list[str]):
        def extend(self, texts: Iterable[str]) -> None:
            super().extend(texts)
            if self[-1].endswith("name? "):
                (tmp_path / "asked").touch()

    updates = Answering()
    wait = "until [ -e asked ]; do sleep 0.01; done"
    await run(tmp_path, f"seq 20000; printf 'name? '; {wait}; echo you", updates)
    said = "".join(updates)
    assert said.startswith("1\n2\n")
    assert said.endswith("20000\nname? you\n")
    assert updates[-2:] == ["name? ", "you\n"]
    assert len(updates) > 4


async def test_there_is_no_standard_input(tmp_path: Path) -> None:
    assert text(await run(tmp_path, "cat; echo done")) == "done\n"


async def test_long_output_is_kept_at_both_ends(tmp_path: Path) -> None:
    said = text(await run(tmp_path, "seq 100000"))
    assert len(said) < 40_000
    assert said.startswith("1\n2\n")
    assert said.endswith("99999\n100000\n")
    assert "characters left out; to see them, run the command again" in said


async def test_a_timeout_ends_the_command_and_its_children(tmp_path: Path) -> None:
    sleep = f"sleep 71.{time.monotonic_ns()}"
    result = await run(tmp_path, f"echo begun; {sleep} & {sleep}", timeout=3)
    assert (text(result), result.outcome) == ("begun\n\n[stopped after 3 s]", "timeout")
    assert running(sleep) == []


async def test_what_a_command_says_while_it_is_stopped_is_part_of_its_output(
    tmp_path: Path,
) -> None:
    command = "trap 'echo cleaned up; exit' TERM; echo begun; while :; do sleep 0.02; done"
    result = await run(tmp_path, command, timeout=3)
    assert text(result).startswith("begun\n")
    assert text(result).endswith("cleaned up\n\n[stopped after 3 s]")


async def test_a_command_that_is_too_long_for_a_shell_says_so(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="150,000 bytes is too long for a shell: put it into a file"
    ):
        await run(tmp_path, "#" * 150_000)


async def test_a_folder_that_was_deleted_is_an_error(tmp_path: Path) -> None:
    tool = shell(tmp_path)
    await anyio.Path(tmp_path).rmdir()
    with pytest.raises(FileNotFoundError):
        await run(tmp_path, "true", tool=tool)


STUBBORN = (
    "trap '' TERM; (trap '' TERM; while :; do sleep 0.05; done; : mark-{0}) & "
    "while :; do sleep 0.05; done; : mark-{0}"
)


@pytest.mark.parametrize("twice", [False, True])
async def test_a_cancelled_command_is_gone_with_all_that_ignores_it(
    tmp_path: Path, twice: bool
) -> None:
    mark = f"{os.getpid()}-{twice}-{time.monotonic_ns()}"
    agent = Agent(
        ScriptedModel(call("run_command", command=STUBBORN.format(mark))),
        tools=[shell(tmp_path, grace=0.3)],
    )
    with anyio.fail_after(GUARD), anyio.CancelScope() as outer:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(agent.prompt, "go")
            while not running(f"mark-{mark}"):
                await anyio.sleep(0.02)
            tasks.cancel_scope.cancel()
            if twice:
                outer.cancel()
    assert running(f"mark-{mark}") == []
    [result] = [m for m in agent.messages if isinstance(m, ToolResultMessage)]
    assert result.outcome == "interrupted"


async def test_processes_that_end_when_asked_are_not_waited_for_any_longer(tmp_path: Path) -> None:
    """Also those whose shell ends before them, and of whose end nobody may take note for a while."""
    agent = Agent(
        ScriptedModel(call("run_command", command="sleep 1000 & sleep 1000 & echo up; wait")),
        tools=[shell(tmp_path, grace=60)],
    )
    with anyio.fail_after(GUARD):
        async with agent.run("go") as run:
            async for event in run:
                if isinstance(event, ToolExecutionUpdate):
                    break
    [result] = [m for m in agent.messages if isinstance(m, ToolResultMessage)]
    assert result.outcome == "interrupted"


async def test_a_flood_is_held_up_by_a_slow_consumer(tmp_path: Path) -> None:
    agent = Agent(
        ScriptedModel(call("run_command", command="yes", timeout=60)),
        tools=changing_tools(tmp_path),
    )
    updates = 0
    with anyio.fail_after(GUARD):
        async with agent.run("go", max_buffer_size=2) as run:
            async for event in run:
                if isinstance(event, ToolExecutionUpdate):
                    updates += 1
                    await until_blocked()
                    assert run.statistics().current_buffer_used <= 2
                    if updates == 20:
                        break
    assert running(" yes") == [] or updates == 20


def test_a_native_cancel_again_and_again_leaves_nothing(tmp_path: Path) -> None:
    import asyncio

    mark = f"native-{time.monotonic_ns()}"

    async def main() -> None:
        agent = Agent(
            ScriptedModel(call("run_command", command=STUBBORN.format(mark))),
            tools=[shell(tmp_path, grace=0.5)],
        )
        task = asyncio.create_task(agent.prompt("go"))
        async with asyncio.timeout(GUARD):
            while not running(f"mark-{mark}"):
                await asyncio.sleep(0.02)
        while not task.done():
            task.cancel()
            await asyncio.sleep(0.01)
        assert task.cancelled()

    asyncio.run(main())
    assert running(f"mark-{mark}") == []
