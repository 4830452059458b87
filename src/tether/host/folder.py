"""Conversations in a folder: a session log for each, `ID.jsonl`; those of an owner with a name in a folder of theirs.

A conversation has a file from its first message on. Names are written in lower case, with `%41` for other characters:
so two that differ in case are two files on every file system, and none leads out of the folder.
"""

import json
import os
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from anyio.to_thread import run_sync
from attrs import define, field

from tether import Message, Session, TetherError, UsageError, UserMessage
from tether.host.store import ConversationInfo
from tether.serialize import from_builtins
from tether.session import Entry
from tether.session.files import Damaged, LogFile, delete_log

__all__ = ("FolderStore",)

_LONGEST_NAME: Final = 200
"""Bytes of a file's name; file systems allow 255, ours has something behind it."""
_LONGEST_TITLE: Final = 80
_START: Final = re.compile(rb'\{"id":"([^"\\]*)","parent":(?:null|"([^"\\]*)"),"kind":"([^"\\]*)"')
"""How a line begins that tether wrote: enough to tell what it is without reading all of it."""

_PLAIN: Final = re.compile(r'[^"\\\x00-\x1f\x7f-\U0010ffff]*')
"""Text that stands in JSON as it is."""


class FolderStore:
    """A store in a folder of session logs. Only one process may write to a log at a time.

    A message is written to its file before it is announced, so a killed process loses none.

    Args:
        folder: the folder, made when it is needed, for its owner alone.
        fsync: wait at each message until the disk has it, so that it survives a power cut.
        damaged: what becomes of a log with lines that cannot be read: `skip` moves them to a file beside it, `refuse`
            raises `DecodeError`.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        fsync: bool = False,
        damaged: Damaged = "skip",
    ) -> None:
        if not str(folder):
            raise UsageError("the folder of a FolderStore must have a name")
        self.folder: Final = Path(folder)
        self._fsync = fsync
        self._damaged: Damaged = damaged
        # What was read of each file, as long as it is as it was then.
        self._read: dict[Path, _Read] = {}

    def path(self, id: str, owner: str = "") -> Path:
        """Say where a conversation is kept.

        Raises:
            UsageError: the id or the owner is too long.
        """
        return self._folder_of(owner) / f"{_file_name('id', id)}.jsonl"

    async def open(self, id: str, owner: str, *, create: bool) -> Session | None:
        """Open a session to write to; see `Store.open`.

        Raises:
            BusyError: another process writes to it.
            UsageError: the id or the owner is too long.
            DecodeError: the file is no session, or it is damaged, and that is refused.
            OSError: the file cannot be opened.

        Cancellation:
            Once the file is open; it is then closed.
        """
        return await run_sync(partial(self._opened, self.path(id, owner), create=create))

    async def find(
        self, owner: str, *, search: str, limit: int, before: tuple[float, str] | None
    ) -> Sequence[ConversationInfo]:
        """List the conversations of an owner; see `Store.find`. Files that are no sessions are passed over.

        Cancellation:
            Stops waiting, and leaves the thread that reads; it only reads.
        """
        find = partial(self._found, owner, search.casefold(), limit, before)
        return await run_sync(find, abandon_on_cancel=True)

    async def delete(self, id: str, owner: str) -> bool:
        """Delete the file of a conversation, and what was set aside of it; see `Store.delete`.

        Raises:
            BusyError: another process writes to it.
            OSError: it cannot be deleted.

        Cancellation:
            Before it begins, or after its end.
        """
        return await run_sync(partial(_deleted, self.path(id, owner)))

    def _opened(self, path: Path, *, create: bool) -> Session | None:
        if path.exists():
            return Session.open(path, fsync=self._fsync, damaged=self._damaged)
        return Session(_LaterLog(path, self._fsync)) if create else None

    def _folder_of(self, owner: str) -> Path:
        # No id begins like this, and nothing but a log ends like one.
        return self.folder / f"@{_file_name('owner', owner)}" if owner else self.folder

    def _found(
        self, owner: str, words: str, limit: int, before: tuple[float, str] | None
    ) -> list[ConversationInfo]:
        kept = [(path, info) for path, info in self._all(owner) if info.messages]
        fitting = ((path, info) for path, info in kept if before is None or info.place < before)
        listed: list[ConversationInfo] = []
        for path, info in sorted(fitting, key=lambda one: one[1].place, reverse=True):
            if len(listed) >= limit:
                break
            if not words or words in info.title.casefold() or _mentions(path, words):
                listed.append(info)
        return listed

    def _all(self, owner: str) -> Iterator[tuple[Path, ConversationInfo]]:
        folder = self._folder_of(owner)
        paths = set(folder.glob("*.jsonl"))
        for path in [
            known for known in self._read if known.parent == folder and known not in paths
        ]:
            self._read.pop(path, None)
        for path in paths:
            if (read := self._read_again(path, owner)) is not None:
                yield path, read.info

    def _read_again(self, path: Path, owner: str) -> "_Read | None":
        try:
            status = path.stat()
            version = (status.st_mtime_ns, status.st_size)
            known = self._read.get(path)
            if known is None or known.version != version:
                known = self._read[path] = _Read(version, _info(path, owner, status.st_mtime))
        except (OSError, ValueError, TetherError):
            return None
        return known


@define
class _Read:
    """What a file says, and the version of the file."""

    version: tuple[int, int]
    info: ConversationInfo


class _LaterLog:
    """A log that is made when there is a message to keep."""

    def __init__(self, path: Path, fsync: bool) -> None:  # noqa: FBT001 - private
        self._path = path
        self._fsync = fsync
        self._early: list[Entry] = []
        self._file: LogFile | None = None

    def append(self, entry: Entry) -> None:
        """Keep an entry: what comes before the first message waits for that."""
        if self._file is None and entry.kind != "message":
            entry.line()  # which refuses what cannot be kept
            self._early.append(entry)
            return
        if self._file is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = LogFile.open(self._path, fsync=self._fsync)
        while self._early:
            self._file.append(self._early[0])
            del self._early[0]
        self._file.append(entry)

    def entries(self) -> Sequence[Entry]:
        """Give nothing: it is new."""
        return ()

    def close(self) -> None:
        """Let others write to it."""
        if self._file is not None:
            self._file.close()


def _file_name(what: str, name: str) -> str:
    encoded = "".join(
        character
        if character in "abcdefghijklmnopqrstuvwxyz0123456789_-"
        else "".join(f"%{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))
        for character in name
    )
    if not name or len(encoded) > _LONGEST_NAME:
        raise UsageError(
            f"the {what} of a conversation must have from 1 to {_LONGEST_NAME} bytes as the name of a file, "
            f"not {len(encoded)}"
        )
    return encoded


def _name_of(path: Path) -> str:
    """Read an id from the name of a file."""
    parts = re.split(r"%([0-9a-f]{2})", path.name.removesuffix(".jsonl"))
    read = b"".join(
        bytes.fromhex(part) if place % 2 else part.encode() for place, part in enumerate(parts)
    )
    return read.decode("utf-8", "surrogatepass")


def _deleted(path: Path) -> bool:
    was_there = delete_log(path)
    for kind in ("torn", "damaged"):
        path.with_name(f"{path.name}.{kind}").unlink(missing_ok=True)
    return was_there


# Reading what a file says. Most of it is messages, of which little is needed: their lines are not decoded.


@define
class _Summary:
    """What the lines of a log say of its conversation."""

    title: str = ""
    label: str = ""
    said: str = ""
    model: str = ""
    messages: int = 0
    last: bytes = b""
    """The line of the last message."""
    _aside: set[bytes] = field(factory=set[bytes])
    """The entries of conversations of agents within the agent."""

    def take(self, line: bytes) -> None:
        """Take in a line. What cannot be read is passed over."""
        found = _START.match(line)
        if found is None or not line.endswith(b"}\n"):
            return
        id_, parent, kind = found.groups()
        if kind == b"child" or parent in self._aside:
            self._aside.add(id_)
            return
        match kind:
            case b"message":
                self.messages += 1
                self.last = line
                if not self.said and isinstance(message := _message(line), UserMessage):
                    self.said = message.text
            case b"title":
                self.title = _text(line, "text")
            case b"label":
                self.label = self.label or _text(line, "text")
            case b"model":
                self.model = _text(line, "name")
            case _:
                pass


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield line


def _info(path: Path, owner: str, written: float) -> ConversationInfo:
    summary = _Summary()
    for line in _lines(path):
        summary.take(line)
    title = summary.title or summary.label or " ".join(summary.said.split())[:_LONGEST_TITLE]
    last = _message(summary.last)
    return ConversationInfo(
        id=_name_of(path),
        title=title,
        owner=owner,
        updated=(last and last.timestamp) or written,
        state="idle",
        model=summary.model,
        messages=summary.messages,
    )


def _mentions(path: Path, words: str) -> bool:
    """Say whether a message in a file contains some words."""
    wanted = words.encode() if _PLAIN.fullmatch(words) else b""
    try:
        for line in _lines(path):
            if wanted not in line.lower() and b"\\u" not in line:
                continue  # most lines, without decoding them
            message = _message(line) if b'"message"' in line else None
            if message is not None and words in message.text.casefold():
                return True
    except OSError:
        pass
    return False


def _message(line: bytes) -> Message | None:
    try:
        return from_builtins(_data(line), Message)
    except TetherError:
        return None


def _text(line: bytes, key: str) -> str:
    text = _data(line).get(key)
    return text if isinstance(text, str) else ""


def _data(line: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    data = fields.get("data") if isinstance(fields, dict) else None
    return data if isinstance(data, dict) else {}
