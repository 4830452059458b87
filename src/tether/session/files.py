"""Logs in files: opened without harm to anything that is not a session, written to by one, mended on request."""

import os
import stat
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, Literal, Self, TypeAlias

from attrs import define

from tether.errors import BusyError, DecodeError, UsageError
from tether.session.entries import Entry
from tether.session.reading import Damage, Reader, header, is_torn_header

__all__ = ("Damaged", "LogFile", "Snapshot", "create_private", "delete_log", "open_regular")

Damaged: TypeAlias = Literal["refuse", "skip"]
"""What becomes of lines that cannot be read."""

_LONGEST_START: Final = 65_536
"""Bytes within which it must be seen that the first line is JSON."""
_AS_IT_IS: Final = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def open_regular(path: Path, flags: int = os.O_RDONLY) -> BinaryIO:
    """Open a file, without waiting; where it is made, for its owner alone.

    Raises:
        UsageError: it is not a regular file.
        OSError: it cannot be opened.
    """
    # Without O_NONBLOCK the opening of a pipe would wait for its other end.
    descriptor = os.open(path, flags | _AS_IT_IS | getattr(os, "O_NONBLOCK", 0), 0o600)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UsageError(f"a session is kept in a regular file; {path} is none")
        return os.fdopen(descriptor, "rb" if flags == os.O_RDONLY else "r+b", buffering=0)
    except BaseException:
        os.close(descriptor)
        raise


def create_private(path: Path, flags: int = os.O_EXCL) -> BinaryIO:
    """Open a file for appending that its owner alone can read; by default it must be new."""
    return open_regular(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | flags)


@define
class _Content:
    """What is in a log."""

    entries: list[Entry]
    torn: bytes
    """What stands behind the last newline."""
    end: int
    """The bytes before it."""
    reader: Reader


def _read(file: BinaryIO, path: Path) -> _Content:
    """Read a log to its end.

    Raises:
        DecodeError: this is not a session.
    """
    reader = Reader()
    file.seek(0)
    with open(file.fileno(), "rb", closefd=False) as buffered:
        lines = _Lines(buffered)
        try:
            entries = _entries(lines, reader)
        except DecodeError as error:
            raise _named(error, path) from None
    return _Content(entries, lines.torn, lines.end, reader)


def _entries(lines: "_Lines", reader: Reader) -> list[Entry]:
    start = lines.start()
    if start[:1] not in {b"", b"{"} and b"\n" not in start:
        raise DecodeError("no JSON object", path="line 1")
    first = next(lines, None)
    if first is None:
        if not is_torn_header(lines.torn):
            raise DecodeError("the first line has no end", path="line 1")
        return []
    entry = reader.begin(first)
    return [*([] if entry is None else [entry]), *reader.entries(lines)]


@define
class _Lines:
    """The whole lines of a file, without their newlines; and what stands behind the last of them."""

    file: BinaryIO
    torn: bytes = b""
    end: int = 0

    def start(self) -> bytes:
        start = self.file.read(_LONGEST_START)
        self.file.seek(0)
        return start

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        line = self.file.readline()
        if not line.endswith(b"\n"):
            self.torn = line
            raise StopIteration
        self.end += len(line)
        return line[:-1]


def _named(error: DecodeError, path: Path) -> DecodeError:
    """Say in which file it is."""
    reason = str(error).removeprefix(f"{error.path}: ")
    doubt = "; is it a session?" if error.path == "line 1" else ""
    return DecodeError(f"{reason} (in {path}{doubt})", path=error.path)


def _refuse(damage: Iterable[Damage], path: Path) -> None:
    for one in damage:
        raise _named(one.error, path)


class Snapshot:
    """A log as it is now; half a line at its end is left alone, as its writer may be at it."""

    def __init__(self, path: Path) -> None:
        with open_regular(path) as file:
            content = _read(file, path)
        _refuse(content.reader.damage, path)
        self.torn: bytes = content.torn
        self._entries = content.entries

    def entries(self) -> Iterable[Entry]:
        """Give all entries, once."""
        entries, self._entries = self._entries, []
        return entries

    def append(self, entry: Entry) -> None:
        """Refuse to write."""
        raise UsageError(f"this session was opened for reading; cannot write {entry.kind!r}")

    def close(self) -> None:
        """Do nothing: the file was closed when it had been read."""


