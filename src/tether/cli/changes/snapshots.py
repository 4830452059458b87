"""What files were before the agent changed them: kept beside the session, so that it can be taken back later.

A folder has a line of JSON for each change, and the contents, compressed, by their digests. It is bounded: contents
of very large files are not kept, and the oldest contents go when there are too many.
"""

import hashlib
import json
import os
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from attrs import asdict, define, field, frozen

from tether.cli.session_files import make_private_folder, open_private
from tether.opening import open_regular, read_at_most

__all__ = ()

LARGEST_FILE: Final = 16 * 1024 * 1024
"""Bytes of a file whose content is kept."""
_MOST_KEPT: Final = 128 * 1024 * 1024
"""Bytes of all contents of a conversation, compressed."""
_CHANGES: Final = "changes.jsonl"


@frozen
class State:
    """What a file is at some time."""

    digest: str | None
    """Of its content; None where there is no file."""
    content: bytes | None = None
    """None where there is no file, or it is too large."""


@frozen(kw_only=True)
class Change:
    """One change of one file."""

    request: str
    """The id of the person's message that it followed."""
    path: str
    before: str | None
    """The digest of what it was; None where there was no file."""
    after: str | None
    made: str | None = None
    """The topmost folder that was made for it."""


def state_of(path: Path) -> State:
    """Look at a file. One that cannot be read, or is none, counts as not there."""
    try:
        with open_regular(path, str(path)) as file:
            status = os.fstat(file.fileno())
            content = None if status.st_size > LARGEST_FILE else read_at_most(file, LARGEST_FILE)
    except (OSError, ValueError):
        return State(None)
    if content is None:
        return State(f"{status.st_size}-{status.st_mtime_ns}")
    return State(hashlib.sha256(content).hexdigest(), content)


@define(eq=False)
class Snapshots:
    """The changes of a conversation, in their order.

    Args:
        folder: where they are kept; None to keep them in memory.
    """

    folder: Path | None = None
    _changes: list[Change] = field(init=False)
    _undone: set[int] = field(factory=set, init=False)
    """The places of changes that were taken back."""
    _contents: dict[str, bytes] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._changes = []
        for line in self._lines():
            # A line may be half written, or of another version.
            with suppress(ValueError, TypeError):
                match json.loads(line):
                    case {"undone": list(places)}:
                        self._undone.update(place for place in places if isinstance(place, int))
                    case dict(change):
                        self._changes.append(Change(**change))
                    case _:
                        pass

    def __iter__(self) -> Iterator[tuple[int, Change]]:
        """Give the changes that were not taken back, with their places."""
        return ((n, one) for n, one in enumerate(self._changes) if n not in self._undone)

    def content(self, digest: str) -> bytes | None:
        """Return what a file was; None where that is not kept."""
        if self.folder is None:
            return self._contents.get(digest)
        try:
            return zlib.decompress((self.folder / digest).read_bytes())
        except (OSError, zlib.error):
            return self._contents.get(digest)

    def keep(self, state: State) -> None:
        """Keep the content of a file, before it changes. Where it cannot be written, it is kept in memory."""
        if state.digest is None or state.content is None:
            return
        if self.folder is None:
            self._contents[state.digest] = state.content
            return
        try:
            make_private_folder(self.folder)
            path = self.folder / state.digest
            if not path.exists():
                self._make_room(self.folder)
                with open(path, "wb", opener=open_private) as file:
                    file.write(zlib.compress(state.content, 1))
        except OSError:
            self._contents[state.digest] = state.content

    def record(self, change: Change) -> None:
        """Take note of a change that was made."""
        self._changes.append(change)
        self._write(asdict(change))

    def undo(self, places: Collection[int]) -> None:
        """Take note that changes were taken back."""
        self._undone.update(places)
        self._write({"undone": sorted(places)})

    def _lines(self) -> Sequence[str]:
        if self.folder is None:
            return ()
        try:
            return (self.folder / _CHANGES).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return ()

    def _write(self, entry: object) -> None:
        if self.folder is not None:
            with suppress(OSError):  # it is known in this process
                make_private_folder(self.folder)
                with open(
                    self.folder / _CHANGES, "a", encoding="utf-8", opener=open_private
                ) as file:
                    file.write(f"{json.dumps(entry)}\n")

    def _make_room(self, folder: Path) -> None:
        kept = [(path, path.stat()) for path in folder.iterdir() if path.name != _CHANGES]
        size = sum(status.st_size for _, status in kept)
        for path, status in sorted(kept, key=lambda one: one[1].st_mtime_ns):
            if size <= _MOST_KEPT:
                break
            path.unlink(missing_ok=True)
            size -= status.st_size
