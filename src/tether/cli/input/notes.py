"""Notes for the agent, kept in the AGENTS.md of the project: `#use tabs`."""

import re
from pathlib import Path
from typing import Final

from attrs import frozen

from tether.opening import open_regular, read_at_most

__all__ = ()

FILE: Final = "AGENTS.md"
_HEADING: Final = "## Notes"
_NOTE: Final = re.compile(r"#(?![#\d!])[ \t]*(\S.*)")
_NEXT_HEADING: Final = re.compile(r"^#{1,2} ", re.MULTILINE)
_LARGEST: Final = 1024 * 1024


@frozen
class Noted:
    """A note that was kept."""

    path: Path
    is_new: bool
    """Whether the file was made for it."""


def note_in(line: str) -> str | None:
    """Return the note in a line; None where there is none: in `#12 is open`, a heading, or a text of several lines."""
    found = _NOTE.fullmatch(line.strip())
    return found and found[1]


def note_file(folder: Path) -> Path:
    """Find the file for notes: the nearest one, up to the root of the repository; else one in the folder itself."""
    above = [folder, *folder.parents]
    roots = [n for n, one in enumerate(above) if (one / ".git").exists()]
    for one in above[: roots[0] + 1 if roots else 1]:
        if (one / FILE).is_file():
            return one / FILE
    return folder / FILE


def keep_note(note: str, path: Path) -> Noted:
    """Append a note under the heading for notes, which is made where there is none.

    Args:
        note: one line.
        path: the file; it may not be there.

    Returns:
        What was done.

    Raises:
        OSError: the file cannot be written.
        ValueError: it is no regular file, or very large.
    """
    from tether.toolbox.replacing import replace_file  # noqa: PLC0415 - where it is needed: the command starts without the tools

    is_new = not path.exists()
    before = "" if is_new else _read(path)
    end = "\r\n" if "\r\n" in before else "\n"
    text = _with_note(before.replace("\r\n", "\n"), note).replace("\n", end)
    replace_file(path.resolve(), FILE, text.encode(errors="surrogateescape"))
    return Noted(path, is_new)


def _read(path: Path) -> str:
    with open_regular(path, FILE) as file:
        content = read_at_most(file, _LARGEST)
    if content is None:
        raise ValueError(f"{path} is larger than {_LARGEST:,} bytes")
    return content.decode(errors="surrogateescape")


def _with_note(text: str, note: str) -> str:
    lines = text.split("\n")
    if _HEADING not in lines:
        before = f"{text.rstrip()}\n\n" if text.strip() else ""
        return f"{before}{_HEADING}\n\n- {note}\n"
    start = sum(len(line) + 1 for line in lines[: lines.index(_HEADING) + 1])
    following = _NEXT_HEADING.search(text, start)
    end = len(text) if following is None else following.start()
    section = text[start:end].strip("\n")
    notes = f"{section}\n- {note}" if section else f"- {note}"
    rest = f"\n{text[end:]}" if following else ""
    return f"{text[:start].rstrip()}\n\n{notes}\n{rest}"
