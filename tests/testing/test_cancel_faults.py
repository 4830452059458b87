"""`cancel_at_every_step` finds what a program leaves behind at any of its steps.

Where a bug is found depends on the backend; that it is found must not.
"""

import asyncio
import math
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
import trio
from anyio import to_thread
from anyio.lowlevel import checkpoint
from attrs import define, field
from tests.testing.ways_to_cancel import all_ways, both_backends, complaint, rest

from tether.testing import Backend, Kind, cancel_at_every_step

pytestmark = pytest.mark.usefixtures("quick_garbage_collection")


@define
class Left:
    """What a program leaves to its check."""

    things: list[Any] = field(factory=list)
    cleaned: bool = True


@pytest.fixture
def left() -> Iterator[Left]:
    """Keeps things alive that a program drops, and ends them after the test."""
    left = Left()
    yield left
    for thing in left.things:
        if isinstance(thing, socket.socket):
            thing.close()
        elif isinstance(thing, threading.Event):
            thing.set()


def spawn(name: str, *arguments: str) -> int:
    return os.posix_spawn(f"/bin/{name}", [name, *arguments], os.environ)


def reap(pid: int) -> None:
    os.waitpid(pid, 0)


@all_ways
def test_a_clean_up_that_is_not_shielded_is_found_by_the_check(
    backend: Backend, kind: Kind
) -> None:
    async def program(left: Left) -> None:
        left.cleaned = False
        try:
            await rest()
        finally:
            await checkpoint()
            left.cleaned = True

    def check(left: Left) -> None:
        assert left.cleaned, "it was not cleaned up"

    text = complaint(program, backend, kind, setup=Left, check=check)
    assert "* the check fails: AssertionError: it was not cleaned up" in text
    assert re.search(r'test_cancel_faults\.py", line \d+, in .*program', text)


def test_a_clean_up_that_survives_one_native_cancellation_but_not_two_is_found() -> None:
    async def program(left: Left) -> None:
        left.cleaned = False
        try:
            await rest()
        finally:
            await asyncio.sleep(0)
            left.cleaned = True

    def check(left: Left) -> None:
        assert left.cleaned

    text = complaint(program, "asyncio", "twice", setup=Left, check=check)
    assert re.match(
        r"asyncio, cancelled .* step 1 and again after step \d \(point 1 and \d\):", text
    )
    assert "* the check fails: AssertionError" in text


@all_ways
def test_a_socket_that_stays_open_is_found(backend: Backend, kind: Kind, left: Left) -> None:
    async def program() -> None:
        pair = socket.socketpair()
        left.things += pair
        await checkpoint()
        for end in pair:
            end.close()

    text = complaint(program, backend, kind)
    assert len(re.findall(r"^\* left open: a socket, descriptor \d+$", text, re.MULTILINE)) == 2


@all_ways
def test_a_socket_that_is_dropped_open_is_found(backend: Backend, kind: Kind) -> None:
    async def program() -> None:
        first, second = socket.socketpair()
        cycle: list[object] = [first]
        cycle.append(cycle)
        await checkpoint()
        first.close()
        second.close()

    assert complaint(program, backend, kind).count("* ResourceWarning: unclosed <socket") == 2


@all_ways
def test_a_pipe_that_stays_open_is_found(backend: Backend, kind: Kind) -> None:
    opened: list[int] = []

    async def program() -> None:
        pipe = os.pipe()
        opened.extend(pipe)
        await checkpoint()
        for end in pipe:
            os.close(end)

    assert complaint(program, backend, kind).count("left open: a pipe, descriptor") == 2
    for end in opened[-2:]:
        os.close(end)


@both_backends
def test_a_process_that_is_dropped_is_found(backend: Backend) -> None:
    async def program() -> None:
        with anyio.CancelScope(shield=True):
            process = await anyio.open_process(
                ["sleep", "60"], stdin=None, stdout=None, stderr=None
            )
        await rest()
        process.kill()
        with anyio.CancelScope(shield=True):
            await process.aclose()

    text = complaint(program, backend)
    # asyncio ends the processes of a loop that is closed where no thread waits for them.
    found = (
        r"^\* (left: child process \d+ \(sleep\)$|ResourceWarning: unclosed transport <_UnixSub)"
    )
    assert re.search(found, text, re.MULTILINE)


@all_ways
def test_a_process_that_is_left_is_found_and_killed(backend: Backend, kind: Kind) -> None:
    pids: list[int] = []

    async def program() -> None:
        pids.append(spawn("sleep", "60"))
        await checkpoint()
        os.kill(pids[-1], signal.SIGKILL)
        reap(pids[-1])

    text = complaint(program, backend, kind)
    assert f"* left: child process {pids[-1]} (sleep)\n" in text
    assert not Path(f"/proc/{pids[-1]}").exists()


