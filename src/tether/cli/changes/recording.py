"""Take note of what tools change in files: a snapshot before each change, and the difference after it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
from attrs import evolve

from tether import Agent, Invocation, ToolResult, UserMessage
from tether.cli.changes.differences import difference
from tether.cli.changes.snapshots import Change, Snapshots, State, state_of
from tether.hooks import AroundTool, ProceedTool
from tether.opening import is_binary

__all__ = ()

_MOST_LINES: Final = 200
_LONGEST_LINE: Final = 500
_LARGEST_COMPARED: Final = 1024 * 1024


def recording(agent: Agent, snapshots: Snapshots) -> AroundTool:
    """Make the hook around tools that takes note of what tools of the kind `edit` change at their `path`.

    The lines that changed are in the `details` of a result, as `diff`.

    Args:
        agent: whose conversation the changes belong to.
        snapshots: where they are kept.

    Returns:
        The hook, for the innermost place. Calls about the same file run one after the other.
    """
    locks: dict[Path, anyio.Lock] = {}

    async def recording(invocation: Invocation, proceed: ProceedTool) -> ToolResult:
        path = _changed_path(invocation)
        if path is None:
            return await proceed(invocation)
        async with locks.setdefault(path, anyio.Lock()):
            before = await anyio.to_thread.run_sync(state_of, path)
            await anyio.to_thread.run_sync(snapshots.keep, before)
            made, after = _first_missing(path), before
            try:
                result = await proceed(invocation)
            finally:
                # Without a wait: also what a call has changed that was cancelled is known.
                after = state_of(path)
                if after.digest != before.digest:
                    snapshots.record(
                        Change(
                            request=_last_request(agent),
                            path=str(path),
                            before=before.digest,
                            after=after.digest,
                            made=None if made is None else str(made),
                        )
                    )
            return await anyio.to_thread.run_sync(_with_difference, result, before, after)

    return recording


def _changed_path(invocation: Invocation) -> Path | None:
    path = invocation.call.arguments.get("path")
    if invocation.tool.kind != "edit" or not isinstance(path, str):
        return None
    try:
        return Path(path).resolve()
    except (OSError, ValueError, RuntimeError):
        return None


def _first_missing(path: Path) -> Path | None:
    """Find the topmost folder that has to be made for a file."""
    missing = [folder for folder in path.parents if not folder.exists()]
    return missing[-1] if missing else None


def _last_request(agent: Agent) -> str:
    requests = (m.id for m in reversed(agent.messages) if isinstance(m, UserMessage))
    return next(requests, "")


def _with_difference(result: ToolResult, before: State, after: State) -> ToolResult:
    if before.digest == after.digest or not isinstance(result.details, Mapping | None):
        return result
    lines = lines_of_change(before.content, after.content)
    shown = [f"{line[:_LONGEST_LINE]}{'...' * (len(line) > _LONGEST_LINE)}" for line in lines]
    if more := len(shown[_MOST_LINES:]):
        shown = [*shown[:_MOST_LINES], f"(and {more:,} more lines)"]
    return evolve(result, details={**(result.details or {}), "diff": "\n".join(shown)})


def lines_of_change(before: bytes | None, after: bytes | None) -> list[str]:
    """Compare two contents of a file; None stands for an empty one."""
    contents = (before or b"", after or b"")
    if any(is_binary(one) or len(one) > _LARGEST_COMPARED for one in contents):
        return ["(its content is not text, or too long to be compared)"]
    old, new = (one.decode(errors="replace").replace("\r\n", "\n") for one in contents)
    return difference(old, new)
