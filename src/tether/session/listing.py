"""List the sessions in a folder, from the beginning and the end of each file."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from attrs import frozen

from tether.errors import DecodeError, UsageError
from tether.messages import UserMessage
from tether.session.entries import Entry
from tether.session.files import open_regular
from tether.session.reading import Reader

__all__ = ("SessionInfo", "sessions")

_HEAD: Final = 262_144
_TAIL: Final = 65_536
"""Bytes that are read at the beginning and the end of a longer file."""


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
    """How many it has; at least so many where `exact` is false."""
    exact: bool = True
    """Whether the whole file was read. Of a long one, only the beginning and the end are."""
    damaged: bool = False
    """Whether a line that was read is damaged: `Session.open(path, damaged="skip")` goes on without it."""


def sessions(folder: str | os.PathLike[str]) -> Sequence[SessionInfo]:
    """List the sessions in a folder, those written to last first.

    Args:
        folder: where files called `*.jsonl` are looked for; it need not exist.

    Returns:
        One item for each file whose first line says that it is a session, damaged or not; others are passed over.
    """
    found = [info for path in Path(folder).glob("*.jsonl") if (info := _info(path)) is not None]
    return sorted(found, key=lambda info: info.time, reverse=True)


def _info(path: Path) -> SessionInfo | None:
    try:
        with open_regular(path) as file:
            status = os.fstat(file.fileno())
            return _described(path, file, status)
    except (DecodeError, UsageError, OSError):
        return None


def _described(path: Path, file: BinaryIO, status: os.stat_result) -> SessionInfo | None:
    exact = status.st_size <= _HEAD + _TAIL
    head = _whole_lines(file.read(_HEAD + _TAIL if exact else _HEAD))
    if not head:
        return None
    reader = Reader()
    first = reader.begin(head[0])
    entries = [*([first] if first is not None else []), *reader.entries(head[1:])]
    if not exact:
        reader.whole = False
        entries += reader.entries(_tail(file, status.st_size))
    messages = sum(entry.kind == "message" for entry in entries)
    return SessionInfo(
        path, _title(entries), status.st_mtime, status.st_size, messages, exact, bool(reader.damage)
    )


def _whole_lines(content: bytes) -> list[bytes]:
    """Split into lines, without half a line at the end: its writer may be at it."""
    return content.split(b"\n")[:-1]


def _tail(file: BinaryIO, size: int) -> list[bytes]:
    file.seek(size - _TAIL)
    return _whole_lines(file.read(_TAIL))[1:]


def _title(entries: Iterable[Entry]) -> str:
    labels: list[str] = []
    said: list[str] = []
    for entry in entries:
        if entry.kind == "label":
            labels.append(str(entry.data.get("text", "")))
        elif not said and isinstance(message := entry.message, UserMessage):
            said.append(message.text)
    return " ".join(next(iter([*labels, *said]), "").split())[:80]
