"""`cancel_at_every_step` tries every step of a program without a bug, and finds nothing."""

import asyncio
import math
import select
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest
import trio
from anyio import to_thread
from anyio.abc import SocketStream
from anyio.lowlevel import checkpoint
from tests.testing.ways_to_cancel import all_ways, both_backends, rest

from tether.testing import Backend, CancelReport, Kind, cancel_at_every_step

pytestmark = pytest.mark.usefixtures("quick_garbage_collection")


async def tidy() -> None:
    """Several tasks, a channel, and clean-up that is shielded."""
    send, receive = anyio.create_memory_object_stream[int](1)

    async def produce() -> None:
        with send:
            for number in range(4):
                await send.send(number)

    async def clean_up() -> None:
        try:
            await anyio.sleep(0.001)
        finally:
            with anyio.CancelScope(shield=True):
                await rest()

    with receive:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(produce)
            tasks.start_soon(clean_up)
            async for _ in receive:
                await checkpoint()


@all_ways
def test_a_program_without_a_fault_is_cancelled_at_each_of_its_steps(
    backend: Backend, kind: Kind
) -> None:
    report = cancel_at_every_step(tidy, backend=backend, kind=kind)
    assert (report.backend, report.kind) == (backend, kind)
    assert report.steps > 15
    # trio shuffles tasks: the number of steps differs a little from run to run.
    assert report.points >= report.steps - (5 if backend == "trio" else 0)
    if kind == "twice":
        assert report.points > 2 * report.steps


@both_backends
def test_a_program_is_cut_off_at_each_of_its_awaits(backend: Backend) -> None:
    """In its first step, and after each; after the last there is nothing to cut off."""
    reached: list[int] = []

    async def counting() -> None:
        reached.append(0)
        for number in range(1, 5):
            await checkpoint()
            reached[-1] = number

    report = cancel_at_every_step(counting, backend=backend)
    assert report == CancelReport(backend=backend, kind="scope", steps=5, points=5)
    assert reached == [4, 0, 0, 1, 2, 3, 4]


@contextmanager
def ended(timer: threading.Timer) -> Iterator[None]:
    """Start a timer, and end it with the block."""
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


@all_ways
def test_a_task_is_cut_off_while_it_waits_and_when_what_it_waits_for_is_there(
    backend: Backend, kind: Kind
) -> None:
    """Nothing but the task itself takes steps here: a point before them would not find it waiting."""
    landed: list[str] = []

    async def program() -> None:
        first, second = socket.socketpair()
        first.setblocking(False)
        sender = threading.Timer(0.02, second.send, [b"x"])
        with first, second, ended(sender):
            try:
                await anyio.wait_readable(first)
                landed.append("readable")
            except anyio.get_cancelled_exc_class():
                landed.append("ready" if select.select([first], [], [], 0)[0] else "waiting")
                raise

    assert cancel_at_every_step(program, backend=backend, kind=kind).points >= 3
    assert landed[0] == "readable"
    assert "waiting" in landed
    # At the last point but one the result is there: a native cancellation overtakes it, a scope's waits for the next
    # await.
    assert landed[-2] == ("readable" if kind == "scope" else "ready")


@both_backends
def test_what_setup_makes_is_for_one_run(backend: Backend) -> None:
    checked: list[list[int]] = []

    async def program(numbers: list[int]) -> None:
        for number in range(3):
            numbers.append(number)
            await checkpoint()

    def setup() -> list[int]:
        return []

    cancel_at_every_step(program, setup=setup, check=checked.append, backend=backend)
    whole = [0, 1, 2]
    assert checked == [whole, [0], [0], [0, 1], whole, whole]


@both_backends
def test_an_async_check_runs_where_the_program_was(backend: Backend) -> None:
    places: list[object] = []

    def place() -> object:
        return (
            asyncio.get_running_loop()
            if backend == "asyncio"
            else trio.lowlevel.current_root_task()
        )

    async def program() -> None:
        places.append(place())
        await checkpoint()

    async def check() -> None:
        await anyio.sleep(0.001)
        assert place() is places[-1]

    assert cancel_at_every_step(program, check=check, backend=backend).points == 2


@both_backends
@pytest.mark.parametrize(
    ("options", "cut_off_after"),
    [
        ({"every": 4}, [0, 3, 7, 11]),
        ({"limit": 4}, [0, 3, 7, 11]),
        ({"limit": 100}, [0, *range(15)]),
        ({"every": 3, "limit": 2}, [0, 8]),
        ({"limit": 4, "seed": 1}, [3, 8, 11, 12]),
        ({"limit": 4, "seed": 2}, [0, 4, 13, 14]),
    ],
)
def test_points_are_chosen(
    backend: Backend, options: dict[str, Any], cut_off_after: list[int]
) -> None:
    reached: list[int] = []

    async def counting() -> None:
        reached.append(0)
        for _ in range(15):
            await checkpoint()
            reached[-1] += 1

    report = cancel_at_every_step(counting, backend=backend, **options)
    assert (report.steps, report.points) == (16, len(cut_off_after))
    assert reached[1 : 1 + report.points] == cut_off_after


@both_backends
def test_the_search_goes_on_while_programs_grow(backend: Backend) -> None:
    """The number of steps was counted in the shortest run; those that came later are tried too."""
    runs = 0

    async def growing() -> None:
        nonlocal runs
        runs += 1
        await rest(min(runs, 9))

    report = cancel_at_every_step(growing, backend=backend)
    assert (report.steps, report.points) == (2, 10)


@both_backends
def test_under_a_virtual_clock_sleep_takes_no_time(backend: Backend) -> None:
    async def program() -> None:
        with anyio.move_on_after(3000):
            await anyio.sleep(4000)
        await anyio.sleep(1000)

    with anyio_deadline(20):
        assert cancel_at_every_step(program, backend=backend, virtual_time=True).points >= 3


class anyio_deadline:  # noqa: N801 - reads as a function
    """Fail after so many seconds, from outside of any event loop."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        signal.signal(signal.SIGALRM, self._ring)
        signal.alarm(self._seconds)

    def __exit__(self, *_: object) -> None:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def _ring(self, *_: object) -> None:
        raise TimeoutError(f"not done within {self._seconds} seconds")


@both_backends
def test_sockets_that_are_closed_are_no_fault(backend: Backend) -> None:
    async def echo(stream: SocketStream) -> None:
        async with stream:
            async for chunk in stream:
                await stream.send(chunk)

    async def program() -> None:
        async with (
            await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(listener.serve, echo)
            address = listener.extra(anyio.abc.SocketAttribute.local_port)
            async with await anyio.connect_tcp("127.0.0.1", address) as stream:
                await stream.send(b"hello")
                assert await stream.receive() == b"hello"
            tasks.cancel_scope.cancel()

    assert cancel_at_every_step(program, backend=backend).points > 20


@both_backends
def test_a_process_that_is_ended_is_no_fault(backend: Backend) -> None:
    async def program() -> None:
        with anyio.CancelScope(shield=True):
            process = await anyio.open_process(["cat"])
        async with process:
            assert process.stdin is not None
            assert process.stdout is not None
            await process.stdin.send(b"hello")
            assert await process.stdout.receive() == b"hello"

    assert cancel_at_every_step(program, backend=backend).points > 8


@both_backends
def test_a_worker_thread_that_is_waited_for_is_no_fault(backend: Backend) -> None:
    async def program() -> None:
        await to_thread.run_sync(math.factorial, 2000)
        await to_thread.run_sync(threading.Event().wait, 0.001, abandon_on_cancel=True)

    assert cancel_at_every_step(program, backend=backend).points >= 4
