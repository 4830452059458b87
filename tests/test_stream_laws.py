"""Any interleaving of what can be done with a stream, against a model of what each consumer must get."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.waiting import until_blocked

from tether import EventSink, EventStream, create_event_stream

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
            assert consumer.got == due[: len(consumer.got)], "a prefix, in order, nothing twice"
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
    with anyio.fail_after(5):
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
