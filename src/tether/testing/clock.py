"""A clock for tests: time passes when nobody has anything to do, and then at once.

An hour's sleep takes no time at all, and what is compared at its end is exact. While a worker thread is
being waited for, time passes as it does outside, since a thread's work is not to be jumped over. Sockets and
processes are not seen: a program that waits for one beside a deadline reaches the deadline first, so
let programs under this clock use memory streams.

Where every task waits, no deadline is left, and no thread, socket, process or signal is waited for, nothing can happen
any more: `DeadlockError` is raised, which shows where the tasks wait.
"""

from typing import Any, Literal, TypeAlias, get_args

from tether.testing._on_asyncio import ClockedLoop
from tether.testing._stuck import DeadlockError
from tether.testing._time import VirtualTime

__all__ = ("Backend", "DeadlockError", "check_backend", "virtual_clock")

Backend: TypeAlias = Literal["asyncio", "trio"]
"""What a program runs on, as `anyio.run` names it."""


def virtual_clock(backend: Backend) -> tuple[Backend, dict[str, Any]]:
    """Make the options that run a program under a virtual clock.

    The clock begins at 0. The options are good for one program at a time.

    Args:
        backend: what to run it on.

    Returns:
        The backend and its options, as `anyio.run` takes them and as anyio's pytest plugin takes them
        from a fixture:

            name, options = virtual_clock("trio")
            anyio.run(main, backend=name, backend_options=options)

            @pytest.fixture(params=["asyncio", "trio"])
            def anyio_backend(request):
                return virtual_clock(request.param)

    Raises:
        ValueError: there is no such backend.
    """
    check_backend(backend)
    if backend == "asyncio":
        return backend, {"loop_factory": lambda: ClockedLoop(VirtualTime(), raises=True)}
    from tether.testing._on_trio import ClockedTrio  # noqa: PLC0415 - trio is an extra

    clock = ClockedTrio(VirtualTime(), raises=True)
    return backend, {"clock": clock, "instruments": [clock]}


def check_backend(backend: str) -> None:
    """Check that there is such a backend.

    Raises:
        ValueError: there is not; the text names those that are.
    """
    if backend not in get_args(Backend):
        known = ", ".join(get_args(Backend))
        raise ValueError(f"there is no backend {backend!r}; there are: {known}")
