"""The pulls of several runs on one worker: gathered into one, answered in parts, and none forgotten."""

from collections.abc import Mapping

import anyio
import pytest
from tests.waiting import until_blocked

pytest.importorskip("ray")

from tether.errors import WorkerLostError
from tether.limits import Spent
from tether.ray.exchange import Batch
from tether.ray.pulls import Pulls


class Wire:
    """Has what was sent, and answers it."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, dict[str, int]]] = []
        self.pulls = Pulls(self._send)
        self.got: list[str] = []

    def _send(self, number: int, wanted: Mapping[str, int]) -> None:
        self.sent.append((number, dict(wanted)))

    async def wait(self, run: str, after: int = 0) -> None:
        try:
            self.got.append((await self.pulls.next(run, after, hurry=False)).run)
        except WorkerLostError:
            self.got.append(f"{run} lost")

    def answer(self, number: int, *runs: str, after: int = 0) -> None:
        self.pulls.answer(number, [Batch(run, after, b"", Spent()) for run in runs])


async def test_runs_that_are_ready_at_once_share_a_pull() -> None:
    wire = Wire()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wire.wait, "a", 7)
        await until_blocked()
        for run in "bc":
            tasks.start_soon(wire.wait, run, 7)
        await until_blocked()
        assert wire.sent == [(1, {"a": 7}), (2, {"a": 7, "b": 7, "c": 7})]
        wire.answer(2, "a", "b", "c", after=7)
    assert sorted(wire.got) == ["a", "b", "c"]


async def test_runs_that_an_answer_leaves_out_wait_on() -> None:
    wire = Wire()
    async with anyio.create_task_group() as tasks:
        for run in "abc":
            tasks.start_soon(wire.wait, run)
            await until_blocked()
        wire.answer(3, "b")
        await until_blocked()
        assert wire.sent[3:] == [(4, {"a": 0, "c": 0})]
        wire.answer(4)
        await until_blocked()
        assert wire.sent[4:] == [(5, {"a": 0, "c": 0})]
        wire.answer(5, "a", "c")
    assert sorted(wire.got) == ["a", "b", "c"]
    assert len(wire.sent) == 5


async def test_a_later_pull_takes_over_what_an_earlier_one_waits_for() -> None:
    wire = Wire()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wire.wait, "a")
        await until_blocked()
        tasks.start_soon(wire.wait, "b")
        await until_blocked()
        wire.answer(1)
        await until_blocked()
        assert wire.sent == [(1, {"a": 0}), (2, {"a": 0, "b": 0})]
        wire.answer(2, "a", "b")
    assert sorted(wire.got) == ["a", "b"]


async def test_what_was_given_already_is_passed_over() -> None:
    wire = Wire()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wire.wait, "a", 4)
        await until_blocked()
        wire.answer(1, "a", after=2)
        await until_blocked()
        assert wire.got == []
        wire.answer(2, "a", after=4)
    assert wire.got == ["a"]


async def test_where_the_one_that_is_to_send_leaves_another_does() -> None:
    wire = Wire()
    leaving = anyio.CancelScope()

    async def leave() -> None:
        with leaving:
            await wire.wait("a")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(leave)
        await until_blocked()
        tasks.start_soon(wire.wait, "b")
        await until_blocked()
        wire.answer(2)  # which wakes the first to send again
        leaving.cancel()
        await until_blocked()
        assert wire.sent[-1] == (3, {"b": 0})
        wire.answer(3, "b")
    assert wire.got == ["b"]


async def test_a_worker_that_is_lost_is_lost_for_all() -> None:
    wire = Wire()
    async with anyio.create_task_group() as tasks:
        for run in "ab":
            tasks.start_soon(wire.wait, run)
        await until_blocked()
        wire.pulls.fail(WorkerLostError("gone"))
    assert sorted(wire.got) == ["a lost", "b lost"]
