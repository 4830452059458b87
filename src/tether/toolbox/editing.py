"""Replace text in a file: exactly, in one place or in all, in the file's encoding and with its line ends."""

from itertools import islice
from pathlib import Path
from typing import Final

from tether.opening import is_binary, open_regular, read_at_most
from tether.toolbox.line_ends import LineEnds
from tether.toolbox.replacing import check_writable, replace_file

__all__ = ("MAX_EDITED", "edit_text")

MAX_EDITED: Final = 64 * 1024 * 1024
"""Bytes of a file that is edited: it is held in memory."""
_NAMED: Final = 10
_WIDTH: Final = 200


def edit_text(located: Path, path: str, old: str, new: str, *, all_places: bool) -> int:
    """Replace a text in a file.

    Args:
        located: where the file is.
        path: how errors call it.
        old: the text to replace; how its lines end does not matter.
        new: the text to put there, with the line ends that stand there.
        all_places: whether it may stand in several places.

    Returns:
        In how many places it was replaced.

    Raises:
        ValueError: it cannot be done; the message says why.
        OSError: the file cannot be read or written.
    """
    if not old:
        raise ValueError("`old` is empty; write_file makes a new file")
    content = _content(located, path)
    check_writable(located, path)
    encoding = _encoding(content)
    before = _encoded(old, "old", path, encoding)
    after = _encoded(new, "new", path, encoding)
    if before == after:
        raise ValueError(
            "`old` and `new` are the same, but for line ends, which stay as they are in the file"
            if old != new
            else "`old` and `new` are the same"
        )
    text = LineEnds(content)
    places = list(text.places(before))
    _check_places(places, text.plain, before, path, all_places=all_places)
    replace_file(located, path, text.replace(places, before, after))
    return len(places)


def _content(located: Path, path: str) -> bytes:
    with open_regular(located, path) as file:
        size = located.stat().st_size
        content = None if size > MAX_EDITED else read_at_most(file, MAX_EDITED)
    if content is None:
        raise ValueError(
            f"{path} has {size:,} bytes, more than the {MAX_EDITED:,} of a file that can be edited; "
            "use a command that edits streams, such as sed"
        )
    if is_binary(content):
        raise ValueError(f"{path} is not text: it has {size:,} bytes, some of them zero")
    return content


def _encoding(content: bytes) -> str:
    try:
        content.decode()
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def _encoded(text: str, argument: str, path: str, encoding: str) -> bytes:
    """Encode a text as a file is, with plain line ends."""
    try:
        return text.replace("\r\n", "\n").encode(encoding)
    except UnicodeEncodeError as error:
        wrong = text[error.start]
        why = f"{path} is not UTF-8 and is edited as Latin-1, in which there is no {wrong!r}"
        if wrong == "\ufffd":
            why += "; read_file shows that where a byte is not UTF-8: name the character itself"
        raise ValueError(f"`{argument}` cannot be used: {why}") from error


def _check_places(
    places: list[int], plain: bytes, old: bytes, path: str, *, all_places: bool
) -> None:
    if not places:
        raise ValueError(
            f"{path} does not hold that text; it must match to the letter{_nearest(plain, old)}"
        )
    if len(places) > 1 and not all_places:
        lines = ", ".join(str(plain.count(b"\n", 0, place) + 1) for place in places[:_NAMED])
        raise ValueError(
            f"{path} holds that text {len(places)} times, in lines {lines}; "
            "give more of what is around it, or set all_places"
        )


def _nearest(plain: bytes, old: bytes) -> str:
    """Where the first line of what was looked for does stand, spaces aside."""
    wanted = old.strip().split(b"\n")[0].strip()
    if not wanted:
        return ""
    alike = (
        (number, line)
        for number, line in enumerate(plain.split(b"\n"), 1)
        if line.strip() == wanted
    )
    for number, line in islice(alike, 1):
        shown = line[:_WIDTH].decode(errors="replace")
        return f"; line {number} is alike, but for white space or what follows it: {shown!r}"
    return ""