@all_ways
def test_a_process_that_nobody_waits_for_is_found(backend: Backend, kind: Kind) -> None:
    async def program() -> None:
        pid = spawn("true")
        await checkpoint()
        reap(pid)

    def check() -> None:
        # Which also keeps a process from being looked for before it has ended.
        with suppress(ChildProcessError):
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)

    text = complaint(program, backend, kind)
    assert re.search(r"child process \d+ \(true\), which has ended and was not waited for", text)


async def numbers() -> AsyncIterator[int]:
    for number in range(10):
        yield number


@all_ways
def test_an_async_generator_that_is_left_behind_is_found(
    backend: Backend, kind: Kind, left: Left
) -> None:
    async def program() -> None:
        generator = numbers()
        left.things.append(generator)
        async for _ in generator:
            await checkpoint()

    text = complaint(program, backend, kind)
    assert re.search(
        r"^\* async generator numbers \(suspended at .*\) was not brought", text, re.MULTILINE
    )


@all_ways
def test_an_async_generator_that_is_dropped_is_found(backend: Backend, kind: Kind) -> None:
    async def program() -> None:
        async for _ in numbers():
            await checkpoint()

    text = complaint(program, backend, kind)
    assert re.search(r"^\* async generator numbers \(suspended at .*\) was ", text, re.MULTILINE)


@all_ways
def test_an_async_generator_that_is_closed_is_no_fault(backend: Backend, kind: Kind) -> None:
    async def program() -> None:
        async with aclosing(numbers()) as generator:  # type: ignore[type-var]
            async for _ in generator:
                await checkpoint()

    assert cancel_at_every_step(program, backend=backend, kind=kind).points > 9


@all_ways
@pytest.mark.parametrize("caught", [BaseException, None], ids=["everything", "cancellation"])
def test_a_cancellation_that_is_swallowed_is_found(
    backend: Backend, kind: Kind, caught: type[BaseException] | None
) -> None:
    async def program() -> None:
        try:
            await rest()
        except BaseException as error:
            if not isinstance(error, caught or anyio.get_cancelled_exc_class()):
                raise

    text = complaint(program, backend, kind)
    assert "* the cancellation was swallowed: the program went on and returned" in text


@all_ways
def test_a_cancellation_that_becomes_an_error_is_found(backend: Backend, kind: Kind) -> None:
    async def program() -> None:
        try:
            await rest()
        except BaseException as error:
            raise ValueError("cut off") from error

    with pytest.raises(
        AssertionError, match=r"\* the program raised: ValueError: cut off"
    ) as raised:
        cancel_at_every_step(program, backend=backend, kind=kind)
    assert isinstance(raised.value.__cause__, ValueError)


@all_ways
def test_a_task_that_is_left_running_is_found(backend: Backend, kind: Kind, left: Left) -> None:
    async def program() -> None:
        if backend == "asyncio":
            task = asyncio.ensure_future(anyio.sleep_forever())
            left.things.append(task)
            await checkpoint()
            task.cancel()
            await asyncio.wait([task])
        else:
            with trio.CancelScope() as scope:
                trio.lowlevel.spawn_system_task(sleep_within, scope)
                await rest()
                scope.cancel()
                await rest(5)

    async def sleep_within(scope: trio.CancelScope) -> None:
        with scope if scope.cancel_called else trio.CancelScope():
            await trio.sleep(0.01 if scope.cancel_called else math.inf)

    text = complaint(program, backend, kind)
    assert re.search(r"^\* a task is left:\n  - .*\n      File .*, in .*sleep", text, re.MULTILINE)


@all_ways
@pytest.mark.parametrize("how", ["asleep", "busy"])
def test_a_program_that_does_not_end_is_found_and_given_up(
    backend: Backend, kind: Kind, how: Literal["asleep", "busy"]
) -> None:
    async def program() -> None:
        try:
            await checkpoint()
        finally:
            while sys.exc_info()[0] is not None:
                # Native cancellations reach through the shield.
                try:
                    with anyio.CancelScope(shield=True):
                        await (anyio.sleep_forever() if how == "asleep" else checkpoint())
                except asyncio.CancelledError:
                    continue

    text = complaint(program, backend, kind)
    assert re.search(
        r"^\* it does not come to its end; its tasks stand here:\n  - .*\n      File .*, in .*program",
        text,
        re.MULTILINE,
    )
    assert text.count("\n* ") == 1


@both_backends
def test_a_thread_that_is_left_at_work_is_found(backend: Backend, left: Left) -> None:
    async def program() -> None:
        began, release = threading.Event(), threading.Event()
        left.things.append(release)

        def work() -> None:
            began.set()
            release.wait()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(to_thread.run_sync, work, abandon_on_cancel=True))
            await rest(10)
            # It holds up the event loop, so that no step is taken before the thread is at work.
            assert began.wait(60)
            await checkpoint()
            tasks.cancel_scope.cancel()
        release.set()

    # One that was there before is none of the program's.
    before = threading.Event()
    left.things.append(before)
    threading.Thread(target=before.wait, daemon=True, name="of old").start()
    text = complaint(program, backend)
    assert re.search(r"^\* left running: thread (?!of old)", text, re.MULTILINE)
    assert "of old" not in text
