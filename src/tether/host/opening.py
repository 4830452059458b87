"""Open a host."""

import math
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Literal, TypeAlias, cast

import anyio
from anyio.to_thread import run_sync

from tether import UsageError
from tether.host.host import Host, HostSettings, MakeAgent
from tether.host.recordings import Recordings
from tether.host.store import Store
from tether.replay.masking import checked_secrets

__all__ = ("WhenUnwatched", "open")

WhenUnwatched: TypeAlias = Literal["go_on", "cancel"] | float
"""What becomes of a run that nobody follows: see `open`."""


def open(
    make_agent: MakeAgent,
    *,
    store: Store | None = None,
    when_unwatched: WhenUnwatched = "go_on",
    max_conversations: int = 1000,
    max_runs: int = 100,
    max_log_bytes: int = 64 * 1024 * 1024,
    rest_after: float = 600.0,
    record: str | os.PathLike[str] | None = None,
    secrets: Iterable[str] = (),
) -> AbstractAsyncContextManager[Host]:
    """Open a host, which holds conversations for as long as the block lasts.

    Args:
        make_agent: makes the agent of a conversation, new for each; plain or async. It is given the conversation, of
            which it may use `id`, `owner`, `title` and `approve`. The host gives the agent its session and messages.
        store: where conversations are kept, such as `FolderStore("conversations")`. Without one they last as long as
            the host, or until they are deleted.
        when_unwatched: what becomes of a run that nobody follows: `go_on`; `cancel` ends it in order as the last viewer
            leaves; a number does so after so many seconds without a viewer, counted from the start of the run too.
        max_conversations: how many conversations may be held at once. Where that many are, one that is at rest is let
            go of, if it is kept in a store.
        max_runs: how many runs may go at once.
        max_log_bytes: about how many bytes the log of one conversation may hold, its messages included.
        rest_after: seconds after which a conversation is let go of, if it is kept in a store, no run goes and nobody
            follows it. It comes back from the store when it is asked for.
        record: a folder in which all runs are recorded, for `tether.replay`: a new file each time that a conversation
            is made or comes back from the store. Where a file cannot be written to, the runs go on, and the log of the
            process says why.
        secrets: what is taken out of the recordings, such as keys; as for `tether.replay.record`.

    Returns:
        A context manager that gives the host. Leaving its block cancels all runs, and waits until they have cleaned up;
        viewers come to their end.

    Raises:
        UsageError: something that is given is not what it must be; at once. As its block begins: no file can be made in
            `record`.
        BaseException: what the block raised, as it was.

    Cancellation:
        Cancels all runs, waits until they have cleaned up, and passes on. All transcripts are complete, and kept.
    """
    return _opened(
        HostSettings(
            make_agent=_function(make_agent),
            store=store,
            grace=_grace(when_unwatched),
            max_conversations=_count("max_conversations", max_conversations),
            max_runs=_count("max_runs", max_runs),
            max_log_bytes=_count("max_log_bytes", max_log_bytes),
            rest_after=_seconds("rest_after", rest_after),
            recordings=_recordings(record, secrets),
        )
    )


def _recordings(folder: str | os.PathLike[str] | None, secrets: Iterable[str]) -> Recordings | None:
    known = checked_secrets(secrets)
    if folder is not None:
        return Recordings(folder, known)
    if known:
        raise UsageError("secrets are taken out of recordings, and there are none without record=")
    return None


@asynccontextmanager
async def _opened(settings: HostSettings) -> AsyncIterator[Host]:
    """Hold a host open; see `open`."""
    if settings.recordings is not None:
        await run_sync(settings.recordings.prepare)
    raised: list[BaseException] = []
    async with anyio.create_task_group() as tasks:
        host = Host(settings, tasks)
        try:
            yield host
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:  # noqa: BLE001 - raised below, past what the task group makes of it
            raised.append(error)
        finally:
            host.close()
    for failure in raised:
        raise failure


def _function(make_agent: Any) -> MakeAgent:
    if not callable(make_agent):
        raise UsageError(f"make_agent must be a function that makes an Agent, not {make_agent!r}")
    return cast("MakeAgent", make_agent)


def _grace(when_unwatched: Any) -> float:
    match when_unwatched:
        case "go_on":
            return math.inf
        case "cancel":
            return 0.0
        case str():
            raise UsageError(
                f"when_unwatched is 'go_on', 'cancel' or seconds, not {when_unwatched!r}"
            )
        case _:
            return _seconds("when_unwatched", when_unwatched)


def _seconds(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise UsageError(f"{name} must be seconds, more than 0, not {value!r}")
    return float(value)


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"{name} must be a whole number from 1 on, not {value!r}")
    return value
