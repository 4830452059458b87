"""Who watches, and what becomes of runs that nobody watches."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from tests.host.hosting import check_log, everything, hosting, scripted, told
from tests.waiting import until_blocked

import tether
from tether import AgentEnd, UsageError
from tether.host import Conversation, Host, Viewer
from tether.testing import Backend, Pause, ScriptedModel, call, virtual_clock


async def _to_the_end(viewer: Viewer) -> list[int]:
    return [number async for number, _ in viewer]


def _ends(talk: Conversation) -> list[str]:
    log = talk._feed.log
    events = [log.after(number) for number in range(log.number)]
    ends = {one[0]: one[1].stop_reason for one in events if one and isinstance(one[1], AgentEnd)}
    return list(ends.values())


async def test_a_viewer_counts_while_it_is_inside_its_loop() -> None:
    async with hosting("Hello.") as host:
        talk = await host.conversation()
        await told(talk, "hi")
        async for _ in talk.follow():
            assert talk.viewers == 1
            break
        assert talk.viewers == 0
        viewer = talk.follow()
        assert talk.viewers == 0
        await anext(viewer)
        assert talk.viewers == 1
        viewer.close()
        assert talk.viewers == 0
        async with talk.follow() as viewer:
            assert talk.viewers == 1
        assert talk.viewers == 0
        assert await _to_the_end(viewer) == []


async def test_a_viewer_that_is_cancelled_while_it_waits_has_lost_nothing() -> None:
    reached, go_on = anyio.Event(), anyio.Event()
    async with hosting(["Hello", Pause(go_on, reached=reached), " there."]) as host:
        talk = await host.conversation()
        talk.say("hi")
        await reached.wait()
        async with talk.follow(talk.number) as viewer:
            with anyio.CancelScope() as scope:
                scope.cancel()
                await anext(viewer)
            with anyio.move_on_after(0):
                await anext(viewer)
            assert talk.viewers == 1
            go_on.set()
            await talk.wait_idle()
            assert (await anext(viewer))[0] > 0
        assert [m.text for m in check_log(await everything(talk))] == ["hi", "Hello there."]


async def test_two_tasks_cannot_share_a_viewer() -> None:
    async with hosting() as host:
        viewer = (await host.conversation()).follow()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_to_the_end, viewer)
            await until_blocked()
            with pytest.raises(anyio.BusyResourceError):
                await anext(viewer)
            viewer.close()


async def test_a_viewer_that_never_reads_holds_nobody_up() -> None:
    text = "word " * 300
    async with hosting(text) as host:
        talk = await host.conversation()
        async with talk.follow() as lazy:
            talk.say("hi")
            await talk.wait_idle()
            first, last = await anext(lazy), talk.number
            assert first[0] == 1
            rest = [first[1]]
            while lazy.number < last:
                rest.append((await anext(lazy))[1])
            assert len(rest) < 20
            assert check_log(rest)[-1].text == text


@pytest.mark.parametrize("after", [-1, 5, 1.0, True, None, "1"])
async def test_a_number_that_is_not_known_is_refused(after: Any) -> None:
    async with hosting() as host:
        talk = await host.conversation()
        with pytest.raises(UsageError, match="from 0 to 0"):
            talk.follow(after)


async def test_viewers_end_with_the_host() -> None:
    async with anyio.create_task_group() as tasks:
        async with hosting("Hello.") as host:
            talk = await host.conversation()
            await told(talk, "hi")
            tasks.start_soon(_to_the_end, talk.follow())
            await until_blocked()
            assert talk.viewers == 1
        assert talk.ended == "closed"
    assert talk.viewers == 0


# Runs that nobody watches


@asynccontextmanager
async def _waiting(when_unwatched: Any) -> AsyncIterator[tuple[Host, Conversation]]:
    """A conversation whose run waits without end, and which nobody follows."""
    reached = anyio.Event()
    async with hosting(["Hm", Pause(reached=reached)], when_unwatched=when_unwatched) as host:
        talk = await host.conversation()
        talk.say("hi")
        await reached.wait()
        await until_blocked()
        yield host, talk


async def test_a_run_goes_on_unwatched() -> None:
    async with _waiting("go_on") as (_, talk):
        async with talk.follow():
            await checkpoint()
        await until_blocked()
        assert talk.state == "running"


async def test_a_run_is_ended_as_its_last_viewer_leaves() -> None:
    async with _waiting("cancel") as (_, talk):
        first, second = talk.follow(), talk.follow()
        await anext(first)
        await anext(second)
        first.close()
        await until_blocked()
        assert talk.state == "running"
        second.close()
        await talk.wait_idle()
        assert _ends(talk) == ["aborted"]
        check_log(await everything(talk))


async def test_a_viewer_that_comes_back_at_once_has_not_left() -> None:
    async with _waiting("cancel") as (_, talk):
        for _ in range(3):
            async for _event in talk.follow():
                break
        viewer = talk.follow()
        await anext(viewer)
        await until_blocked()
        assert talk.state == "running"


async def test_what_is_said_while_an_unwatched_run_is_ended_waits_for_a_viewer_to_come() -> None:
    reached = anyio.Event()

    def make(talk: Conversation) -> tether.Agent:
        async def work() -> None:
            """Work."""
            try:
                reached.set()
                await anyio.sleep_forever()
            finally:
                talk.say("second")

        return tether.Agent(ScriptedModel(call("work"), "Yes."), tools=[work])

    with anyio.fail_after(30):
        async with tether.host.open(make, when_unwatched="cancel") as host:
            talk = await host.conversation()
            async with talk.follow():
                talk.say("first")
                await reached.wait()
            await talk.wait_idle()
            assert _ends(talk) == ["aborted", "stop"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_run_has_a_time_of_grace(backend: Backend) -> None:
    async def program() -> list[str]:
        async with tether.host.open(
            scripted(["Hm", Pause()], ["Hm", Pause()]), when_unwatched=30
        ) as host:
            talk = await host.conversation()
            talk.say("nobody ever comes")
            start = anyio.current_time()
            await talk.wait_idle()
            times = [anyio.current_time() - start]
            async with talk.follow():
                talk.say("somebody watches for a while")
                await anyio.sleep(100)
                assert talk.state == "running"
            await anyio.sleep(20)
            async with talk.follow():
                await anyio.sleep(1)
            start = anyio.current_time()
            await talk.wait_idle()
            assert [*times, anyio.current_time() - start] == [pytest.approx(30)] * 2
            return _ends(talk)

    name, options = virtual_clock(backend)
    assert anyio.run(program, backend=name, backend_options=options) == ["aborted", "aborted"]


@pytest.mark.parametrize("when", ["never", -1, 0, math.nan, None, True])
async def test_what_becomes_of_runs_must_be_one_of_three(when: Any) -> None:
    with pytest.raises(UsageError, match="when_unwatched"):
        async with hosting(when_unwatched=when):
            pass
