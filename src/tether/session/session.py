"""A conversation that is kept, over any store."""

import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self

import anyio
from attrs import evolve

from tether._scopes.owned import Owned
from tether._scopes.threads import run_in_thread
from tether.calls import CallEnded, CallNote, OpenCalls
from tether.errors import LostClaimError, UsageError
from tether.messages import AssistantMessage, JsonObject, Message, unique
from tether.serialize import to_builtins
from tether.session.backlog import Backlog
from tether.session.calls import RESUMABLE, noted
from tether.session.entries import Entry
from tether.session.files import Damaged, LogFile, Snapshot, create_private
from tether.session.reading import header
from tether.session.stores import BatchStore, LeasedStore, SessionStore
from tether.session.tree import Branch, end_of_main_conversation, entries_by_id, find, leaves
from tether.transcript import repaired

__all__ = ("BatchStore", "LeasedStore", "Session", "SessionStore")


_CLOSING_TIME: Final = 5.0
"""Seconds that a store has to take what is left, where the event loop waits for it."""


class Session(Owned):
    """A conversation that is kept. Given to an `Agent`, it takes every message before it is announced.

    Where the store fails, the session goes on in memory: what could not be written is `behind`, and is written
    before whatever comes next.

    What is appended to a session over a `BatchStore` is `behind` until it is flushed, which a run does before it
    announces a message. So the event loop never waits for a disk or a server.

    Close it, or use it as a context manager, so that others can write to the log. In async code, `async with` and
    `aclose` leave the event loop free while they wait for a store.

    Args:
        store: where entries are kept; or the path of a log file to write to, which is made where there is none (see
            `open`).
        now: seconds since the epoch.
        new_id: makes the ids of entries.
        on_failure: called with the error each time that an entry cannot be written, which is then not raised: the
            conversation goes on, unkept for now.

    Raises:
        UsageError: another process or session has the file open for writing, or it is not a regular file.
        DecodeError: the file is not a session, of a newer format, or damaged; or the entries of the store do not hang
            together.
        OSError: the file cannot be opened.
    """

    _INSTEAD: ClassVar[str] = (
        "; Session.read opens its log once more, copy_to writes another, and fork goes back in this one"
    )

    def __init__(
        self,
        store: SessionStore | str | os.PathLike[str],
        *,
        now: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
        on_failure: Callable[[Exception], object] | None = None,
    ) -> None:
        if isinstance(store, str | os.PathLike):
            store = LogFile.open(Path(store), now=now, new_id=new_id)
        self._store: SessionStore = store
        # Shared with the sessions of children: they write to the same log.
        self._backlog = Backlog(store)
        self._lease = store if isinstance(store, LeasedStore) else None
        self._now = now
        self._new_id = new_id
        self._on_failure = on_failure
        self._entries = entries_by_id(store.entries())
        self._branch = Branch(self._entries, end_of_main_conversation(self._entries))

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        fsync: bool = False,
        damaged: Damaged = "refuse",
        on_failure: Callable[[Exception], object] | None = None,
    ) -> "Session":
        """Open a log to write to, making it where there is none.

        Its owner alone can read and write the file, also where an older one was open to others.

        Args:
            path: the file.
            fsync: wait at each entry until the disk has it, so that it survives a power cut.
            damaged: what becomes of a log with lines that cannot be read: `refuse` it, or `skip` them. Skipped lines
                are moved to a file beside the log, with `.damaged` behind its name. What followed such a line then
                follows the last entry before it.
            on_failure: see the class.

        Returns:
            The session, to be closed, or used as a context manager. Its conversation is the one that was written
            to last.

        Raises:
            UsageError: another process or session has it open for writing, or it is not a regular file.
            DecodeError: it is not a session, of a newer format, or damaged. The text names the line and the file, which
                is as it was.
            OSError: the file cannot be opened.
        """
        if damaged not in {"refuse", "skip"}:
            raise UsageError(f'damaged is "refuse" or "skip", not {damaged!r}')
        store = LogFile.open(Path(path), fsync=fsync, damaged=damaged)
        return cls(store, on_failure=on_failure)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "Session":
        """Open a log to read it, also while another session writes to it.

        Raises:
            UsageError: it is not a regular file.
            DecodeError: it is not a session, of a newer format, or damaged.
            OSError: the file cannot be opened.
        """
        return cls(Snapshot(Path(path)))

    @property
    def torn(self) -> bytes:
        """What a crash had left half written at the end of the log, and was set aside."""
        return getattr(self._store, "torn", b"")

    @property
    def damaged_lines(self) -> int:
        """How many lines could not be read when the log was opened, and were moved to a file beside it."""
        return len(getattr(self._store, "damage", ()))

    @property
    def behind(self) -> Sequence[Entry]:
        """The entries that the store has not taken yet; `flush`, `catch_up`, `close` and the next entry try again."""
        return tuple(self._backlog)

    @property
    def flushed_later(self) -> bool:
        """Whether entries wait for a `flush`, as the store takes a while (see `BatchStore`)."""
        return self._backlog.takes_a_while

    @property
    def renew_every(self) -> float | None:
        """After how many seconds the store wants to be renewed; None if it does not."""
        return None if self._lease is None else self._lease.renew_every

    @property
    def head(self) -> str | None:
        """The entry that the next one follows; None at the root."""
        return self._branch.head

    @property
    def entries(self) -> Mapping[str, Entry]:
        """All entries by id, in the order in which they were written."""
        return dict(self._entries)

    @property
    def branch(self) -> Sequence[Entry]:
        """The entries from the root to the head."""
        return self._branch.from_root()

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation from the root to the head, valid: calls without a result are `interrupted`."""
        said = (message for entry in self.branch if (message := entry.message) is not None)
        return repaired([*said, *self._branch.calls.results()])

    @property
    def open_calls(self) -> OpenCalls | None:
        """The calls of the last reply that a run goes on with; None where all have results, or something else was said.

        An agent with this session takes them up: see `Agent.run`.
        """
        return self._branch.calls.open

    def append(self, kind: str, data: JsonObject) -> Entry:
        """Write an entry behind the head, which it becomes.

        Args:
            kind: what it is, such as `message`, `model`, `system`, `label`; any name will do.
            data: what it says.

        Returns:
            The entry.

        Raises:
            Exception: what the store raised, such as an OSError. The entry is there, and `behind`.
            UsageError: JSON cannot hold the data, or the session was opened for reading, or closed; it is as it was.
        """
        entry = self._next(kind, data)
        if self.flushed_later:
            entry.line()  # what raises here would keep all that follows from being written
        self._put(entry)
        return entry

    def _next(self, kind: str, data: JsonObject, extra: JsonObject | None = None) -> Entry:
        # A `new_id` that counts begins anew where a log is opened again.
        id_ = unique(self._new_id(), self._entries)
        return Entry(id_, self.head, kind, data, self._now(), extra or {})

    def adopt(self, entry: Entry) -> None:
        """Write an entry that another session of the same conversation has made; see `append`.

        It becomes the head where it follows it. What is no message, and was written here meanwhile, comes before it.
        One that is here already stays as it is.

        Raises:
            UsageError: it follows an entry that is not here.
            Exception: as `append`.
        """
        if entry.parent is not None and entry.parent not in self._entries:
            raise UsageError(f"the entry that {entry.id!r} follows, {entry.parent!r}, is not here")
        if entry.id in self._entries:
            return
        if entry.kind != "child" and self._branch.says_nothing_since(entry.parent):
            entry = evolve(entry, parent=self.head)
        self._put(entry, adopted=True)

    def _put(self, entry: Entry, *, adopted: bool = False) -> None:
        self._backlog.append(entry)
        self._entries[entry.id] = entry
        if entry.parent == self.head and not (adopted and entry.kind == "child"):
            self._branch.grow(entry)
        if self.flushed_later:
            return
        try:
            self._try_to_catch_up()
        except UsageError:
            self._take_back(entry)
            raise

    def record(self, message: Message) -> Entry:
        """Write a message behind the head, unless it is the last of this branch already; see `append`.

        So a message whose writing has failed is simply given again.
        """
        said = (entry for entry in self._branch if entry.kind == "message")
        last = next(said, None)
        if last is not None and message.id and last.data.get("id") == message.id:
            if not self.flushed_later:
                self._try_to_catch_up()
            return last
        resumable = isinstance(message, AssistantMessage) and bool(message.tool_calls)
        extra: JsonObject = {RESUMABLE: True} if resumable else {}
        entry = self._next("message", to_builtins(message), extra)
        self._put(entry)
        return entry

    def note_call(self, note: CallNote) -> None:
        """Write what a call of the last reply has come to: an entry `asked`, `begun` or `result`; see `append`.

        A program that records replies without an agent, and has their calls run, does the same.
        """
        if not (isinstance(note, CallEnded) and self._branch.calls.has_ended(note.result.call_id)):
            self.append(*noted(note))

    def catch_up(self) -> None:
        """Write what is `behind`, and return when it is written; see `flush`.

        Raises:
            Exception: what the store raised; what it has not taken is still behind.
        """
        self._backlog.write()

    async def flush(self) -> None:
        """Write what is `behind`: in a worker thread, where the store takes a while.

        Raises:
            Exception: what the store raised, unless the session has an `on_failure`; it is still behind.

        Cancellation:
            At once. A worker thread goes on by itself, and what it writes is kept.
        """
        if not self._backlog:
            return
        try:
            if self.flushed_later:
                await run_in_thread(self.catch_up, limiter=anyio.CapacityLimiter(1))
            else:
                self.catch_up()
        except Exception as failure:  # noqa: BLE001 - it is raised, or handed on
            self._failed(failure)

    async def renew(self) -> None:
        """Tell the store that its writer is still there, in a worker thread; only where it wants that.

        Raises:
            LostClaimError: another has taken the conversation over.
            Exception: what else the store raised.

        Cancellation:
            At once.
        """
        if self._lease is not None:
            await run_in_thread(self._lease.renew, limiter=anyio.CapacityLimiter(1))

    def note(self, kind: str, data: JsonObject) -> None:
        """Write an entry, unless the last of its kind on this branch says the same."""
        if self._branch.notes.get(kind) != data:
            self.append(kind, data)

    def label(self, text: str) -> Entry:
        """Give this place in the conversation a name; the first is the title of the session."""
        return self.append("label", {"text": text})

    def fork(self, entry: str | None = None) -> None:
        """Go back: what is written next follows an earlier entry. Nothing is copied or lost.

        Args:
            entry: the id of an entry or of a message; None for the root, an empty conversation.

        Raises:
            UsageError: there is no such entry.
        """
        self._branch.move(None if entry is None else find(self._entries, entry))

    def child(self, agent: str, call_id: str) -> "Session":
        """Begin the conversation of an agent that works for this one.

        Args:
            agent: its name.
            call_id: the call that it works for.

        Returns:
            A session over the same log, with a head of its own; it need not be closed.
        """
        child = object.__new__(type(self))
        vars(child).update(vars(self), _branch=Branch(self._entries, None))
        child.append("child", {"agent": agent, "call_id": call_id, "of": self.head})
        return child

    def branches(self) -> Sequence[Entry]:
        """Return the leaves: the last entries of all conversations, oldest first."""
        return leaves(self._entries)

    def copy_to(self, path: str | os.PathLike[str]) -> None:
        """Write all entries, the unknown ones too, to a new file.

        Raises:
            FileExistsError: there is a file already.
        """
        file = create_private(Path(path))
        with open(file.fileno(), "ab", closefd=False) as buffered, file:
            buffered.write(header(self._new_id(), self._now()))
            buffered.writelines(entry.line() for entry in self._entries.values())
            buffered.flush()

    def close(self) -> None:
        """Let others write to the log.

        Raises:
            Exception: what the store raised: entries that were `behind` are not kept. The log is closed all the same.
        """
        try:
            self._try_to_catch_up()
        finally:
            self._store.close()

    async def aclose(self) -> None:
        """Close it in a worker thread: the event loop does not wait for a disk or a server.

        Raises:
            TimeoutError: the store has not taken what was `behind` within five seconds.
            Exception: as in `close`.

        Cancellation:
            Waits until it is closed, for at most five seconds. A thread that takes longer goes on by itself.
        """
        with anyio.fail_after(_CLOSING_TIME, shield=True):
            await run_in_thread(self.close, limiter=anyio.CapacityLimiter(1))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.aclose()
        except Exception as failure:  # noqa: BLE001 - raised, or told
            _tell_of(failure, error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except Exception as failure:  # noqa: BLE001 - raised, or told
            _tell_of(failure, error)

    def _try_to_catch_up(self) -> None:
        try:
            self.catch_up()
        except Exception as failure:  # noqa: BLE001 - it is raised, or handed on
            self._failed(failure)

    def _failed(self, failure: Exception) -> None:
        """Hand an exception that is being handled to `on_failure`, or raise it."""
        if self._on_failure is None or isinstance(failure, UsageError | LostClaimError):
            raise failure
        self._on_failure(failure)

    def _take_back(self, entry: Entry) -> None:
        """Forget an entry that was refused."""
        self._backlog.remove(entry)
        del self._entries[entry.id]
        head = self.head
        self._branch.move(entry.parent if head == entry.id else head)


def _tell_of(failure: Exception, error: BaseException | None) -> None:
    """Raise what closing has raised; where an exception is on its way, which says more, note it there."""
    if error is None:
        raise failure
    error.add_note(f"the session could not be kept to its end: {failure}")
