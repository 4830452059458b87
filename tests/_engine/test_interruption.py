"""What is in flight in a run is in one state at a time, and `interrupt` does what the table says."""

import anyio
import anyio.lowlevel
import pytest

from tether._engine.interruption import RunControl
from tether.limits import Limits
from tether.loop import End
from tether.testing import Backend, virtual_clock

GUARD = 60


async def _waits(control: RunControl) -> bool:
    """Perform a request that never ends by itself; say whether it was interrupted."""
    ended = False
    with anyio.fail_after(GUARD), control.interruptible():
        await anyio.sleep_forever()
        ended = True
    return not ended


async def test_an_interruption_ends_the_request_in_flight_and_not_the_run() -> None:
    control = RunControl(Limits)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_waits, control)
        await anyio.wait_all_tasks_blocked()
        control.interrupt()
        control.interrupt()
    assert control.ending is None


async def test_an_interruption_of_nothing_does_not_reach_the_next_request() -> None:
    control = RunControl(Limits)
    control.interrupt()
    with control.interruptible():
        await anyio.lowlevel.checkpoint()
        passed = True
    assert passed


async def test_an_interruption_waits_for_every_listener() -> None:
    control = RunControl(Limits)
    heard: list[str] = []
    with control.interruptible():
        with control.listening():
            with control.listening():
                control.interrupt()
                await anyio.lowlevel.checkpoint()
                heard.append("inner")
            await anyio.lowlevel.checkpoint()
            heard.append("outer")
        await anyio.lowlevel.checkpoint()
        heard.append("never")
    assert heard == ["inner", "outer"]


async def test_an_interruption_that_is_due_ends_with_the_request_it_was_for() -> None:
    control = RunControl(Limits)
    with control.listening():
        with control.interruptible():
            control.interrupt()
        with control.interruptible():
            await anyio.lowlevel.checkpoint()
            passed = True
    assert passed


async def test_an_abort_ends_the_request_and_the_run_and_the_first_end_counts() -> None:
    control = RunControl(Limits)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_waits, control)
        await anyio.wait_all_tasks_blocked()
        control.abort()
    control.end(End("error"))
    assert control.ending == End("aborted")


async def test_a_request_that_raises_leaves_nothing_in_flight() -> None:
    control = RunControl(Limits)
    with pytest.raises(ValueError, match="broken"), control.interruptible():
        raise ValueError("broken")
    control.interrupt()
    with control.interruptible():
        await anyio.lowlevel.checkpoint()
        passed = True
    assert passed


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_time_limit_counts_from_the_beginning_and_may_change(backend: Backend) -> None:
    limits = [Limits(seconds=60)]

    async def program() -> None:
        control = RunControl(lambda: limits[-1])
        control.start()
        begun = anyio.current_time()
        with control.interruptible():
            await anyio.sleep(50)
        assert control.ending is None
        limits.append(Limits(seconds=80))
        with control.interruptible():
            await anyio.sleep_forever()
        assert anyio.current_time() - begun == pytest.approx(80)
        assert control.ending == End("limit", "seconds")

    name, options = virtual_clock(backend)
    anyio.run(program, backend=name, backend_options=options)
