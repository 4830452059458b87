"""What the model has seen of files, so that it does not overwrite what others changed since."""

import os
from array import array
from pathlib import Path
from typing import Final

from attrs import field, frozen

from tether.opening import open_regular, read_at_most

__all__ = ("ChangedError", "Seen")

_COMPARED: Final = 1024 * 1024
"""Bytes up to which the content is compared; of longer files, size and time."""
_SHOWN: Final = 3
_WIDTH: Final = 120


class ChangedError(ValueError):
    """A file has changed since the model read it."""


@frozen
class _Version:
    size: int
    time: int
    lines: "array[int] | None"
    """A hash of each line."""


@frozen
class Seen:
    """The versions of files that were read or written through the tools of one root."""

    _versions: dict[Path, _Version] = field(factory=dict, init=False)

    def __contains__(self, path: Path) -> bool:
        return path in self._versions

    def record(self, path: Path, name: str) -> None:
        """Take note of a file as it is now.

        Args:
            path: where it is.
            name: how errors call it.
        """
        self._versions[path] = _now(path, name)[0]

    def check(self, path: Path, name: str) -> None:
        """Look whether a file is as it was when it was last read or written; one never seen passes.

        Args:
            path: where it is; it may be gone.
            name: how errors call it.

        Raises:
            ChangedError: it is not; the message says what changed.
        """
        then = self._versions.get(path)
        if then is None or not path.exists():
            return
        now, content = _now(path, name)
        if then.lines is not None and now.lines is not None:
            if then.lines == now.lines:
                return
            what = _difference(then.lines, now.lines, content.split(b"\n"))
        elif (then.size, then.time) == (now.size, now.time):
            return
        else:
            what = f"it had {then.size:,} bytes, and has {now.size:,}"
        raise ChangedError(f"{name} has changed since it was read: {what}; read it again first")


def _now(path: Path, name: str) -> tuple[_Version, bytes]:
    with open_regular(path, name) as file:
        status = os.fstat(file.fileno())
        content = read_at_most(file, _COMPARED)
    lines = None if content is None else array("q", map(hash, content.split(b"\n")))
    return _Version(status.st_size, status.st_mtime_ns, lines), content or b""


def _difference(then: "array[int]", now: "array[int]", lines: list[bytes]) -> str:
    """Say which lines differ, and what they are now."""
    least = min(len(then), len(now))
    start = next((n for n in range(least) if then[n] != now[n]), least)
    same = next((n for n in range(least - start) if then[-1 - n] != now[-1 - n]), least - start)
    changed = lines[start : len(now) - same]
    if not changed:
        return f"{len(then) - len(now)} lines are gone before line {start + 1}"
    shown = [repr(line[:_WIDTH].decode(errors="replace")) for line in changed[:_SHOWN]]
    more = " and more" if len(changed) > _SHOWN else ""
    last = start + len(changed)
    where = f"line {last} is" if len(changed) == 1 else f"lines {start + 1} to {last} are"
    return f"{where} now {', '.join(shown)}{more}"
