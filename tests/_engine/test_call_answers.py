"""What calls are answered with that cannot run, or whose result cannot be kept."""

import math
from pathlib import Path
from typing import Any

import pytest

from tether import Agent, Text, ToolResult, ToolResultMessage, tool
from tether.hooks import HookPoint
from tether.session import Session
from tether.testing import ScriptedModel, call


class Unwritable:
    """Nothing that JSON could hold."""

    def __repr__(self) -> str:
        raise RuntimeError("no text")


HOLDS_ITSELF: list[Any] = []
HOLDS_ITSELF.append(HOLDS_ITSELF)
NO_OUTCOME: Any = "splendid"
NO_TEXT: Any = 3

BAD_RESULTS = {
    "details": ToolResult("ok", details={"x": Unwritable()}),
    "a number that JSON has not": ToolResult("ok", details=math.nan),
    "keys": ToolResult("ok", details={1: 2}),
    "a circle": ToolResult("ok", details=HOLDS_ITSELF),
    "an outcome": ToolResult("ok", outcome=NO_OUTCOME),
    "a text": ToolResult(Text(NO_TEXT)),
}


@pytest.mark.parametrize("source", ["tool", "after_tool", "around_tool"])
@pytest.mark.parametrize("bad", BAD_RESULTS.values(), ids=BAD_RESULTS)
async def test_a_result_that_cannot_be_kept_is_an_error_result(
    bad: Any, source: str, tmp_path: Path
) -> None:
    @tool
    async def look() -> Any:
        """Look."""
        return bad if source == "tool" else "fine"

    with Session.open(tmp_path / "log") as session:
        agent = Agent(ScriptedModel(call("look"), "I see."), tools=[look], session=session)
        if source != "tool":
            result = bad if isinstance(bad, ToolResult) else ToolResult(bad)
            point: HookPoint = "after_tool" if source == "after_tool" else "around_tool"
            agent.hooks.add(point, lambda *_: result if point == "after_tool" else done(result))
        assert (await agent.prompt("go")).text == "I see."
        answer = agent.messages[2]
        assert isinstance(answer, ToolResultMessage)
        assert answer.outcome == "error"
        assert "cannot be kept" in answer.text
        assert session.messages == agent.messages


async def done(result: ToolResult) -> ToolResult:
    return result


async def test_a_bad_result_does_not_end_the_run() -> None:
    @tool
    async def finish() -> ToolResult:
        """Finish."""
        return ToolResult("done", details=object(), terminate=True)

    agent = Agent(ScriptedModel(call("finish"), "It failed."), tools=[finish])
    assert (await agent.prompt("go")).text == "It failed."


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("read_fil", "read_file"),
        ("READ_FILE", "read_file"),
        ("functions.read_file", "read_file"),
        ("default_api:run", "run"),
        ("run<|channel|>commentary", "run"),
        ("", None),
        ("zzz", None),
    ],
)
async def test_an_unknown_name_is_refused_with_the_closest_one(
    name: str, meant: str | None
) -> None:
    tools = [tool(name=one, description="")(done_with_it) for one in ("read_file", "run")]
    agent = Agent(ScriptedModel(call(name), "ok"), tools=tools)
    await agent.prompt("go")
    answer = agent.messages[2]
    assert isinstance(answer, ToolResultMessage)
    assert answer.outcome == "error"
    assert answer.text.startswith(f"There is no tool {name!r}.")
    assert ("Did you mean" in answer.text) == (meant is not None)
    assert f"Did you mean {meant}?" in answer.text or meant is None
    assert answer.text.endswith("There are: read_file, run.")


async def done_with_it() -> str:
    return "done"
