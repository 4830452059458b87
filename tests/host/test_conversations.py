"""Conversations in a host: said to, followed, kept, listed, forked, deleted."""

import os
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.host.hosting import check_log, everything, hosting, scripted, told

import tether
from tether import Agent, AgentEnd, Event, MessageUpdate, UsageError
from tether.host import Conversation, FolderStore, NotFoundError
from tether.testing import Pause, ScriptedModel


async def test_what_is_said_starts_a_run_and_its_events_are_numbered() -> None:
    async with hosting("Hello there.") as host:
        talk = await host.conversation("one")
        seen = await told(talk, "hi")
        numbers = [number for number, _ in seen]
        assert numbers == sorted(set(numbers))
        assert (numbers[0], numbers[-1]) == (1, talk.number)
        messages = check_log([event for _, event in seen])
        assert [message.text for message in messages] == ["hi", "Hello there."]
        assert (talk.state, talk.title, talk.viewers) == ("idle", "hi", 0)


async def test_a_late_viewer_gets_the_short_form_of_the_same() -> None:
    async with hosting("one two three four five") as host:
        talk = await host.conversation("one")
        seen = [event for _, event in await told(talk, "hi")]
        late = await everything(talk)
        updates = [event.text for event in late if isinstance(event, MessageUpdate) and event.text]
        assert updates == ["one two three four five"]
        assert len(late) < len(seen)
        assert check_log(late) == check_log(seen)


async def test_what_is_said_meanwhile_steers_the_run() -> None:
    reached = anyio.Event()
    async with hosting(["Hm", Pause(reached=reached)], "Yes.") as host:
        talk = await host.conversation()
        talk.say("first")
        await reached.wait()
        talk.say("second", when="interrupt")
        await talk.wait_idle()
        texts = [message.text for message in talk.agent.messages]
        assert texts == ["first", "Hm", "second", "Yes."]
        check_log(await everything(talk))


@pytest.mark.parametrize("when", ["steer", "interrupt", "follow_up"])
@pytest.mark.parametrize("last", [tether.MessageEnd, tether.TurnEnd, AgentEnd])
async def test_what_is_said_as_a_run_ends_is_answered(when: Any, last: type[Event]) -> None:
    async with hosting("one", "two") as host:
        talk = await host.conversation()
        talk.say("first")
        async for _, event in talk.follow():
            if (
                isinstance(event, last)
                and getattr(event, "message", None) != talk.agent.messages[0]
            ):
                break
        talk.say("second", when=when)
        await talk.wait_idle()
        messages = check_log(await everything(talk))
        assert [message.text for message in messages] == ["first", "one", "second", "two"]
        assert talk.queued == ()


async def test_what_is_said_after_an_abort_starts_a_run_of_its_own() -> None:
    reached = anyio.Event()
    async with hosting(["Hm", Pause(reached=reached)], "Yes.") as host:
        talk = await host.conversation()
        talk.say("first")
        await reached.wait()
        talk.abort()
        talk.say("second")
        await talk.wait_idle()
        events = await everything(talk)
        reasons = [event.stop_reason for event in events if isinstance(event, AgentEnd)]
        assert reasons == ["aborted", "stop"]
        assert [message.text for message in check_log(events)] == ["first", "Hm", "second", "Yes."]


