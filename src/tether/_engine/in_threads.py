"""Call a plain function in a worker thread, which may come back after it was given up."""

import inspect
import logging
from collections.abc import Callable, Sequence

__all__ = ("close_unawaited", "in_thread")

_log = logging.getLogger("tether")


def in_thread(
    function: Callable[[], object], name: str, returned: list[object], given_up: Sequence[bool]
) -> None:
    """Call a function whose result is left in `returned`, unless it was given up meanwhile.

    Raises:
        Exception: what it raised; a RuntimeError for SystemExit.
    """
    try:
        returned.append(function())
    except SystemExit as error:
        # Raised in the event loop it would end the program; here it says that the function has no result.
        raise RuntimeError(f"{name} called sys.exit({error.code!r})") from error
    except BaseExceptionGroup as group:
        # A function that runs an event loop of its own may raise the same in a group.
        exits, rest = group.split(SystemExit)
        if exits is None or not isinstance(rest, ExceptionGroup | None):
            raise
        raise RuntimeError(f"{name} called sys.exit") from group
    finally:
        if given_up:
            _log.warning("%s came back after it was given up; its result is discarded", name)
            close_unawaited(returned)


def close_unawaited(returned: Sequence[object]) -> None:
    """Close a coroutine that nobody will await any more."""
    for one in returned:
        if inspect.iscoroutine(one):
            one.close()
