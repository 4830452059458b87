"""A test that is stuck fails by itself, and the suite goes on."""

import threading

import anyio
import pytest
from tests.waiting import failing_after


def test_what_is_stuck_in_a_thread_s_lock_fails() -> None:
    with pytest.raises(pytest.fail.Exception, match="stuck"), failing_after(0.05):
        threading.Event().wait()


async def test_what_is_stuck_in_an_event_loop_fails() -> None:
    """The loop itself gets no turn, so that no deadline of its own could end this."""
    with pytest.raises(pytest.fail.Exception), failing_after(0.05):
        while True:
            pass
    await anyio.lowlevel.checkpoint()


def test_a_block_within_another_gives_its_time_back() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"within 0\.2 seconds"), failing_after(0.2):
        with failing_after(60):
            pass
        threading.Event().wait()
