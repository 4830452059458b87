"""Microseconds per event: tether's EventStream beside the asyncio design of the usual tutorial, in one run.

The tutorial's is an `asyncio.Queue` without a bound, a sentinel and a `Future`; tether's holds 64 events, makes
its producer wait, and passes checkpoints. Each repetition runs all of them in turn; medians are compared.

    python benchmarks/stream.py [EVENTS] [REPETITIONS]
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import uvloop

from tether import EventSink, open_event_stream


class TutorialStream:
    """The tutorial's class, as its text describes it."""

    _END = object()

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Any] = asyncio.Queue()
        self._result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def push(self, event: Any) -> None:
        self._queue.put_nowait(event)

    def end(self, result: Any = None) -> None:
        if not self._result.done():
            self._result.set_result(result)
        self._queue.put_nowait(self._END)

    def __aiter__(self) -> "TutorialStream":
        return self

    async def __anext__(self) -> Any:
        event = await self._queue.get()
        if event is self._END:
            raise StopAsyncIteration
        return event

    async def result(self) -> Any:
        return await self._result


async def tutorial(count: int) -> float:
    stream = TutorialStream()

    async def produce() -> None:
        for number in range(count):
            stream.push(number)
        stream.end(count)

    start = time.perf_counter()
    task = asyncio.create_task(produce())
    async for _ in stream:
        pass
    assert await stream.result() == count
    await task
    return (time.perf_counter() - start) / count * 1e6


async def ours(count: int) -> float:
    async def produce(sink: EventSink[int]) -> int:
        for number in range(count):
            await sink.send(number)
        return count

    start = time.perf_counter()
    async with open_event_stream(produce, max_buffer_size=64) as stream:
        async for _ in stream:
            pass
        assert await stream.result() == count
    return (time.perf_counter() - start) / count * 1e6


Program = Callable[[int], Awaitable[float]]
ROWS: dict[str, tuple[Program, str, dict[str, Any]]] = {
    "tutorial on asyncio": (tutorial, "asyncio", {}),
    "tether on asyncio": (ours, "asyncio", {}),
    "tutorial on uvloop": (tutorial, "asyncio", {"loop_factory": uvloop.new_event_loop}),
    "tether on uvloop": (ours, "asyncio", {"loop_factory": uvloop.new_event_loop}),
    "tether on trio": (ours, "trio", {}),
}


def main(count: int = 100_000, repetitions: int = 7) -> None:
    seen: dict[str, list[float]] = {name: [] for name in ROWS}
    for _ in range(repetitions):
        for name, (program, backend, options) in ROWS.items():
            seen[name].append(anyio.run(program, count, backend=backend, backend_options=options))
    base = statistics.median(seen["tutorial on asyncio"])
    print(f"{'':22} us/event   ratio to the tutorial on asyncio")
    for name, values in seen.items():
        median = statistics.median(values)
        print(f"{name:22} {median:8.3f}   {median / base:.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
