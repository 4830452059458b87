"""A worker without Ray: calls that overtake each other, and conversations that it keeps."""

import pickle
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from tests.ray import agents
from tests.waiting import until_blocked

pytest.importorskip("ray")

from tether import Agent, Limits, UserMessage
from tether.ray.exchange import UNKNOWN, Abort, Ended, Item, Say, Start
from tether.ray.packing import unpack
from tether.ray.worker import Worker
from tether.session import Entry
from tether.testing import ScriptedModel


@asynccontextmanager
async def serving() -> AsyncIterator[Worker]:
    worker = Worker(0.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.serve)
        await worker.ready()
        yield worker
        await worker.stop()


def start(make: Any = agents.counting, **options: Any) -> Start:
    given: dict[str, Any] = {
        "run": "r",
        "make": pickle.dumps(make),
        "conversation": "c",
        "known": None,
        "entries": (),
        "prompt": UserMessage("Go", id="p"),
        "waiting": (),
        "output": None,
        "output_attempts": 3,
        "deps": None,
        "limits": None,
        "spent": None,
        "price": None,
        "counts_cost": False,
        "asks_about_calls": False,
        "asks_about_stop": False,
        "depth": 0,
        "order": (),
        "call_id": None,
    }
    return Start(**{**given, **options})


def items(batch: Any) -> list[Item]:
    return [*unpack(batch.items)]


async def all_of(worker: Worker, started: Start) -> list[Item]:
    batch = await worker.start(started)
    assert batch != UNKNOWN
    got = items(batch)
    pulls = 0
    while not isinstance(got[-1], Ended):
        pulls += 1
        for batch in await worker.pull(pulls, {started.run: len(got)}):
            got += items(batch)
    await worker.close(started.run, len(got))
    return got


async def test_a_run_that_is_closed_before_it_starts_does_not_start() -> None:
    async with serving() as worker:
        assert items(await worker.close("r", 0)) == []
        assert items(await worker.start(start())) == []
        assert worker._seats == {}


async def test_a_run_that_cannot_be_made_leaves_nothing() -> None:
    async with serving() as worker:
        [ended] = await all_of(worker, start(agents.failing))
        assert isinstance(ended, Ended)
        assert str(ended.error) == "no key (authentication); set it"
        assert worker._seats == {}


async def test_orders_may_come_before_the_start_and_out_of_order() -> None:
    async with serving() as worker:
        for number in (3, 1, 2):
            order = Say("steering", UserMessage(f"thing {number}", id=f"m{number}"))
            await worker.order("r", number, order)
        got = await all_of(worker, start(start_all))
        said = [
            one.data["content"]
            for one in got
            if isinstance(one, Entry) and one.data.get("role") == "user"
        ]
        assert [text for text in str(said).split("'") if text.startswith("thing")] == [
            "thing 1",
            "thing 2",
            "thing 3",
        ]


def start_all() -> Agent:
    return Agent(ScriptedModel(*["Yes."] * 5), steering="all")


async def test_an_order_for_a_run_that_is_over_does_nothing() -> None:
    async with serving() as worker:
        await worker.start(start())
        await worker.order("r", 1, Abort())
        await worker.close("r", 0)
        await worker.order("r", 2, Abort())


async def test_a_conversation_is_kept_and_one_that_is_not_is_asked_for() -> None:
    async with serving() as worker:
        got = await all_of(worker, start())
        head = [one for one in got if isinstance(one, Entry)][-1].id
        again = start(run="s", known=head, prompt=UserMessage("Again", id="q"))
        assert "'3'" in str(await all_of(worker, again))
        assert await worker.start(start(run="t", known="other")) == UNKNOWN
        assert await worker.start(start(run="u", conversation="d", known=head)) == UNKNOWN


async def test_what_is_not_confirmed_is_given_at_the_close() -> None:
    async with serving() as worker:
        await worker.start(start(agents.slowly))
        got = items(await worker.close("r", 0))
        assert isinstance(got[-1], Ended)
        assert [type(one).__name__ for one in got[-3:]] == ["TurnEnd", "AgentEnd", "Ended"]
        again = await worker.start(start(run="s"))
        assert again != UNKNOWN


async def test_stopping_ends_all_runs() -> None:
    async with serving() as worker:
        for number in range(10):
            await worker.start(start(agents.slowly, run=f"{number}", conversation=f"{number}"))
        await worker.stop()
        for number in range(10):
            assert isinstance(items(await worker.close(f"{number}", 0))[-1], Ended)


async def test_limits_are_those_that_are_given() -> None:
    async with serving() as worker:
        got = await all_of(worker, start(limits=Limits(turns=0)))
        ended = got[-1]
        assert isinstance(ended, Ended)
        assert ended.result is not None


async def test_a_pull_is_answered_for_all_runs_and_one_that_was_overtaken_for_none() -> None:
    async with serving() as worker:
        for run in ("a", "b"):
            await worker.start(start(agents.slowly, run=run, conversation=run))
        await until_blocked()
        answers: list[set[str]] = []

        async def pull(number: int, after: int) -> None:
            batches = await worker.pull(number, {"a": after, "b": after})
            answers.append({batch.run for batch in batches})

        async with anyio.create_task_group() as tasks:
            await pull(1, 0)
            tasks.start_soon(pull, 3, 10_000)  # behind all that there is: it waits
            await until_blocked()
            await pull(2, 10_000)
            assert answers == [{"a", "b"}, set()]
            tasks.start_soon(pull, 4, 10_000)
            await until_blocked()
            assert answers == [{"a", "b"}, set(), set()]
            await worker.order("a", 1, Abort())
        assert answers[3:] == [{"a"}]
