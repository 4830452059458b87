"""Under the virtual clock, time passes when nobody has anything to do, and exactly as far as is asked for."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from anyio import to_thread

from tether.testing import Backend, virtual_clock

BACKENDS: list[Backend] = ["asyncio", "trio"]


@pytest.fixture(params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual_clock(request.param)


async def test_the_clock_begins_at_zero_and_a_day_takes_no_time() -> None:
    began = time.monotonic()
    assert anyio.current_time() == 0
    await anyio.sleep(24 * 3600)
    assert anyio.current_time() == 24 * 3600
    assert time.monotonic() - began < 5


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
