"""A conversation in a file: an append-only log, one JSON object a line, that resumes and forks.

    {"format": 1, "id": "...", "time": ...}                                            the header
    {"id": "...", "parent": null, "kind": "message", "time": ..., "data": {...}}        an entry
    {"id": "...", "parent": "...", "kind": "label", "time": ..., "data": {"text": "..."}}

Each entry names the one before it, so the log is a tree, and a conversation is a branch: from the root to a leaf.
A fork is nothing but a new entry behind an older one: it copies nothing and loses nothing. What an agent within the
agent says is a conversation of its own: it begins with an entry of the kind `child`, at the root, and is never the one
that goes on when a session is opened.

Nothing that was written is ever changed. What a crash leaves half written at the end is set aside, in a file of its
own beside the log, and reported; everything before it is there. Lines without a header, each a message, are
format 0 and are read. Entries of a kind that is not known are kept.

Writing is done in place, without a thread: an append takes microseconds. With `fsync` it takes as long as the
disk does.
"""

import copy
import json
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Protocol, Self

from attrs import field, frozen

from tether.errors import DecodeError, UsageError
from tether.messages import JsonObject, Message, UserMessage
from tether.serialize import from_builtins, to_builtins
from tether.transcript import repaired

__all__ = ("Entry", "Session", "SessionInfo", "SessionStore", "sessions")

FORMAT: Final = 1


@frozen
class Entry:
    """One line of the log."""

    id: str
    parent: str | None
    kind: str
    data: JsonObject
    time: float = 0.0
    """Seconds since the epoch."""
    extra: JsonObject = field(factory=dict)
    """Whatever else the line says, kept for whoever wrote it."""

    def line(self) -> bytes:
        """Write it as it stands in the log, with its newline."""
        fields = {
            "id": self.id,
            "parent": self.parent,
            "kind": self.kind,
            "time": self.time,
            "data": self.data,
        }
        return json.dumps({**fields, **self.extra}, separators=(",", ":")).encode() + b"\n"

    @property
    def message(self) -> Message | None:
        """The message it holds, if it holds one.

        Raises:
            DecodeError: it says it holds one, and does not.
        """
        return from_builtins(self.data, Message) if self.kind == "message" else None


class SessionStore(Protocol):
    """What a session needs of the place it is kept in: all there is to write for a database."""

    def append(self, entry: Entry) -> None:
        """Keep an entry; return when it is kept."""
        ...

    def entries(self) -> Iterable[Entry]:
        """Give all entries in the order in which they were kept."""
        ...

    def close(self) -> None:
        """Let go of the place."""
        ...