async def test_a_conversation_comes_back_from_the_store(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    async with hosting("Hello there.", store=store) as host:
        talk = await host.conversation("One", owner="ann")
        await told(talk, "hi")
        talk.title = "a title"
        kept, epoch = talk.agent.messages, talk.epoch
    assert talk.ended == "closed"
    async with hosting("More.", store=store) as host:
        (info,) = await host.conversations(owner="ann")
        assert (info.id, info.title, info.messages, info.state) == ("One", "a title", 2, "idle")
        talk = await host.conversation("One", owner="ann", create=False)
        assert talk.title == "a title"
        assert talk.epoch != epoch
        assert check_log(await everything(talk)) == list(kept)
        await told(talk, "more")
        assert [m.text for m in check_log(await everything(talk))] == [
            *("hi", "Hello there."),
            *("more", "More."),
        ]


async def test_owners_meet_no_conversations_but_their_own(tmp_path: Path) -> None:
    async with hosting("Ann's.", "Bob's.", store=FolderStore(tmp_path)) as host:
        anns = await host.conversation("same", owner="ann")
        await told(anns, "hi")
        with pytest.raises(NotFoundError):
            await host.conversation("same", owner="bob", create=False)
        with pytest.raises(NotFoundError):
            await host.delete("same", owner="bob")
        bobs = await host.conversation("same", owner="bob")
        assert bobs is not anns
        assert bobs.agent.messages == ()
        assert await host.conversations(owner="") == []
        assert [info.owner for info in await host.conversations(owner="ann")] == ["ann"]


async def test_a_fork_holds_the_messages_up_to_its_place(tmp_path: Path) -> None:
    async with hosting("One.", "Two.", store=FolderStore(tmp_path)) as host:
        talk = await host.conversation()
        await told(talk, "first")
        number = talk.number
        await told(talk, "second")
        ids = [id_ for id_, _ in talk.snapshot().items]
        for where, before, texts in (
            (ids[1], False, ["first", "One."]),
            (ids[2], True, ["first", "One."]),
            (number, False, ["first", "One."]),
            (ids[0], True, []),
        ):
            fork = await talk.fork(where, before=before)
            assert [message.text for message in fork.agent.messages] == texts
            assert fork.title == "first (copy)"
        with pytest.raises(NotFoundError):
            await talk.fork("no such")
        assert len(talk.agent.messages) == 4


async def test_a_deleted_conversation_ends_its_run_and_its_viewers(tmp_path: Path) -> None:
    reached = anyio.Event()
    async with hosting(["Hm", Pause(reached=reached)], store=FolderStore(tmp_path)) as host:
        talk = await host.conversation("one")
        talk.say("hi")
        await reached.wait()
        viewer = talk.follow(talk.number)
        async with anyio.create_task_group() as tasks:

            async def follow() -> None:
                async for _ in viewer:
                    pass

            tasks.start_soon(follow)
            await host.delete("one")
        assert talk.ended == "deleted"
        assert os.listdir(tmp_path) == []
        with pytest.raises(UsageError, match="was deleted"):
            talk.say("more")
        with pytest.raises(NotFoundError):
            await host.conversation("one", create=False)


async def test_a_conversation_that_is_deleted_while_it_is_asked_for_is_made_anew() -> None:
    async with hosting("Hello.") as host:
        first, got = await host.conversation("one"), list[Conversation]()

        async def ask() -> None:
            got.append(await host.conversation("one"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            tasks.start_soon(host.delete, "one")
            tasks.start_soon(ask)
        assert first.ended == "deleted"
        assert all(isinstance(talk, Conversation) for talk in got)
        assert (await host.conversation("one")).ended is None


async def test_an_agent_that_cannot_be_made_is_an_error_and_the_host_lives_on() -> None:
    def make(talk: Conversation) -> Agent:
        if talk.id == "bad":
            raise RuntimeError("no agent today")
        return scripted("Hello.")(talk)

    with anyio.fail_after(30):
        async with tether.host.open(make) as host:
            with pytest.raises(RuntimeError, match="no agent today"):
                await host.conversation("bad")
            await told(await host.conversation("good"), "hi")


async def test_a_run_that_fails_ends_with_an_error_and_the_conversation_goes_on() -> None:
    def broken(_event: object) -> None:
        raise RuntimeError("a hook failed")

    async with hosting("One.", "Two.") as host:
        talk = await host.conversation()
        unsubscribe = talk.agent.subscribe(broken)
        events = [event for _, event in await told(talk, "hi")]
        assert isinstance(events[-1], AgentEnd)
        assert events[-1].stop_reason == "error"
        check_log(events)
        unsubscribe()
        await told(talk, "again")
        assert [message.text for message in check_log(await everything(talk))][-2:] == [
            "again",
            "One.",
        ]


async def test_a_shared_agent_is_refused() -> None:
    agent = Agent(ScriptedModel("Hello."))
    with anyio.fail_after(30):
        async with tether.host.open(lambda _: agent) as host:
            await host.conversation("one")
            with pytest.raises(UsageError, match="a new agent for each"):
                await host.conversation("two")
