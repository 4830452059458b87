"""Under the virtual clock, time passes when nobody has anything to do, and exactly as far as is asked for."""

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from anyio import to_thread

from tether.testing import Backend, DeadlockError, virtual_clock

BACKENDS: list[Backend] = ["asyncio", "trio"]


@pytest.fixture(params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual_clock(request.param)


async def test_the_clock_begins_at_zero_and_a_day_takes_no_time() -> None:
    began = time.monotonic()
    assert anyio.current_time() == 0
    await anyio.sleep(24 * 3600)
    assert anyio.current_time() == 24 * 3600
    assert time.monotonic() - began < 3600


async def test_sleepers_wake_in_order_at_their_times() -> None:
    woken: list[tuple[float, float]] = []

    async def sleep(seconds: float) -> None:
        await anyio.sleep(seconds)
        woken.append((seconds, anyio.current_time()))

    async with anyio.create_task_group() as tasks:
        for seconds in (3, 1, 2, 1.5):
            tasks.start_soon(sleep, seconds)
    assert woken == [(1, 1), (1.5, 1.5), (2, 2), (3, 3)]


async def test_a_deadline_passes_at_its_time() -> None:
    with anyio.move_on_after(2.5) as scope:
        await anyio.sleep_forever()
    assert (scope.cancelled_caught, anyio.current_time()) == (True, 2.5)


async def test_time_stands_still_while_there_is_something_to_do() -> None:
    done = False

    async def work() -> None:
        nonlocal done
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        done = True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        await anyio.sleep(1)
        assert done


async def test_a_thread_that_is_waited_for_is_not_jumped_over() -> None:
    release = threading.Event()
    with anyio.move_on_after(3600) as scope:
        timer = threading.Timer(0.05, release.set)
        timer.start()
        assert await to_thread.run_sync(release.wait, 5)
    timer.join()
    assert not scope.cancelled_caught
    assert anyio.current_time() < 5


async def test_a_thread_that_hangs_runs_into_its_deadline_all_the_same() -> None:
    release = threading.Event()
    try:
        with anyio.move_on_after(0.05) as scope:
            await to_thread.run_sync(release.wait, 5, abandon_on_cancel=True)
    finally:
        release.set()
    assert scope.cancelled_caught


async def test_all_tasks_are_blocked_before_time_passes() -> None:
    order: list[str] = []

    async def sleep() -> None:
        order.append("sleeps")
        await anyio.sleep(10)
        order.append("woken")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sleep)
        await anyio.wait_all_tasks_blocked()
        order.append("blocked")
    assert order == ["sleeps", "blocked", "woken"]


def test_a_thread_that_asyncio_started_is_not_jumped_over() -> None:
    async def main() -> bool:
        async with asyncio.timeout(3600):
            return await asyncio.to_thread(threading.Event().wait, 0.05)

    name, options = virtual_clock("asyncio")
    assert anyio.run(main, backend=name, backend_options=options) is False


@pytest.mark.parametrize("backend", BACKENDS)
def test_options_may_be_used_for_one_program_after_another(backend: Backend) -> None:
    async def main() -> None:
        await anyio.sleep(1)

    name, options = virtual_clock(backend)
    program: Callable[[], Awaitable[None]] = main
    for _ in range(2):
        anyio.run(program, backend=name, backend_options=options)


def test_a_backend_that_there_is_not_is_refused() -> None:
    unknown: Any = "curio"
    with pytest.raises(ValueError, match="no backend 'curio'; there are: asyncio, trio"):
        virtual_clock(unknown)


def _deadlock_in(exception: BaseException) -> str:
    """The text of the DeadlockError that an exception is, or holds."""
    while isinstance(exception, BaseExceptionGroup):
        [exception] = exception.exceptions
    assert isinstance(exception, DeadlockError)
    return str(exception)


async def _waits_in_vain() -> None:
    await anyio.Event().wait()


async def _child_waits_in_vain() -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_waits_in_vain)


async def _waits_in_vain_after_an_hour() -> None:
    await anyio.sleep(3600)
    await anyio.Event().wait()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "program", [_waits_in_vain, _child_waits_in_vain, _waits_in_vain_after_an_hour]
)
def test_a_program_that_nothing_can_wake_raises_and_says_where_it_waits(
    program: Callable[[], Awaitable[None]], backend: Backend
) -> None:
    name, options = virtual_clock(backend)
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - looked at below
        anyio.run(program, backend=name, backend_options=options)
    text = _deadlock_in(caught.value)
    assert "all tasks wait, and nothing can wake one of them" in text
    assert program.__name__ in text
    assert "_waits_in_vain" in text


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_a_thread_or_a_socket_may_wake_waits_for_it(backend: Backend) -> None:
    async def main() -> list[bytes]:
        release, woken = threading.Event(), anyio.Event()
        token = anyio.lowlevel.current_token()

        def wake() -> None:
            release.wait(5)
            anyio.from_thread.run_sync(woken.set, token=token)

        thread = threading.Thread(target=wake)
        thread.start()
        timer = threading.Timer(0.05, release.set)
        timer.start()
        await woken.wait()
        thread.join()
        timer.join()
        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
            port = listener.extra(anyio.abc.SocketAttribute.local_port)
            caller = socket.create_connection(("127.0.0.1", port))
            timer = threading.Timer(0.05, caller.sendall, [b"x"])
            timer.start()
            first: Any = listener.listeners[0]
            async with await first.accept() as stream:
                received = [await stream.receive()]
            timer.join()
            caller.close()
            return received

    name, options = virtual_clock(backend)
    assert anyio.run(main, backend=name, backend_options=options) == [b"x"]


async def test_an_async_test_can_wait_for_the_next_one() -> None:
    """Between two tests the runner of anyio's plugin waits, which is no deadlock."""
    await anyio.sleep(1)
