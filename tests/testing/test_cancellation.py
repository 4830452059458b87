"""`cancel_at_every_step` tries every step, finds what is left behind at any of them, and shows where."""

import asyncio
import gc
import inspect
import logging
import math
import os
import re
import select
import signal
import socket
import sys
import threading
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, cast

import anyio
import pytest
import trio
from anyio import to_thread
from anyio.abc import SocketStream
from anyio.lowlevel import checkpoint
from attrs import define, field

from tether.testing import Backend, CancelReport, Kind, cancel_at_every_step

pytestmark = pytest.mark.usefixtures("quick_garbage_collection")

BACKENDS: list[Backend] = ["asyncio", "trio"]
WAYS: list[tuple[Backend, Kind]] = [
    ("asyncio", "scope"),
    ("asyncio", "task"),
    ("asyncio", "twice"),
    ("trio", "scope"),
]

both_backends = pytest.mark.parametrize("backend", BACKENDS)
all_ways = pytest.mark.parametrize(("backend", "kind"), WAYS)


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


def complaint(
    program: Callable[..., Awaitable[object]],
    backend: Backend,
    kind: Kind = "scope",
    grace: float = 0.1,
    **options: Any,
) -> str:
    """What `cancel_at_every_step` says of a program with a bug."""
    with pytest.raises(AssertionError) as raised:
        cancel_at_every_step(program, backend=backend, kind=kind, grace=grace, **options)
    return str(raised.value)


# Programs without a bug.


async def rest(steps: int = 3) -> None:
    for _ in range(steps):
        await checkpoint()


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


def spawn(name: str, *arguments: str) -> int:
    return os.posix_spawn(f"/bin/{name}", [name, *arguments], os.environ)


def reap(pid: int) -> None:
    os.waitpid(pid, 0)


# Programs with a bug each. Where one is found depends on the backend; that it is found must not.


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
    assert re.search(r'test_cancellation\.py", line \d+, in .*program', text)


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
        release = threading.Event()
        left.things.append(release)
        with anyio.move_on_after(0.01):
            await to_thread.run_sync(release.wait, abandon_on_cancel=True)
        await checkpoint()
        release.set()

    # One that was there before is none of the program's.
    before = threading.Event()
    left.things.append(before)
    threading.Thread(target=before.wait, daemon=True, name="of old").start()
    text = complaint(program, backend)
    assert re.search(r"^\* left running: thread (?!of old)", text, re.MULTILINE)
    assert "of old" not in text


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


# What is told.


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


@pytest.mark.parametrize("kind", ["task", "twice"])
def test_trio_has_no_native_cancellation(kind: Kind) -> None:
    with pytest.raises(ValueError, match=f"kind='{kind}' is asyncio's task.cancel"):
        cancel_at_every_step(rest, backend="trio", kind=kind)


def test_tasks_start_eagerly_where_they_can() -> None:
    if sys.version_info < (3, 12):
        with pytest.raises(ValueError, match=r"from Python 3\.12 on"):
            cancel_at_every_step(rest, eager=True)
        return

    async def program() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(rest(1))
            await checkpoint()

    lazy, eager = (cancel_at_every_step(program, eager=eager) for eager in (False, True))
    assert eager.steps == lazy.steps - 1
    with pytest.raises(ValueError, match="only on asyncio"):
        cancel_at_every_step(rest, backend="trio", eager=True)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("kind", ["native", "", None])
def test_a_kind_that_there_is_not_is_refused(kind: Any, backend: Any) -> None:
    with pytest.raises(ValueError, match=f"no kind {kind!r}; there are: scope, task, twice"):
        cancel_at_every_step(rest, backend=backend, kind=kind)


@pytest.mark.parametrize("backend", ["curio", "", None])
def test_a_backend_that_there_is_not_is_refused(backend: Any) -> None:
    with pytest.raises(ValueError, match=f"no backend {backend!r}; there are: asyncio, trio"):
        cancel_at_every_step(rest, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_program_that_is_not_async_is_refused(backend: Any) -> None:
    with pytest.raises(TypeError, match="program must be an async function; it returned None"):
        cancel_at_every_step(cast("Any", lambda: None), backend=backend)


@pytest.mark.parametrize("name", ["program", "setup", "check"])
def test_what_cannot_be_called_is_refused(name: str) -> None:
    given: dict[str, Any] = {"program": rest, "setup": None, "check": None, name: 7}
    with pytest.raises(TypeError, match=f"{name} must be a(n async)? function"):
        cancel_at_every_step(**given)


@pytest.mark.parametrize(
    "options",
    [
        {"every": 0},
        {"every": 1.5},
        {"every": True},
        {"limit": 0},
        {"limit": 2.5},
        {"limit": 3, "seed": "x"},
        {"grace": 0},
        {"grace": math.nan},
    ],
    ids=str,
)
def test_numbers_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        cancel_at_every_step(rest, **options)