class Session:
    """A conversation that is kept. Given to an `Agent`, it takes every message before it is announced.

    Close it, or use it as a context manager, so that others can write to the log.

    Args:
        store: where entries are kept; or the path of a log file to write to, which is made where there is none (see
            `open`).
        now: seconds since the epoch.
        new_id: makes the ids of entries.

    Raises:
        UsageError: another process or session has the file open for writing.
        DecodeError: the file is no session, or of a newer format.
        OSError: the file cannot be opened.
    """

    def __init__(
        self,
        store: SessionStore | str | os.PathLike[str],
        *,
        now: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        if isinstance(store, str | os.PathLike):
            store = _LogFile.open(Path(store), fsync=False)
        self._store = store
        self._now = now
        self._new_id = new_id
        self._entries = {entry.id: entry for entry in store.entries()}
        self._head = _last_of_the_main_conversation(self._entries)
        # What `note` said last of each kind, on the branch to the head.
        self._noted: dict[str, JsonObject] = self._find_notes()

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, fsync: bool = False) -> "Session":
        """Open a log to write to, making it where there is none.

        Args:
            path: the file.
            fsync: wait at each entry until the disk has it, so that it survives a power cut.

        Returns:
            The session, to be closed, or used as a context manager. Its conversation is the one that was written
            to last.

        Raises:
            UsageError: another process or session has it open for writing.
            DecodeError: it is no session, or of a newer format.
            OSError: the file cannot be opened.
        """
        return cls(_LogFile.open(Path(path), fsync=fsync))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "Session":
        """Open a log to read it, also while another session writes to it.

        Raises:
            DecodeError: it is no session, or of a newer format.
            OSError: the file cannot be opened.
        """
        return cls(_Snapshot(Path(path)))

    @property
    def torn(self) -> bytes:
        """What a crash had left half written at the end of the log, and was set aside."""
        return getattr(self._store, "torn", b"")

    @property
    def head(self) -> str | None:
        """The entry that the next one follows; None at the root."""
        return self._head

    @property
    def entries(self) -> Mapping[str, Entry]:
        """All entries by id, in the order in which they were written."""
        return dict(self._entries)

    @property
    def branch(self) -> Sequence[Entry]:
        """The entries from the root to the head."""
        return tuple(reversed(list(self._towards_root(self._head))))

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation from the root to the head, valid: calls without a result are `interrupted`."""
        return repaired(message for entry in self.branch if (message := entry.message) is not None)

    def append(self, kind: str, data: JsonObject) -> Entry:
        """Write an entry behind the head, which it becomes.

        Args:
            kind: what it is, such as `message`, `model`, `system`, `label`; any name will do.
            data: what it says.

        Returns:
            The entry.

        Raises:
            OSError: it cannot be written; the session is as it was.
            UsageError: the session was opened for reading, or closed.
        """
        entry = Entry(self._new_id(), self._head, kind, data, self._now())
        self._store.append(entry)
        self._entries[entry.id] = entry
        self._head = entry.id
        self._noted[kind] = data
        return entry

    def record(self, message: Message) -> Entry:
        """Write a message behind the head."""
        return self.append("message", to_builtins(message))

    def note(self, kind: str, data: JsonObject) -> None:
        """Write an entry, unless the last of its kind on this branch says the same."""
        if self._noted.get(kind) != data:
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
        self._head = None if entry is None else self._find(entry)
        self._noted = self._find_notes()

    def child(self, agent: str, call_id: str) -> "Session":
        """Begin the conversation of an agent that works for this one.

        Args:
            agent: its name.
            call_id: the call that it works for.

        Returns:
            A session over the same log, with a head of its own; it need not be closed.
        """
        child = copy.copy(self)
        child._head = None  # noqa: SLF001 - it is one of us
        child._noted = {}  # noqa: SLF001
        child.append("child", {"agent": agent, "call_id": call_id, "of": self._head})
        return child

    def branches(self) -> Sequence[Entry]:
        """Return the leaves: the last entries of all conversations, oldest first."""
        parents = {entry.parent for entry in self._entries.values()}
        return [entry for entry in self._entries.values() if entry.id not in parents]

    def copy_to(self, path: str | os.PathLike[str]) -> None:
        """Write all entries, the unknown ones too, to a new file.

        Raises:
            FileExistsError: there is a file already.
        """
        with open(path, "xb") as file:
            file.write(_header(self._new_id(), self._now()))
            file.writelines(entry.line() for entry in self._entries.values())

    def close(self) -> None:
        """Let others write to the log."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _towards_root(self, entry: str | None) -> Iterator[Entry]:
        while entry is not None:
            found = self._entries[entry]
            yield found
            entry = found.parent

    def _find_notes(self) -> dict[str, JsonObject]:
        return {entry.kind: entry.data for entry in self.branch}

    def _find(self, wanted: str) -> str:
        if wanted in self._entries:
            return wanted
        for entry in reversed(self._entries.values()):
            if entry.kind == "message" and entry.data.get("id") == wanted:
                return entry.id
        raise UsageError(f"the session has no entry or message {wanted!r}")


def _last_of_the_main_conversation(entries: Mapping[str, Entry]) -> str | None:
    last, aside = None, set[str]()
    for entry in entries.values():
        if entry.kind == "child" or entry.parent in aside:
            aside.add(entry.id)
        else:
            last = entry.id
    return last


@frozen
class SessionInfo:
    """A session in a folder."""

    path: Path
    title: str
    """Its first label, or what was said first."""
    time: float
    """When it was last written to; seconds since the epoch."""
    size: int
    """Bytes."""
    messages: int


def sessions(folder: str | os.PathLike[str]) -> Sequence[SessionInfo]:
    """List the sessions in a folder, those written to last first.

    Args:
        folder: where files called `*.jsonl` are looked for; it need not exist.

    Returns:
        One item for each file that can be read as a session; others are passed over.
    """
    found = [info for path in Path(folder).glob("*.jsonl") if (info := _info(path)) is not None]
    return sorted(found, key=lambda info: info.time, reverse=True)


def _info(path: Path) -> SessionInfo | None:
    try:
        session, status = Session.read(path), path.stat()
        entries = session.entries.values()
        said = [m for entry in entries if (m := entry.message) is not None]
    except (DecodeError, OSError):
        return None
    labels = [str(entry.data.get("text", "")) for entry in entries if entry.kind == "label"]
    first = [message.text for message in said if isinstance(message, UserMessage)]
    title = " ".join(next(iter([*labels, *first]), "").split())
    return SessionInfo(path, title[:80], status.st_mtime, status.st_size, len(said))


