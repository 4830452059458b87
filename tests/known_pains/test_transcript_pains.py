"""What users of other agent libraries ran into with transcripts.

Each docstring names the symptom, and where it was reported.
"""

from collections.abc import Callable, Sequence
from typing import Any

import anyio
import pytest
from tests.known_pains.hang_and_done import GUARD, done, hang, results
from tests.waiting import until_blocked

from tether import (
    Agent,
    AssistantMessage,
    Deny,
    Invocation,
    MessageUpdate,
    TextDelta,
    ToolExecutionEnd,
    to_json,
    tool,
)
from tether.deltas import ToolCallDelta, ToolCallStart
from tether.testing import Part, Pause, ScriptedModel, call, check_transcript


class TestTranscripts:
    @pytest.mark.parametrize("finished", [0, 1, 2])
    async def test_keep_the_results_there_are_when_cancelled(self, finished: int) -> None:
        """A cancellation in the first tool makes the history unresumable (pydantic-ai#7977); finished siblings' results
        are lost when one stalls (earendil-works/pi#7053)."""
        calls = [call("done")] * finished + [call("hang")] * (3 - finished)
        agent = Agent(ScriptedModel(calls, "Gone on."), tools=[done, hang])
        with anyio.fail_after(GUARD), anyio.CancelScope() as scope:
            async with agent.run("go"):
                await until_blocked()
                scope.cancel()
                await anyio.lowlevel.checkpoint()
        assert [result.outcome for result in results(agent)] == ["ok"] * finished + [
            "interrupted"
        ] * (3 - finished)
        assert [r.text for r in results(agent)[:finished]] == ["real"] * finished
        check_transcript(agent.messages)
        assert (await agent.prompt("Go on.")).text == "Gone on."

    async def test_tell_what_did_not_run_from_what_may_have_run(self) -> None:
        """The model is told that a tool "did not run" though it ran (anthropics/claude-code#86001)."""

        @tool
        async def fail() -> None:
            """Fail."""
            raise ValueError("no luck")

        agent = Agent(
            ScriptedModel([call(name) for name in ("done", "fail", "denied", "hang")]),
            tools=[done, fail, hang, tool(name="denied")(done.function)],
        )
        agent.hooks.add("before_tool", _deny_the_denied)
        seen: dict[str, str] = {}
        with anyio.fail_after(GUARD):
            async with agent.run("go") as run:
                async for event in run:
                    match event:
                        case ToolExecutionEnd(name=name, result=result):
                            seen[name] = result.outcome
                            if len(seen) == 3:
                                await until_blocked()
                                agent.abort()
        assert seen == {
            "done": "ok",
            "fail": "error",
            "denied": "denied",
            "hang": "interrupted",
        }
        assert [r.outcome for r in results(agent)] == ["ok", "error", "denied", "interrupted"]
        texts = [result.text for result in results(agent)]
        assert len(set(texts)) == 4
        assert "may have run" in texts[3]

    @pytest.mark.parametrize("count", [0, 1, 7])
    async def test_hold_what_was_on_the_screen_when_it_was_stopped(self, count: int) -> None:
        """Text on the screen is forgotten after Stop (openai/codex#2943)."""
        deltas: list[Part] = [TextDelta(f"{number} ") for number in range(count)]
        stop = anyio.Event()
        agent = Agent(ScriptedModel([*deltas, Pause(reached=stop)]))
        seen = ""
        with anyio.fail_after(GUARD), anyio.CancelScope() as scope:
            async with agent.run("go") as run:
                await stop.wait()
                await until_blocked()
                with anyio.move_on_after(0):
                    async for event in run:
                        match event:
                            case MessageUpdate(delta=TextDelta(text)):
                                seen += text
                scope.cancel()
                await anyio.lowlevel.checkpoint()
        last = agent.messages[-1]
        assert isinstance(last, AssistantMessage)
        assert last.stop_reason == "aborted"
        assert last.text == "".join(f"{number} " for number in range(count))
        assert last.text.startswith(seen)

    async def test_never_replay_a_call_that_was_cut_off(self) -> None:
        """Cut-off arguments are sent back as a call, and refused for good (smolagents#1569)."""
        reply: list[Part] = [
            ToolCallStart("c", "done", 0),
            ToolCallDelta('{"path": "/', 0),
            Pause(),
        ]
        model = ScriptedModel(reply, "Gone on.")
        agent = Agent(model, tools=[done])
        async with agent.run("go") as run:
            async for event in run:
                if isinstance(event, MessageUpdate) and isinstance(event.delta, ToolCallDelta):
                    break
        assert results(agent) == []
        await agent.prompt("Go on.")
        sent = model.requests[-1].messages
        assert not any(m.tool_calls for m in sent if isinstance(m, AssistantMessage))

    async def test_are_the_same_however_the_calls_finish(self) -> None:
        """Results in the order in which they finish: prompt caches miss, models mispair (vercel/ai#16567)."""
        transcripts: list[Sequence[bytes]] = []
        for order in ("abc", "cba", "bca"):
            turns = {name: anyio.Event() for name in order}

            @tool
            async def act(
                name: str, order: str = order, turns: dict[str, Any] = turns
            ) -> str:  # each loop its own
                """Act in turn."""
                place = order.index(name)
                if place:
                    await turns[order[place - 1]].wait()
                turns[name].set()
                return name

            numbers = iter(range(100))
            agent = Agent(
                ScriptedModel([call("act", name=name) for name in "abc"], "Done."),
                tools=[tool(name="act")(_only_name(act.function))],
                clock=lambda: 0.0,
                new_id=lambda numbers=numbers: str(next(numbers)),  # type: ignore[misc]  # bound now
            )
            await agent.prompt("go")
            transcripts.append([to_json(message) for message in agent.messages])
        assert transcripts[0] == transcripts[1] == transcripts[2]


def _deny_the_denied(invocation: Invocation) -> Any:
    return Deny("no") if invocation.call.name == "denied" else None


def _only_name(function: Callable[..., Any]) -> Callable[..., Any]:
    async def act(name: str) -> Any:
        return await function(name)

    return act
