"""The pulls of several runs on one worker: gathered into one, answered in parts, and none forgotten."""

import random
import threading
from collections.abc import Mapping

import anyio
import pytest
from anyio.lowlevel import checkpoint
from anyio.to_thread import run_sync
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


async def test_runs_that_leave_together_leave_nothing_due_for_a_later_one() -> None:
    wire = Wire()
    async with anyio.create_task_group() as tasks:
        for run in "ab":
            tasks.start_soon(wire.wait, run)
        await until_blocked()
        wire.answer(wire.sent[-1][0])  # which wakes one of them to send again
        tasks.cancel_scope.cancel()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wire.wait, "c")
        await until_blocked()
        number, wanted = wire.sent[-1]
        assert wanted == {"c": 0}
        wire.answer(number, "c")
    assert wire.got == ["c"]


async def test_a_pull_that_cannot_be_sent_fails_for_each_that_waits() -> None:
    def send(number: int, wanted: Mapping[str, int]) -> None:
        if number > 3:
            raise OSError(f"no cluster for {number}, {len(wanted)}")

    pulls = Pulls(send)
    failed: list[str] = []

    async def wait(run: str) -> None:
        with pytest.raises(OSError, match="no cluster"):
            await pulls.next(run, 0, hurry=False)
        failed.append(run)

    async with anyio.create_task_group() as tasks:
        for run in "abc":
            tasks.start_soon(wait, run)
            await until_blocked()
        pulls.answer(3, [])
    assert sorted(failed) == ["a", "b", "c"]


async def test_a_loop_that_is_blocked_holds_up_no_other(anyio_backend_name: str) -> None:
    """Each loop sends for all runs, whoever was to send it."""
    wire = Wire()
    waits, goes_on = threading.Event(), threading.Event()

    async def elsewhere() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wire.wait, "a")
            await until_blocked()
            waits.set()
            assert goes_on.wait(60)  # as synchronous code of a user does

    def other_loop() -> None:
        anyio.run(elsewhere, backend=anyio_backend_name)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run_sync, other_loop)
            await run_sync(waits.wait)
            tasks.start_soon(wire.wait, "b")
            await until_blocked()
            wire.answer(2)  # the next one may be sent by either
            await until_blocked()
            assert wire.sent[2:] == [(3, {"a": 0, "b": 0})]
            wire.answer(3, "a")  # which is read when its loop goes on
            await until_blocked()
            tasks.start_soon(wire.wait, "c")
            await until_blocked()
            wire.answer(wire.sent[-1][0], "b", "c")
            await until_blocked()
            assert sorted(wire.got) == ["b", "c"]
            goes_on.set()
    assert sorted(wire.got) == ["a", "b", "c"]


class Chance:
    """Runs of some items each, and a worker that answers when, how much and in what order chance has it."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._sent: list[tuple[int, dict[str, int]]] = []
        self._pulls = Pulls(lambda number, wanted: self._sent.append((number, dict(wanted))))
        self._wanted = {run: self._random.randint(1, 6) for run in "abcd"}
        self._made = dict.fromkeys(self._wanted, 0)
        self._going = len(self._wanted)

    async def play(self) -> None:
        async with anyio.create_task_group() as self._tasks:
            for run in self._wanted:
                self._tasks.start_soon(self._follow, run)
            idle = 0
            while self._going:
                for run in self._made:
                    if self._made[run] < self._wanted[run] and self._random.random() < 0.3:
                        self._made[run] += 1
                idle = 0 if self._answers() else idle + 1
                assert idle < 200, "nobody pulls what there is"
                await checkpoint()

    def _answers(self) -> bool:
        """Answer a pull: the last one once there is something, an earlier one with that, or with nothing."""
        newest = max((number for number, _ in self._sent), default=0)
        for number, wanted in self._random.sample(self._sent, len(self._sent)):
            ready = [run for run, after in wanted.items() if self._made[run] > after]
            if number == newest and not ready:
                continue
            self._sent.remove((number, wanted))
            given = self._random.sample(ready, self._random.randint(number == newest, len(ready)))
            self._pulls.answer(number, [self._batch(run, wanted[run]) for run in given])
            return True
        return False

    def _batch(self, run: str, after: int) -> Batch:
        return Batch(run, after, b"x" * (self._made[run] - after), Spent())

    async def _follow(self, run: str) -> None:
        """Have all items of a run in order; some waits are cancelled, and the run may leave then."""
        have = 0
        while have < self._wanted[run]:
            with anyio.move_on_after(60) as scope:
                if self._random.random() < 0.2:
                    self._tasks.start_soon(self._cancel, scope)
                hurry = self._random.random() < 0.2
                batch = await self._pulls.next(run, have, hurry=hurry)
                assert (batch.run, batch.after) == (run, have)
                have += len(batch.items)
            if scope.cancel_called and self._random.random() < 0.3:
                break
            for _ in range(self._random.randint(0, 3)):
                await checkpoint()
        self._going -= 1

    async def _cancel(self, scope: anyio.CancelScope) -> None:
        for _ in range(self._random.randint(0, 6)):
            await checkpoint()
        scope.cancel()


async def test_no_run_is_forgotten_whatever_the_order_of_answers_and_cancellations() -> None:
    for seed in range(40):
        await Chance(seed).play()
