"""Run commands as a model does, and look which of their processes are left."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import anyio
import pytest

from tether import Tool, ToolContext, ToolExecutionUpdate, ToolResult
from tether.events import CallEvent
from tether.toolbox.confinement import Root
from tether.toolbox.shell import command_tool

if shutil.which("ps") is None:
    pytest.skip(
        "ps is not installed: nobody could tell which processes are left", allow_module_level=True
    )

GUARD = 60
"""Far more seconds than anything here takes, also on a busy machine."""


def shell(folder: Path, **options: Any) -> Tool:
    return command_tool(Root(folder), **options)


async def run(
    folder: Path,
    command: str,
    updates: list[str] | None = None,
    *,
    tool: Tool | None = None,
    **arguments: Any,
) -> ToolResult:
    async def report(update: CallEvent) -> None:
        if updates is not None and isinstance(update, ToolExecutionUpdate):
            updates.extend(block.text for block in update.content)  # type: ignore[union-attr]  # it is text

    context: ToolContext[Any] = ToolContext(
        call_id="c", name="run_command", deps=None, report=report, spend=lambda *_: None
    )
    with anyio.fail_after(GUARD):
        result = await (tool or shell(folder))(command=command, context=context, **arguments)
    assert isinstance(result, ToolResult)
    return result


def text(result: Any) -> str:
    return "".join(getattr(block, "text", "") for block in result.content)


def running(mark: str) -> list[str]:
    """Processes that hold a mark and are more than zombies."""
    listed = subprocess.run(
        ["ps", "-eww", "-o", "stat=,args="], capture_output=True, text=True, check=True
    ).stdout
    return [line for line in listed.splitlines() if mark in line and not line.startswith("Z")]
