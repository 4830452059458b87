"""Many conversations with several viewers each on one host."""

import gc
import tracemalloc
from collections import defaultdict
from collections.abc import Callable

import anyio
import pytest
from tests.host.hosting import check_log, hosting
from tests.waiting import until_blocked

from tether import AgentEnd, Event
from tether.host import Conversation
from tether.testing import Backend

TEXTS = ["one two", "three"]


# Without the debug mode of asyncio, which takes most of the time where there are thousands of steps.
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_two_hundred_conversations_with_three_viewers_each_lose_nothing(backend: Backend) -> None:
    """One viewer leaves after each event and comes back, one reads all, one comes when all is over."""
    seen = anyio.run(_seen_by_three_viewers, backend=backend)
    assert len(seen) == 3 * 200
    said = ["next", TEXTS[0], "next", TEXTS[1]]
    for events in seen.values():
        assert [message.text for message in check_log(events)] == said


async def _seen_by_three_viewers() -> dict[tuple[str, str], list[Event]]:
    seen: dict[tuple[str, str], list[Event]] = defaultdict(list)

    async def follow(talk: Conversation, name: str, stay: int) -> None:
        mine, number, ends = seen[talk.id, name], 0, 0
        while ends < len(TEXTS):
            async with talk.follow(number) as viewer:
                for _ in range(stay):
                    number, event = await anext(viewer)
                    mine.append(event)
                    ends += isinstance(event, AgentEnd)
                    if ends == len(TEXTS):
                        break

    async def converse(talk: Conversation) -> None:
        async with anyio.create_task_group() as viewers:
            viewers.start_soon(follow, talk, "leaves", 1)
            viewers.start_soon(follow, talk, "stays", 10_000)
            for _ in TEXTS:
                talk.say("next")
                await talk.wait_idle()
        await follow(talk, "late", 10_000)

    async with hosting(*TEXTS, max_runs=200) as host:
        talks = [await host.conversation() for _ in range(200)]
        async with anyio.create_task_group() as tasks:
            for talk in talks:
                tasks.start_soon(converse, talk)
    return seen


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_viewer_takes_little_memory(backend: Backend, tell: Callable[[str], None]) -> None:
    """Measured with the task that it waits in: it has no buffer of its own, however far it is behind."""
    each = anyio.run(_memory_of_a_viewer, 300, backend=backend)
    tell(f"memory of a viewer with its task on {backend}: {each:,.0f} bytes")
    assert each < 50_000


async def _memory_of_a_viewer(count: int) -> float:
    async with hosting("Hello there.") as host:
        talk = await host.conversation()
        async with anyio.create_task_group() as tasks:

            async def watch() -> None:
                async for _ in talk.follow():
                    pass

            gc.collect()
            tracemalloc.start()
            try:
                before, _ = tracemalloc.get_traced_memory()
                for _ in range(count):
                    tasks.start_soon(watch)
                await until_blocked()
                waiting, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert talk.viewers == count
            talk.say("go")
            await talk.wait_idle()
            tasks.cancel_scope.cancel()
    return (waiting - before) / count
