"""Any interleaving of what can be done with a stream: against laws, and step by step against a plain model."""

import math
from collections.abc import Awaitable, Callable
from typing import Any

import anyio.lowlevel
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st
from tests._channel.stream_model import SIZES, Model
from tests._channel.stream_model import Consumer as ConsumerModel
from tests.waiting import until_blocked

from tether import EventStream, create_event_stream
from tether.errors import ConsumerTooSlowError
from tether.stream import EventSink, WhenFull

OPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "send",
                "nowait",
                "receive",
                "receive",
                "branch",
                "result",
                "close",
                "cancel",
                "end",
                "fail",
            ]
        ),
        st.integers(0, 3),
    ),
    max_size=30,
)


@define
class Consumer:
    stream: EventStream[int, str]
    since: int
    """How many events had been delivered when it began."""
    got: list[int] = field(factory=list)
    cut: bool = False
    """It was closed, or its events were left aside for a result."""
    ended: bool = False


class World:
    """A sink, its consumers, and the tasks that use them."""

    def __init__(self, size: int, tasks: Any) -> None:
        self.sink: EventSink[int]
        self.sink, stream = create_event_stream(size)
        self.size = size
        self.tasks = tasks
        self.consumers = [Consumer(stream, 0)]
        self.delivered: list[int] = []
        self.scopes: list[anyio.CancelScope] = []
        self.results: list[object] = []
        self.over = False
        self.number = 0

    def spawn(self, work: Callable[[], Awaitable[None]]) -> None:
        scope = anyio.CancelScope()
        self.scopes.append(scope)

        async def run() -> None:
            with scope:
                await work()

        self.tasks.start_soon(run)

    def send(self) -> None:
        self.number += 1
        number = self.number

        async def work() -> None:
            try:
                await self.sink.send(number)
                self.delivered.append(number)
            except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                assert self.over or all(c.cut for c in self.consumers)

        self.spawn(work)

    def nowait(self) -> None:
        self.number += 1
        try:
            self.sink.send_nowait(self.number)
        except (anyio.WouldBlock, anyio.ClosedResourceError, anyio.BrokenResourceError):
            return
        self.delivered.append(self.number)

    def receive(self, consumer: Consumer) -> None:
        async def work() -> None:
            try:
                consumer.got.append(await consumer.stream.__anext__())
            except (StopAsyncIteration, LookupError):
                assert self.over
                consumer.ended = True
            except anyio.BusyResourceError:
                pass
            except anyio.ClosedResourceError:
                assert consumer.cut

        self.spawn(work)

    def result(self, consumer: Consumer) -> None:
        async def work() -> None:
            if consumer.stream.statistics().tasks_waiting_receive == 0:
                consumer.cut = consumer.cut or not self.over
            try:
                self.results.append(await consumer.stream.result())
            except LookupError as error:
                self.results.append(error)

        self.spawn(work)

    def branch(self) -> None:
        stream = self.consumers[0].stream.branch(self.size)
        self.consumers.append(Consumer(stream, len(self.delivered), ended=self.over))

    def close(self, consumer: Consumer) -> None:
        consumer.cut = True
        consumer.stream.close()

    def finish(self, failure: Exception | None) -> None:
        if not self.over:
            self.over = True
            self.sink.end("r") if failure is None else self.sink.fail(failure)

    def do(self, op: str, which: int) -> None:
        consumer = self.consumers[which % len(self.consumers)]
        match op:
            case "send":
                self.send()
            case "nowait":
                self.nowait()
            case "receive":
                self.receive(consumer)
            case "branch":
                self.branch()
            case "result":
                self.result(consumer)
            case "close":
                self.close(consumer)
            case "cancel":
                if self.scopes:
                    self.scopes[which % len(self.scopes)].cancel()
            case "end":
                self.finish(None)
            case _:
                self.finish(LookupError("fail"))

    def check(self) -> None:
        for consumer in self.consumers:
            due = self.delivered[consumer.since :]
            if consumer.cut:
                rest = iter(due)
                assert all(event in rest for event in consumer.got), "in order, nothing twice"
            else:
                assert consumer.got == due[: len(consumer.got)], "a prefix"
            assert consumer.stream.statistics().current_buffer_used <= max(self.size, 1)

    async def drain(self) -> None:
        """Read what is left: whoever was not cut off gets the whole."""
        for consumer in self.consumers:
            while not consumer.ended and not consumer.cut:
                before = len(consumer.got)
                self.receive(consumer)
                await until_blocked()
                assert consumer.ended or len(consumer.got) > before
            if not consumer.cut:
                assert consumer.got == self.delivered[consumer.since :]


