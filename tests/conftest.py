"""Every async test runs on each backend; what a test leaves behind fails it."""

import asyncio
import gc
import os
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers
from tests.waiting import failing_after

TESTS = Path(__file__).parent

SECONDS_FOR_A_TEST = 300
"""Far more than any test takes, also on a busy machine."""

# A machine that is busy is not a fault of the code.
for _profile, _examples in (("quick", 40), ("thorough", 400)):
    settings.register_profile(
        _profile,
        settings.default,
        max_examples=_examples,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile("quick")

# Hypothesis takes constants from all modules of ours that happen to be loaded: what one test tries would depend on what
# another has imported, and change in the middle of a test that imports something.
providers.is_local_module_file = lambda _: False  # type: ignore[assignment, attr-defined]

# Each process of pytest would compile the tests anew, and the hundreds of commands that they start the package.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `tests/explore` and `tests/ray` do more, or something else."""
    parser.addoption(
        "--runs", type=int, default=30, help="how many runs of each program tests/explore tries"
    )
    parser.addoption(
        "--cancellations", type=int, default=8, help="how often tests/ray cancels a run on a worker"
    )
    parser.addoption(
        "--remote-runs",
        type=int,
        default=100,
        help="how many runs tests/ray has on its workers at once",
    )
    parser.addoption("--seed", type=int, help="what tests/explore chooses its runs by")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Give each core two workers: many tests wait for servers, terminals and commands."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(cores, min(2 * cores, 8))


def _for_one_thread(schedule: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse what another thread schedules, as asyncio's debug mode does.

    That keeps the whole stack of each future besides, which takes a third of a test's time.
    """
    own = threading.get_ident()

    def checked(*args: Any, **options: Any) -> Any:
        if threading.get_ident() != own:
            raise RuntimeError("the event loop belongs to another thread")
        return schedule(*args, **options)

    return checked


def _loop_factory(*, eager: bool) -> Callable[[], asyncio.AbstractEventLoop]:
    def make() -> asyncio.AbstractEventLoop:
        loop: Any = asyncio.new_event_loop()
        if not eager:
            loop.call_soon, loop.call_at = map(_for_one_thread, (loop.call_soon, loop.call_at))
        elif sys.version_info >= (3, 12):
            loop.set_task_factory(asyncio.eager_task_factory)
        assert isinstance(loop, asyncio.AbstractEventLoop)
        return loop

    return make


_BACKENDS: list[Any] = [
    pytest.param(("asyncio", {"loop_factory": _loop_factory(eager=False)}), id="asyncio"),
    pytest.param(("trio", {"restrict_keyboard_interrupt_to_checkpoints": False}), id="trio"),
]
if sys.version_info >= (3, 12):
    _BACKENDS.append(
        pytest.param(("asyncio", {"loop_factory": _loop_factory(eager=True)}), id="eager")
    )


EAGER_MATTERS = {"_channel", "_engine", "_scopes", "agent", "cancellation", "iterator", "session"}
"""Rooms whose code depends on when a task takes its first step; others are tried with eager tasks by `-m thorough`."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave eager tasks to the thorough tests, but where they matter most."""
    for item in items:
        *rooms, _ = item.path.relative_to(TESTS).parts
        is_eager = isinstance(item, pytest.Function) and "eager" in item.name.rstrip("]").split(
            "["
        )[-1].split("-")
        if is_eager and rooms and rooms[0] not in EAGER_MATTERS:
            item.add_marker("thorough")


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Keep the garbage collector off the tests themselves: looking at all of them takes it half a second each time."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """Let a test that is stuck fail alone: the others are still run."""
    with failing_after(SECONDS_FOR_A_TEST):
        return (yield)


@pytest.fixture(params=_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """The event loops that tether promises to run on."""
    return request.param


@pytest.fixture(scope="module")
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Print a line also where the output of tests is not shown."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def show(line: str) -> None:
        with capture.global_and_fixture_disabled() if capture is not None else nullcontext():
            print(f"\n{line}")

    return show


@pytest.fixture(scope="module")
def quick_garbage_collection() -> None:
    """Keep the garbage collector, by which a module looks for leaks again and again, off what was there before."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def garbage_collected_after_each() -> Iterator[None]:
    """Let what a test has dropped complain in that test."""
    yield
    gc.collect()