class LogFile:
    """A log that this process alone writes to; see `open`."""

    def __init__(
        self,
        file: BinaryIO,
        path: Path,
        content: _Content,
        *,
        fsync: bool,
        now: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        self.torn: bytes = content.torn
        self.damage: tuple[Damage, ...] = tuple(content.reader.damage)
        self._entries = content.entries
        self._file = file
        self._fsync = fsync
        # Where half a line begins that could not be taken back.
        self._half_line: int | None = None
        _make_private(file)
        if self.torn:
            _set_aside(path, "torn", [self.torn])
            file.truncate(content.end)
        if content.end == 0:
            self._write(header(new_id(), now()))

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        fsync: bool = False,
        damaged: Damaged = "refuse",
        now: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> Self:
        """Open a log to write to, making it where there is none.

        Args:
            path: the file.
            fsync: wait at each entry until the disk has it.
            damaged: `refuse` a log with a line that cannot be read, or `skip` such lines: they are moved to a file
                beside it.
            now: seconds since the epoch, for the time at which a log was made.
            new_id: makes the id of a log that is made.

        Raises:
            UsageError: another process or session has it open for writing, or it is not a regular file.
            DecodeError: it is not a session, or of a newer format, or damaged.
            OSError: the file cannot be opened.
        """
        file = create_private(path, 0)
        try:
            _lock(file, path)
            content = _read(file, path)
            if damaged == "refuse":
                _refuse(content.reader.damage, path)
            elif content.reader.damage:
                file, old = _mended(path, content), file
                old.close()
            return cls(file, path, content, fsync=fsync, now=now, new_id=new_id)
        except BaseException:
            file.close()
            raise

    def entries(self) -> Iterable[Entry]:
        """Give all entries, once: whoever takes them holds them."""
        entries, self._entries = self._entries, []
        return entries

    def append(self, entry: Entry) -> None:
        """Write an entry; where that fails, nothing of it stays.

        Raises:
            OSError: it cannot be written.
            UsageError: the file was closed.
        """
        if self._file.closed:
            raise UsageError("this session was closed")
        self._write(entry.line())

    def close(self) -> None:
        """Let others write to it."""
        self._file.close()

    def _write(self, line: bytes) -> None:
        self._take_back()
        self._half_line = self._file.seek(0, os.SEEK_END)
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[self._file.write(rest) :]
            if self._fsync:
                os.fsync(self._file.fileno())
            self._half_line = None
        except BaseException:
            # Half a line must not stand in the way of the next.
            with suppress(OSError):
                self._take_back()
            raise

    def _take_back(self) -> None:
        if self._half_line is not None:
            self._file.truncate(self._half_line)
            self._half_line = None


def _make_private(file: BinaryIO) -> None:
    """Take the rights of others away from a file."""
    mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    if mode & 0o077 and hasattr(os, "fchmod"):
        with suppress(PermissionError):  # it is another's, and the owner decides
            os.fchmod(file.fileno(), mode & ~0o077)


def _set_aside(path: Path, suffix: str, lines: Iterable[bytes]) -> None:
    """Keep what is not an entry in a file beside the log."""
    with create_private(path.with_name(f"{path.name}.{suffix}"), 0) as aside:
        _make_private(aside)
        for line in lines:
            _write_all(aside, line + b"\n")
        os.fsync(aside.fileno())


def _write_all(file: BinaryIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _mended(path: Path, content: _Content) -> BinaryIO:
    """Put a log without damaged lines in the place of one with them, and open it.

    At no moment is anything missing: what is damaged is kept first, and the new log comes whole.
    """
    target = Path(os.path.realpath(path))
    _set_aside(path, "damaged", [damage.line for damage in content.reader.damage])
    draft = target.with_name(f"{target.name}.{uuid.uuid4().hex}")
    file = create_private(draft)
    try:
        _lock(file, path)
        _write_all(file, header(uuid.uuid4().hex, time.time()))
        for entry in content.entries:
            _write_all(file, entry.line())
        content.end = file.tell()
        os.fsync(file.fileno())
        draft.replace(target)
    except BaseException:
        file.close()
        draft.unlink(missing_ok=True)
        raise
    return file


def delete_log(path: Path) -> bool:
    """Delete a log that nobody writes to.

    Returns:
        Whether there was one.

    Raises:
        BusyError: a session writes to it, of this process or another.
        UsageError: it is not a regular file.
        OSError: it cannot be deleted.
    """
    try:
        file = open_regular(path)
    except FileNotFoundError:
        return False
    with file:
        _lock(file, path)
        if os.name == "posix":
            path.unlink(missing_ok=True)
    if os.name != "posix":
        path.unlink(missing_ok=True)  # there, what is open cannot be deleted
    return True


def _lock(file: BinaryIO, path: Path) -> None:
    """Become the only writer; the lock goes with the file, also when the process is killed."""
    try:
        import fcntl  # noqa: PLC0415 - where there is none, the next line says what is lost
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise BusyError(
            f"another session writes to {path}: close it",
            hint=", or open this one with Session.read",
        ) from error