class _Snapshot:
    """A log as it is now; half a line at its end is left alone, as its writer may be at it."""

    def __init__(self, path: Path) -> None:
        whole, _, self.torn = path.read_bytes().rpartition(b"\n")
        self._entries = list(_parse(whole.split(b"\n") if whole else []))

    def entries(self) -> Iterable[Entry]:
        return self._entries

    def append(self, entry: Entry) -> None:
        raise UsageError(f"this session was opened for reading; cannot write {entry.kind!r}")

    def close(self) -> None:
        pass


class _LogFile:
    """A log that this process alone writes to."""

    def __init__(self, file: BinaryIO, path: Path, *, fsync: bool) -> None:
        self._file = file
        self._fsync = fsync
        self.torn = self._set_torn_end_aside(path)
        file.seek(0)
        self._entries = list(_parse(file.read().split(b"\n")[:-1]))
        file.seek(0, os.SEEK_END)
        if file.tell() == 0:
            self._write(_header(uuid.uuid4().hex, time.time()))

    @classmethod
    def open(cls, path: Path, *, fsync: bool) -> Self:
        file = open(path, "a+b", buffering=0)  # noqa: SIM115 - kept open as long as the session
        try:
            _lock(file, path)
            return cls(file, path, fsync=fsync)
        except BaseException:
            file.close()
            raise

    def entries(self) -> Iterable[Entry]:
        return self._entries

    def append(self, entry: Entry) -> None:
        if self._file.closed:
            raise UsageError("this session was closed")
        self._write(entry.line())

    def close(self) -> None:
        self._file.close()

    def _write(self, line: bytes) -> None:
        end = self._file.seek(0, os.SEEK_END)
        try:
            written = self._file.write(line)
            if written != len(line):
                raise OSError(f"only {written} of {len(line)} bytes were written")
            if self._fsync:
                os.fsync(self._file.fileno())
        except OSError:
            # Half a line must not stand in the way of the next.
            self._file.truncate(end)
            raise

    def _set_torn_end_aside(self, path: Path) -> bytes:
        self._file.seek(0)
        content = self._file.read()
        whole = content.rfind(b"\n") + 1
        torn = content[whole:]
        if torn:
            with path.with_name(f"{path.name}.torn").open("ab") as aside:
                aside.write(torn + b"\n")
            self._file.truncate(whole)
        return torn


def _lock(file: BinaryIO, path: Path) -> None:
    """Become the only writer; the lock goes with the file, also when the process is killed."""
    try:
        import fcntl  # noqa: PLC0415 - where there is none, the next line says what is lost
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise UsageError(
            f"another session writes to {path}: close it, or open this one with Session.read"
        ) from error


def _header(id_: str, now: float) -> bytes:
    return json.dumps({"format": FORMAT, "id": id_, "time": now}).encode() + b"\n"


def _parse(lines: Sequence[bytes]) -> Iterator[Entry]:
    """Read the lines of a log of any format up to ours."""
    if not lines:
        return
    first = _object(lines[0], 1)
    if "format" not in first:
        yield from _parse_bare_messages(lines)
        return
    if first["format"] != FORMAT:
        raise DecodeError(
            f"format {first['format']!r} is not known; up to {FORMAT} is", path="line 1"
        )
    known: set[str] = set()
    for number, line in enumerate(lines[1:], 2):
        entry = _entry(_object(line, number), number)
        if entry.parent is not None and entry.parent not in known:
            raise DecodeError(
                f"it follows {entry.parent!r}, which is not there", path=f"line {number}"
            )
        known.add(entry.id)
        yield entry


def _parse_bare_messages(lines: Sequence[bytes]) -> Iterator[Entry]:
    parent = None
    for number, line in enumerate(lines, 1):
        entry = Entry(f"line-{number}", parent, "message", _object(line, number))
        _checked(entry, number)
        yield entry
        parent = entry.id


def _entry(fields: dict[str, Any], number: int) -> Entry:
    match fields:
        case {
            "id": str(id_),
            "parent": str() | None as parent,
            "kind": str(kind),
            "data": dict(data),
        }:
            extra = {
                k: v for k, v in fields.items() if k not in {"id", "parent", "kind", "data", "time"}
            }
            return _checked(Entry(id_, parent, kind, data, fields.get("time", 0.0), extra), number)
    raise DecodeError(
        'an entry needs "id" (a string), "parent" (a string or null), "kind" (a string) '
        'and "data" (an object)',
        path=f"line {number}",
    )


def _checked(entry: Entry, number: int) -> Entry:
    try:
        _ = entry.message
    except DecodeError as error:
        raise DecodeError(str(error), path=f"line {number}") from error
    return entry


def _object(line: bytes, number: int) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except ValueError as error:
        raise DecodeError(f"no JSON: {error}", path=f"line {number}") from error
    if not isinstance(fields, dict):
        raise DecodeError(f"expected an object, got {type(fields).__name__}", path=f"line {number}")
    return fields