@given(size=st.integers(0, 3), ops=OPS)
@settings(max_examples=150, deadline=None)
async def test_each_consumer_gets_a_prefix_and_the_whole_if_nobody_cut_it_off(
    size: int, ops: list[tuple[str, int]]
) -> None:
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            world = World(size, tasks)
            for op, which in ops:
                world.do(op, which)
                if which % 2:
                    await until_blocked()
                    world.check()
            await until_blocked()
            world.finish(None)
            await until_blocked()
            await world.drain()
            world.check()
            tasks.cancel_scope.cancel()


BRANCH = (
    st.sampled_from(SIZES),
    st.sampled_from(["wait", "drop_oldest", "drop_oldest", "fail"]),
    st.booleans(),
)
STEP = st.tuples(
    st.sampled_from(
        [
            *["send", "nowait", "nowait", "receive"] * 8,
            *["branch", "result", "cancel_send", "cancel_receive", "cancel_result"] * 2,
            *["close", "end", "fail"],
        ]
    ),
    st.integers(0, 3),
    *BRANCH,
)


@define(eq=False)
class Follower:
    """A consumer beside its model."""

    stream: EventStream[int, str]
    model: ConsumerModel
    answers: list[str | int] = field(factory=list)
    receiving: anyio.CancelScope | None = None
    asking: list[anyio.CancelScope] = field(factory=list)
    results: list[str] = field(factory=list)


