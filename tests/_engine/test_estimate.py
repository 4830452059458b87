"""What a reply has used is known also where it ends before its provider has counted."""

from typing import Any

import anyio
import pytest
from tests.waiting import until_blocked

from tether import (
    Agent,
    AgentEnd,
    AssistantMessage,
    Image,
    Limits,
    ModelError,
    TextDelta,
    Usage,
    UserMessage,
    tool,
)
from tether._engine.estimate import SentRequest, usage_so_far
from tether.deltas import ReplyInfo, ToolCallDelta, ToolCallStart
from tether.model import ModelRequest, ToolSpec
from tether.testing import Part, Pause, ScriptedModel, call

GUARD = 60
LONG = "a long question " * 40


async def cut_off(agent: Agent, how: str) -> AssistantMessage:
    """Have a reply cut off once it has come to its pause."""
    with anyio.CancelScope() as scope:
        async with agent.run(LONG) as run:
            await until_blocked()
            match how:
                case "abort":
                    run.abort()
                case "steer":
                    run.steer("Stop.", interrupt=True)
                case _:
                    scope.cancel()
            await run.result()
    reply = agent.messages[1]
    assert isinstance(reply, AssistantMessage)
    return reply


@pytest.mark.parametrize("how", ["abort", "steer", "cancel"])
async def test_a_reply_that_is_cut_off_is_estimated(how: str) -> None:
    agent = Agent(ScriptedModel(["word " * 20, Pause()], "Fine."))
    reply = await cut_off(agent, how)
    assert reply.usage.estimated
    assert 100 < reply.usage.input_tokens < 300
    assert reply.usage.output_tokens == 25


async def test_what_was_reported_counts_where_it_is_more() -> None:
    reported = Usage(input_tokens=1000, output_tokens=90, cache_read_tokens=800)
    agent = Agent(ScriptedModel([ReplyInfo(usage=reported), "word " * 20, Pause()]))
    assert (await cut_off(agent, "abort")).usage == reported


async def test_what_was_reported_early_is_less_than_what_arrived() -> None:
    early = Usage(input_tokens=1000, output_tokens=1, cache_read_tokens=800)
    agent = Agent(ScriptedModel([ReplyInfo(usage=early), "word " * 20, Pause()]))
    usage = (await cut_off(agent, "abort")).usage
    assert usage == Usage(
        input_tokens=1000, output_tokens=25, cache_read_tokens=800, estimated=True
    )


async def test_a_call_that_was_still_arriving_counts() -> None:
    parts: list[Part] = [ToolCallStart("c", "write", 0), ToolCallDelta("x" * 400, 0), Pause()]
    assert (await cut_off(Agent(ScriptedModel(parts)), "abort")).usage.output_tokens == 100


async def test_before_anything_arrives_it_is_the_request() -> None:
    usage = (await cut_off(Agent(ScriptedModel([Pause()])), "abort")).usage
    assert usage.estimated
    assert usage.input_tokens > 100
    assert usage.output_tokens == 0


async def test_a_request_that_was_refused_has_used_nothing() -> None:
    agent = Agent(ScriptedModel(ModelError("no", kind="invalid_request")))
    with pytest.raises(ModelError):
        await agent.prompt(LONG)
    reply = agent.messages[1]
    assert isinstance(reply, AssistantMessage)
    assert reply.usage == Usage()


async def test_a_reply_that_broke_off_is_estimated() -> None:
    agent = Agent(ScriptedModel([TextDelta("word " * 20), ModelError("gone", kind="connection")]))
    events: list[Any] = []
    with pytest.raises(ModelError):
        async with agent.run(LONG) as run:
            async for event in run:
                events.append(event)
    assert isinstance(events[-1], AgentEnd)
    assert events[-1].usage == run.usage
    assert run.usage.estimated
    assert run.usage.output_tokens == 25


async def test_limits_of_tokens_bind_on_what_was_cut_off() -> None:
    agent = Agent(ScriptedModel(["word " * 20, Pause()], "Never."), limits=Limits(output_tokens=20))
    async with agent.run("go") as run:
        await until_blocked()
        run.steer("Go on.", interrupt=True)
        result = await run.result()
    assert (result.stop_reason, result.limit) == ("limit", "output_tokens")
    assert [message.text for message in result.undelivered] == ["Go on."]


async def test_a_run_counts_while_a_reply_arrives() -> None:
    @tool
    async def look() -> str:
        """Look."""
        return "seen"

    more = anyio.Event()
    counted = Usage(input_tokens=7, output_tokens=3)
    first: list[Part] = [call("look"), ReplyInfo(usage=counted)]
    second: list[Part] = ["word " * 20, Pause(more), ReplyInfo(usage=counted)]
    with anyio.fail_after(GUARD):
        async with Agent(ScriptedModel(first, second), tools=[look]).run(LONG) as run:
            assert run.usage == Usage()
            await until_blocked()
            assert run.usage.estimated
            assert run.usage.input_tokens > 100 + counted.input_tokens
            assert run.usage.output_tokens == 25 + counted.output_tokens
            more.set()
            await run.result()
    assert run.usage == counted + counted


def test_all_that_is_sent_counts() -> None:
    request = ModelRequest(
        messages=[
            UserMessage(["x" * 40, Image(b"pixels")]),
            AssistantMessage([call("look", at="x" * 36)]),
        ],
        system="x" * 400,
        tools=[ToolSpec("look", "x" * 4000, {"type": "object"})],
    )
    assert 10 + 1000 + 10 + 100 + 1000 < SentRequest(request).tokens < 2150


def test_a_request_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = SentRequest(ModelRequest(messages=[UserMessage("x" * 40)]))
    tokens = sent.tokens
    monkeypatch.setattr("tether._engine.estimate._tokens", None)
    assert sent.tokens == tokens == 10


def test_nothing_that_was_written_by_others_breaks_it() -> None:
    strange: Any = object()
    request = ModelRequest(messages=[AssistantMessage(["\ud800", call("x", y=strange)])])
    assert SentRequest(request).tokens > 0
    assert usage_so_far(5, AssistantMessage("")) == Usage(input_tokens=5, estimated=True)
