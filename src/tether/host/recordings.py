"""Recordings of what the agents of conversations do: a folder of files for `tether.replay`."""

import hashlib
import logging
import os
import re
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import Final

from attrs import define, field, frozen

from tether import RunResult, UsageError
from tether.host.conversation import Conversation
from tether.replay import Recorder
from tether.replay.masking import Masking
from tether.replay.new_file import new_file, opened_again

__all__ = ("RecordedFile", "Recordings", "recorded")

_LONGEST_PART: Final = 40
"""Characters that stand in the name of a file from what others have chosen."""
_DIGEST: Final = 32
"""Characters that nobody can find another name for, so that no owner gets the folder of another."""
_MOST_OPEN: Final = 32
_log = logging.getLogger("tether")


@frozen
class RecordedFile:
    """A file of a folder of recordings."""

    name: str
    size: int
    """In bytes."""


class Recordings:
    """A folder in which the runs of conversations are recorded.

    A conversation that is made, or comes back from the store, begins a new file with its first run. The name of a file
    is the time, in UTC, what of the conversation's id may stand in a name, and its epoch. Those of an owner with a name
    are in a folder of theirs.

    Args:
        folder: the folder, made for its owner alone.
        secrets: what is taken out before it is written.

    Raises:
        UsageError: the folder has no name, or as `tether.replay.record`.
    """

    def __init__(self, folder: str | os.PathLike[str], secrets: Iterable[str] = ()) -> None:
        if not str(folder):
            raise UsageError("the folder of recordings must have a name")
        self.folder: Final = Path(folder)
        self._masking = Masking(secrets)
        self._open = _OpenFiles()

    def prepare(self) -> None:
        """Make the folder, and see whether files can be made in it.

        Raises:
            UsageError: they cannot.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise UsageError(f"no recording can be made in {self.folder}: {error}") from error

    @contextmanager
    def recorded(self, talk: Conversation) -> Iterator[None]:
        """Record the runs of a conversation in a block.

        Where that is not possible, the runs go on, and the log says why.
        """
        moment = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        path = self._of(talk.owner) / f"{moment}-{self._plain(talk.id)}-{talk.epoch}.jsonl"
        file = _LaterFile(path, self._open)
        recorder = _Recorder(path, file.write, self._masking)
        untap = talk.agent.tap(recorder)
        try:
            yield
        finally:
            untap()
            recorder.flush()
            file.close()

    def files(
        self, owner: str, *, limit: int | None = None, before: str | None = None
    ) -> Sequence[RecordedFile]:
        """List the recordings of an owner, the latest first.

        Args:
            owner: whose.
            limit: how many at most; None for all.
            before: the name of the last one of the page before.

        Raises:
            UsageError: `before` is no name of a recording.
            OSError: the folder cannot be read.
        """
        if before is not None and not _is_named(before):
            raise UsageError(f"before must be the name of a recording, not {before!r}")
        folder = self._of(owner)
        if not folder.is_dir():
            return []
        with os.scandir(folder) as entries:
            named = [entry for entry in entries if _is_named(entry.name)]
        named.sort(key=lambda entry: entry.name, reverse=True)
        behind = (entry for entry in named if before is None or entry.name < before)
        found = (file for entry in behind if (file := _recorded_file(entry)) is not None)
        return [*islice(found, limit)]

    def path(self, name: str, owner: str) -> Path | None:
        """Find a recording of an owner by its name. A link is none, as it may lead anywhere."""
        path = self._of(owner) / name
        return path if _is_named(name) and path.is_file() and not path.is_symlink() else None

    def _of(self, owner: str) -> Path:
        if not owner:
            return self.folder
        digest = hashlib.sha256(owner.encode("utf-8", "surrogatepass")).hexdigest()
        return self.folder / f"@{self._plain(owner)}-{digest[:_DIGEST]}"

    def _plain(self, name: str) -> str:
        """Make a part of the name of a file of what others have chosen."""
        return re.sub("[^a-z0-9]", "_", self._masking.text(name)[:_LONGEST_PART].lower())


def recorded(recordings: Recordings | None, talk: Conversation) -> AbstractContextManager[None]:
    """Record the runs of a conversation in a block, if there is a folder for that."""
    return nullcontext() if recordings is None else recordings.recorded(talk)


_NAME: Final = re.compile(r"\d{8}T\d{6}-[a-z0-9_]{1,40}-[0-9a-f]{12}\.jsonl", re.ASCII)


def _is_named(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def _recorded_file(entry: os.DirEntry[str]) -> RecordedFile | None:
    try:
        found = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None  # it was deleted meanwhile
    return RecordedFile(entry.name, found.st_size) if stat.S_ISREG(found.st_mode) else None


class _Recorder(Recorder):
    """A recorder that says in the log that it has failed, once a run is over."""

    __slots__ = ("_is_told", "_path")

    def __init__(self, path: Path, write: Callable[[memoryview], int], masking: Masking) -> None:
        self._path = path
        self._is_told = False
        super().__init__(write, masking, time.monotonic)

    def ended(self, result: RunResult | BaseException) -> None:
        """See `Tap.ended`."""
        super().ended(result)
        if self.failure is not None and not self._is_told:
            self._is_told = True
            _log.error("the recording %s ends early: %s", self._path, self.failure)


@define(eq=False)
class _OpenFiles:
    """The files that were written to last: a host may hold more conversations than a process may open files."""

    _files: dict[Path, FileIO] = field(factory=dict[Path, FileIO], init=False)
    """The one that was written to last is the last."""

    def write(self, path: Path, data: memoryview) -> int:
        """Write to a file that is there as much as is taken at once; return how many bytes that was."""
        file = self._files.pop(path, None) or opened_again(path)
        self.keep(path, file)
        return file.write(data)

    def keep(self, path: Path, file: FileIO) -> None:
        """Keep a file open, and close another where there are too many."""
        self._files[path] = file
        if len(self._files) > _MOST_OPEN:
            self.close(next(iter(self._files)))

    def close(self, path: Path) -> None:
        """Close a file, if it is open."""
        if (file := self._files.pop(path, None)) is not None:
            file.close()


@define(eq=False)
class _LaterFile:
    """A file that is made when its second line comes: who only looks at a conversation leaves none."""

    path: Path
    _open: _OpenFiles
    _head: bytes = field(default=b"", init=False)
    _is_made: bool = field(default=False, init=False)

    def write(self, data: memoryview) -> int:
        """Write as much as is taken at once; return how many bytes that was."""
        if not self._head:
            self._head = bytes(data)
            return len(data)
        if not self._is_made:
            self._make()
        return self._open.write(self.path, data)

    def _make(self) -> None:
        self.path.parent.mkdir(mode=0o700, exist_ok=True)
        self._open.keep(self.path, new_file(self.path))
        self._is_made = True
        head = memoryview(self._head)
        while head:
            head = head[self._open.write(self.path, head) :]

    def close(self) -> None:
        """Close it, if it is open."""
        self._open.close(self.path)
