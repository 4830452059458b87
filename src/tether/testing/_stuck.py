"""Tell a program that can never go on from one that waits for something outside of it.

No I/O; threads are listed.
"""

import threading
from collections.abc import Collection, Sequence
from typing import Final

from tether.errors import TetherError
from tether.testing._remains import busy_threads
from tether.testing._stacks import TaskStack

__all__ = ("DeadlockError", "Outside")


class DeadlockError(TetherError, AssertionError):
    """Every task of a program waits, and nothing is left that could wake one. The text shows where they wait."""

    def __init__(self, stacks: Sequence[TaskStack]) -> None:
        shown = "".join(f"\n{stack}" for stack in stacks)
        super().__init__(f"all tasks wait, and nothing can wake one of them:{shown}")


_OUTSIDE: Final = {
    "run_in_executor",
    "run_sync_in_worker_thread",
    "shutdown_default_executor",
    "to_thread_run_sync",
    "wait_readable",
    "wait_writable",
    "wait_all_tasks_blocked",
    "SignalQueue.__anext__",
    "SignalReceiver.__anext__",
    "_SignalReceiver.__anext__",
}
"""Functions, by name, in which a task waits for a thread, a socket, a process, a signal, or for idleness."""

_OF_TRIO: Final = "wait_woken"
"""Where trio itself waits for other threads, always."""

_RUNNER: Final = "_run_tests_and_fixtures"
"""What runs the tests under anyio's pytest plugin, each of them a part of one program."""


class Outside:
    """What may wake a program from outside, beside what its tasks wait for by themselves.

    Made before the program begins: threads that there are already serve others.
    """

    def __init__(self) -> None:
        self._before = {thread.ident for thread in threading.enumerate()}

    def may_wake(self, stacks: Sequence[TaskStack]) -> bool:
        """Say whether something outside may yet wake one of the tasks, which wait where they stand."""
        if threading.current_thread() is not threading.main_thread():
            return True  # it serves other threads, as a portal does
        if busy_threads().keys() - self._before:
            return True
        return any(_waits_outside([code.co_qualname for code, _ in one.frames]) for one in stacks)


def _waits_outside(functions: Collection[str]) -> bool:
    names = {function.rpartition(".")[2] for function in functions} | set(functions)
    if _OF_TRIO in names:
        return False
    return not _OUTSIDE.isdisjoint(names) or _is_between_tests(list(functions))


def _is_between_tests(functions: Sequence[str]) -> bool:
    place = next((n for n, one in enumerate(functions) if one.endswith(_RUNNER)), None)
    return place is not None and functions[place + 1 :][:1] in (
        ["MemoryObjectReceiveStream.receive"],
        ["ObjectReceiveStream.__anext__"],
        ["UnreliableObjectReceiveStream.__anext__"],
    )
