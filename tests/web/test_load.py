"""Many conversations with several viewers each, on one process over HTTP."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from tests.embedding.processes import running
from tests.web.load_server import TEXT
from tests.web.test_client import until_end
from tests.web.test_native import texts

import tether
from tether.testing import check_events
from tether.web import RemoteConversation, connect

VIEWERS = 3


def memory_of(pid: int) -> int:
    """What a process holds in memory, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


def cpu_of(pid: int) -> float:
    """Seconds that a process has worked."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc")
@pytest.mark.parametrize(
    "anyio_backend", [pytest.param(("asyncio", {"debug": False}), id="client")]
)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(
    "conversations", [pytest.param(8), pytest.param(200, marks=pytest.mark.thorough)]
)
async def test_many_conversations_with_three_viewers_each_lose_nothing(
    conversations: int, backend: str, tell: Callable[[str], None]
) -> None:
    with running("-m", "tests.web.load_server", backend) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        async with connect(f"127.0.0.1:{port}") as server:
            talks = [await server.conversation() for _ in range(conversations)]
            before = memory_of(process.pid)
            seen: list[list[tether.Event]] = []
            begun = anyio.Event()
            following = 0

            async def watch(talk: RemoteConversation) -> None:
                nonlocal following
                events: list[tether.Event] = []
                seen.append(events)
                async with talk.follow() as follower:
                    following += 1
                    if following == conversations * VIEWERS:
                        begun.set()
                    await until_end(follower, events)

            async with anyio.create_task_group() as tasks:
                for talk in talks:
                    for _ in range(VIEWERS):
                        tasks.start_soon(watch, talk)
                await begun.wait()
                start = time.monotonic()
                at_once = anyio.CapacityLimiter(20)

                async def say(talk: RemoteConversation) -> None:
                    async with at_once:
                        await talk.say("go")

                async with anyio.create_task_group() as saying:
                    for talk in talks:
                        saying.start_soon(say, talk)
            took = time.monotonic() - start
            after, spent = memory_of(process.pid), cpu_of(process.pid)
    assert len(seen) == conversations * VIEWERS
    assert {texts(events) for events in seen} == {TEXT}
    for events in seen[:: max(1, len(seen) // 20)]:
        check_events(events)
    pieces = sum(map(len, seen))
    each = (after - before) / len(seen) / 1024
    tell(
        f"{conversations} conversations with {VIEWERS} viewers each on {backend}: {took:.1f} s, "
        f"{each:.0f} KiB for each viewer and its share of a conversation, "
        f"{spent / pieces * 1e6:.0f} us of CPU for each event of a viewer"
    )