class Pair:
    """A real stream and its model, taken through the same steps."""

    def __init__(self, size: float, tasks: Any) -> None:
        self.sink: EventSink[int]
        self.sink, stream = create_event_stream(size)
        self.model = Model()
        self.model.branch(size, "wait", only_odd=False)
        self.followers = [Follower(stream, self.model.consumers[0])]
        self.tasks = tasks
        self.sends: dict[int, str] = {}
        self.sending: anyio.CancelScope | None = None
        self.number = 0

    async def step(self, op: str, which: int, size: float, rule: WhenFull, odd: bool) -> None:
        follower = self.followers[which % len(self.followers)]
        match op:
            case "send" if self.model.line is None:
                self.number += 1
                self.model.send(self.number)
                self.tasks.start_soon(self._send, self.number)
            case "nowait":
                self.number += 1
                self.model.send_nowait(self.number)
                self._send_nowait(self.number)
            case "cancel_send" if self.sending is not None:
                self.model.cancel_send()
                self.sending.cancel()
            case "branch":
                self.model.branch(size, rule, only_odd=odd)
                stream = follower.stream.branch(
                    size, when_full=rule, droppable=_is_odd if odd else None
                )
                self.followers.append(Follower(stream, self.model.consumers[-1]))
            case "receive":
                self.model.receive(follower.model)
                self.tasks.start_soon(self._receive, follower)
            case "cancel_receive" if follower.receiving is not None:
                self.model.cancel_receive(follower.model)
                follower.receiving.cancel()
            case "result":
                self.model.result(follower.model)
                self.tasks.start_soon(self._result, follower)
            case "cancel_result" if follower.asking:
                follower.model.asked -= 1
                follower.asking.pop().cancel()
            case "close":
                self.model.close(follower.model)
                follower.stream.close()
            case "end" | "fail":
                self._finish(failed=op == "fail")
            case _:
                pass
        await _settled()
        self.check()

    def _finish(self, *, failed: bool) -> None:
        self.model.finish(failed=failed)
        try:
            self.sink.fail(LookupError()) if failed else self.sink.end("r")
        except anyio.ClosedResourceError:
            assert self.model.ended

    async def _send(self, number: int) -> None:
        self.sends[number] = "waits"
        with anyio.CancelScope() as self.sending:
            try:
                await self.sink.send(number)
                self.sends[number] = "sent"
            except anyio.ClosedResourceError:
                self.sends[number] = "closed"
            except anyio.BrokenResourceError:
                self.sends[number] = "broken"
            except anyio.get_cancelled_exc_class():
                self.sends[number] = "cancelled"
                raise
        self.sending = None

    def _send_nowait(self, number: int) -> None:
        try:
            self.sink.send_nowait(number)
            self.sends[number] = "sent"
        except anyio.WouldBlock:
            self.sends[number] = "full"
        except anyio.ClosedResourceError:
            self.sends[number] = "closed"
        except anyio.BrokenResourceError:
            self.sends[number] = "broken"

    async def _receive(self, follower: Follower) -> None:
        with anyio.CancelScope() as scope:
            if follower.receiving is not None:
                try:
                    await follower.stream.receive()
                except anyio.BusyResourceError:
                    return
                raise AssertionError("two tasks received at once")
            follower.receiving = scope
            try:
                follower.answers.append(await _answer(follower.stream))
            finally:
                follower.receiving = None

    async def _result(self, follower: Follower) -> None:
        with anyio.CancelScope() as scope:
            follower.asking.append(scope)
            try:
                result = await follower.stream.result()
            except LookupError:
                result = "failed"
            follower.asking.clear()
            follower.results.append(result)

    def check(self) -> None:
        model = self.model
        assert self.sends == model.sends
        for follower in self.followers:
            expected, statistics = follower.model, follower.stream.statistics()
            either = [a for a in expected.answers if a == "either"]
            assert len(follower.answers) == len(expected.answers)
            for answer, due in zip(follower.answers, expected.answers, strict=True):
                assert answer == due or (due == "either" and answer in {"end", "failed"})
            assert statistics.current_buffer_used == len(expected.buffer)
            assert statistics.dropped == expected.dropped
            assert statistics.tasks_waiting_receive == expected.waiting
            assert statistics.tasks_waiting_send == (model.line is not None)
            assert len(either) <= 1
            assert len(follower.asking) == expected.asked
            assert set(follower.results) <= {"failed" if model.failed else "r"}


async def _answer(stream: EventStream[int, str]) -> str | int:
    try:
        return await stream.receive()
    except anyio.EndOfStream:
        return "end"
    except anyio.ClosedResourceError:
        return "closed"
    except ConsumerTooSlowError:
        return "too slow"
    except LookupError:
        return "failed"


async def _settled() -> None:
    """Let one step have all its consequences; they are few, and there are thousands of steps."""
    for _ in range(12):
        await anyio.lowlevel.checkpoint()


def _is_odd(event: int) -> bool:
    return event % 2 == 1


# A first consumer that seldom holds the others up lets them come to their limits.
@given(
    size=st.sampled_from((*SIZES, *[math.inf] * 5)),
    branches=st.lists(st.tuples(*BRANCH), max_size=3),
    steps=st.lists(STEP, min_size=10, max_size=40),
)
@settings(max_examples=60, deadline=None)
async def test_a_stream_does_step_by_step_what_the_table_says(
    size: float,
    branches: list[tuple[float, WhenFull, bool]],
    steps: list[tuple[str, int, float, WhenFull, bool]],
) -> None:
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            pair = Pair(size, tasks)
            for branch in branches:
                await pair.step("branch", 0, *branch)
            for step in steps:
                await pair.step(*step)
            for failed in (False, True):
                pair._finish(failed=failed)
            await _settled()
            pair.check()
            for which in range(len(pair.followers)):
                while pair.followers[which].answers[-1:] not in (["end"], ["closed"]):
                    await pair.step("receive", which, 0, "wait", odd=False)
