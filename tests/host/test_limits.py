"""What a host holds at most, and what it lets go of."""

import math
import os
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.host.hosting import check_log, everything, hosting, scripted, told
from tests.waiting import until_blocked

import tether
from tether import Agent, AgentEnd, ToolContext, UsageError, tool
from tether.host import Conversation, EndedError, FolderStore, LimitReachedError
from tether.testing import Backend, Pause, ScriptedModel, call, virtual_clock


async def test_more_conversations_than_may_be_held_are_an_error() -> None:
    async with hosting("Hello.", max_conversations=2) as host:
        await host.conversation("one")
        await host.conversation("two")
        with pytest.raises(LimitReachedError, match="2 conversations") as caught:
            await host.conversation("three")
        assert caught.value.limit == "conversations"
        await host.conversation("one")
        await host.delete("one")
        await told(await host.conversation("three"), "hi")


async def test_one_at_rest_makes_room_for_another(tmp_path: Path) -> None:
    reached = anyio.Event()
    store = FolderStore(tmp_path)
    async with hosting(["Hm", Pause(reached=reached)], max_conversations=2, store=store) as host:
        busy = await host.conversation("busy")
        busy.say("hi")
        await reached.wait()
        resting = await host.conversation("resting")
        await host.conversation("third")
        assert (busy.ended, resting.ended) == (None, "rest")
        with pytest.raises(EndedError, match=r"host.conversation"):
            resting.say("hi")
        async with (await host.conversation("resting")).follow():
            with pytest.raises(LimitReachedError):
                await host.conversation("fourth")


async def test_more_runs_than_may_go_at_once_are_an_error() -> None:
    async with hosting(["Hm", Pause()], "Hello.", max_runs=2) as host:
        talks = [await host.conversation() for _ in range(3)]
        talks[0].say("hi")
        talks[1].say("hi")
        with pytest.raises(LimitReachedError, match="2 runs are going") as caught:
            talks[2].say("hi")
        assert caught.value.limit == "runs"
        assert talks[2].state == "idle"
        talks[0].say("more")
        await until_blocked()
        talks[1].abort()
        await talks[1].wait_idle()
        talks[2].say("hi")
        assert host.running == 2


@tool
async def flood(count: int, context: ToolContext[Any]) -> str:
    """Report a lot."""
    for number in range(count):
        await context.update(f"{number}: {'x' * 1000}")
    return "done"


async def test_updates_of_tools_do_not_fill_a_log() -> None:
    def make(_talk: Conversation) -> Agent:
        return Agent(ScriptedModel(call("flood", count=300), "Fine."), tools=[flood])

    with anyio.fail_after(60):
        async with tether.host.open(make, max_log_bytes=50_000) as host:
            talk = await host.conversation()
            await told(talk, "go")
            assert talk._feed.log.size < 50_000
            events = await everything(talk)
            assert len(events) < 80
            assert [m.text for m in check_log(events)] == ["go", "", "done", "Fine."]


async def test_a_run_that_says_more_than_the_log_may_hold_ends_with_an_error() -> None:
    async with hosting("word " * 200, "More.", max_log_bytes=3000) as host:
        talk = await host.conversation()
        (*_, (_, end)) = await told(talk, "go")
        assert isinstance(end, AgentEnd)
        assert end.error is not None
        assert (end.stop_reason, "as many bytes" in end.error.message) == ("error", True)
        check_log(await everything(talk))
        with pytest.raises(LimitReachedError, match="fork it") as caught:
            talk.say("more")
        assert caught.value.limit == "log"
        fork = await talk.fork(talk.snapshot().items[0][0])
        assert [message.text for message in fork.agent.messages] == ["go"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_conversation_at_rest_is_let_go_of_and_comes_back(
    backend: Backend, tmp_path: Path
) -> None:
    async def program() -> None:
        make = scripted("One.", ["Two", Pause(seconds=500), "."])
        async with tether.host.open(make, store=FolderStore(tmp_path), rest_after=60) as host:
            talk = await host.conversation("one")
            await told(talk, "first")
            await anyio.sleep(50)
            talk.say("second")
            await anyio.sleep(499 + 59)
            assert host.held == [talk]
            async with talk.follow():
                await anyio.sleep(1000)
                assert host.held == [talk]
            await anyio.sleep(61)
            assert (host.held, talk.ended) == ([], "rest")
            again = await host.conversation("one", create=False)
            texts = [message.text for message in check_log(await everything(again))]
            assert texts == ["first", "One.", "second", "Two."]
            assert again.epoch != talk.epoch

    name, options = virtual_clock(backend)
    anyio.run(program, backend=name, backend_options=options)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_without_a_store_nothing_is_let_go_of(backend: Backend) -> None:
    async def program() -> None:
        async with tether.host.open(scripted("One."), rest_after=1) as host:
            talk = await host.conversation("one")
            await told(talk, "first")
            await anyio.sleep(1000)
            assert host.held == [talk]

    name, options = virtual_clock(backend)
    anyio.run(program, backend=name, backend_options=options)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_conversations": 0},
        {"max_runs": 1.5},
        {"max_log_bytes": True},
        {"rest_after": 0},
        {"rest_after": math.nan},
        {"rest_after": "a while"},
    ],
    ids=str,
)
async def test_limits_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        async with hosting(**wrong):
            pass


async def test_a_conversation_in_which_nothing_was_said_leaves_no_file(tmp_path: Path) -> None:
    async with hosting("Hello.", store=FolderStore(tmp_path)) as host:
        talk = await host.conversation("one")
        talk.title = "about nothing"
        assert [info.title for info in await host.conversations()] == ["about nothing"]
    assert os.listdir(tmp_path) == []
