"""`cancel_at_every_step` reports what nobody else would hear of, and shows where the cancellation landed."""

import asyncio
import gc
import inspect
import logging
import re
import sys
import threading
import warnings
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint
from tests.testing.ways_to_cancel import all_ways, both_backends, complaint, rest

from tether.testing import Backend, Kind, cancel_at_every_step

pytestmark = pytest.mark.usefixtures("quick_garbage_collection")


@all_ways
def test_a_coroutine_that_is_never_awaited_is_found(backend: Backend, kind: Kind) -> None:
    async def program() -> None:
        coroutine = rest()
        await checkpoint()
        await coroutine

    text = complaint(program, backend, kind)
    assert "* RuntimeWarning: coroutine 'rest' was never awaited" in text


@all_ways
def test_an_exception_that_cannot_be_raised_is_found(backend: Backend, kind: Kind) -> None:
    class Grumpy:
        content = True

        def __del__(self) -> None:
            if not self.content:
                raise ValueError("grump")

    async def program() -> None:
        grumpy = Grumpy()
        grumpy.content = False
        await rest()
        grumpy.content = True

    assert "(ValueError('grump'))" in complaint(program, backend, kind)


@both_backends
def test_a_thread_that_dies_of_an_exception_is_found(backend: Backend) -> None:
    def die() -> None:
        raise ValueError("dead")

    async def program() -> None:
        thread = threading.Thread(target=die)
        thread.start()
        thread.join()
        await checkpoint()

    text = complaint(program, backend)
    assert (
        text == f"{backend}, not cancelled:\n* a thread died of an exception (ValueError('dead'))"
    )


@pytest.mark.parametrize("kind", ["scope", "task", "twice"])
def test_a_task_whose_exception_nobody_retrieves_is_found(kind: Kind) -> None:
    async def fail() -> None:
        raise ValueError("lost")

    async def program() -> None:
        task = asyncio.ensure_future(fail())
        await checkpoint()
        await checkpoint()
        assert task.exception() is not None

    text = complaint(program, "asyncio", kind)
    assert "* asyncio: Task exception was never retrieved (ValueError('lost'))" in text


@both_backends
def test_what_a_backend_logs_is_found(backend: Backend) -> None:
    async def program() -> None:
        logging.getLogger(backend).error("something is %s", "odd")
        await checkpoint()

    assert complaint(program, backend) == (
        f"{backend}, not cancelled:\n* logged by {backend}: something is odd"
    )


@both_backends
def test_the_place_where_the_cancellation_landed_is_shown(backend: Backend) -> None:
    """Every task of the program with its whole stack, the one whose step it was marked."""

    async def child(event: anyio.Event) -> None:
        await event.wait()

    async def program() -> None:
        event = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child, event, name="the child")
            await rest(5)
            await landing(event)

    async def landing(event: anyio.Event) -> None:
        try:
            await anyio.sleep(0.001)
        except BaseException as error:
            raise ValueError("here") from error
        event.set()

    text = complaint(program, backend)
    here = Path(__file__).name
    line = inspect.getsourcelines(landing)[1] + 2
    assert re.match(
        rf"{backend}, cancelled after step 7 \(point 8\):\n"
        r"\* the program raised: ExceptionGroup\(.*\[ValueError\('here'\)\]\)\n"
        r"The program's tasks stood here when the cancellation came:\n",
        text,
    )
    assert re.search(
        rf"\n  > .*\n(      File .*\n)*      File .*{here}\", line {line}, in .*landing\n", text
    )
    assert re.search(
        rf"\n  - .*the child\n(      File .*\n)*      File .*{here}\", line \d+, in .*child\n", text
    )
    assert len(re.findall(r"^  [->] ", text, re.MULTILINE)) == 2


@both_backends
def test_what_the_program_raises_by_itself_is_passed_on(backend: Backend) -> None:
    async def program() -> None:
        await checkpoint()
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        cancel_at_every_step(program, backend=backend)


@both_backends
def test_a_check_that_fails_without_a_cancellation_says_so(backend: Backend) -> None:
    def check() -> None:
        raise AssertionError("never right")

    text = complaint(rest, backend, check=check)
    assert text == f"{backend}, not cancelled:\n* the check fails: AssertionError: never right"


@both_backends
def test_a_check_that_forgets_to_await_is_told_so(backend: Backend) -> None:
    text = complaint(rest, backend, check=lambda: rest(1))
    assert "* the check fails: TypeError: the check was not awaited: make it an async func" in text


@both_backends
def test_other_warnings_pass(backend: Backend) -> None:
    async def program() -> None:
        warnings.warn("by the way", DeprecationWarning, stacklevel=1)
        await checkpoint()

    with pytest.warns(DeprecationWarning, match="by the way"):
        cancel_at_every_step(program, backend=backend)


@both_backends
def test_everything_is_put_back(backend: Backend) -> None:
    def hooks() -> list[object]:
        return [
            sys.unraisablehook,
            threading.excepthook,
            warnings.showwarning,
            sys.get_asyncgen_hooks(),
            gc.get_freeze_count(),
            logging.getLogger("asyncio").handlers[:],
        ]

    gc.unfreeze()  # as in a program that keeps the garbage collector off nothing
    before = hooks()
    cancel_at_every_step(rest, backend=backend)
    complaint(rest, backend, check=lambda: 1 / 0)
    assert hooks() == before
    gc.freeze()
