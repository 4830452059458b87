"""The door: all that the command writes to a terminal, a pipe or a file goes through it.

Most of that was written by others: models, tools, servers, names of files and folders, titles, errors. What of it would
command a terminal is taken out here, whatever the environment says of colours, and also on a pipe, whose other end may
be a terminal. Escape sequences of our own are in `Drawn` text, which this module and `tether.cli.markdown` alone make.

While the door stands, it is in the place of standard output and standard error: also what `print`, a traceback, a log
or an extension writes goes through.
"""

import io
import os
import re
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Final, TextIO, cast

__all__ = ()

BOLD: Final = "\x1b[1m"
DIM: Final = "\x1b[2m"
REVERSE: Final = "\x1b[7m"
RED: Final = "\x1b[31m"
GREEN: Final = "\x1b[32m"
YELLOW: Final = "\x1b[33m"
MAGENTA: Final = "\x1b[35m"
PLAIN: Final = "\x1b[0m"

# ECMA-48, 5.3 and 5.4: control sequences, strings up to their end, and the short ones; with 7 bits, and with 8.
_ESCAPES: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b\]|\x9d)[^\x07\x1b\x80-\x9f]*(?:\x07|\x1b\\|\x9c)"
    r"|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x80-\x9f]*(?:\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"
)
# Controls; what turns the direction of text; what is invisible, but for what joins letters and emoji; tags.
_COMMANDS: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
# What takes room or joins without being seen, though Python calls it printable.
_UNSEEN: Final = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
    + "".join(map(chr, (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
)


class Drawn(str):
    """Text for a terminal, with escape sequences of our own; the rest of it is printable."""

    __slots__ = ()

    def __str__(self) -> str:
        return self

    def rstrip(self, chars: str | None = None, /) -> "Drawn":
        """Take characters off its end."""
        return Drawn(super().rstrip(chars))

    def lines(self) -> "list[Drawn]":
        """Split it at its newlines."""
        return [Drawn(line) for line in self.splitlines()]


def printable(text: str) -> str:
    """Remove what would command a terminal, or deceive who reads: escape sequences, controls, directions, tags.

    Returns:
        The text, tabs and newlines included.
    """
    if text.isascii() and text.isprintable():
        return text
    text = _COMMANDS.sub("", _ESCAPES.sub("", text))
    return _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text)


def visible(text: str) -> str:
    r"""Write out each character that cannot be seen, or passes for a space, as Python does: `\x9b`, `\u202e`.

    Returns:
        The text in one line, tabs as spaces.
    """
    return "".join(one if _is_seen(one) else _code(one) for one in text.expandtabs())


def revealed(text: str, *styles: str) -> Drawn:
    """Style a line of others' text, with what `visible` writes out in reverse."""
    begin = "".join(styles)
    shown = (
        one if _is_seen(one) else f"{REVERSE}{_code(one)}{PLAIN}{begin}"
        for one in text.expandtabs()
    )
    return Drawn(f"{begin}{''.join(shown)}{PLAIN if begin else ''}")


def _is_seen(character: str) -> bool:
    return character.isprintable() and character not in _UNSEEN


def _code(character: str) -> str:
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def styled(text: str, *styles: str) -> Drawn:
    """Make text of others printable, and style it, each line by itself: others may write between any two."""
    if isinstance(text, Drawn):
        return text
    begin = "".join(styles)
    return Drawn(
        "\n".join(f"{begin}{line}{PLAIN}" if line else "" for line in printable(text).split("\n"))
    )


def joined(parts: Iterable[str]) -> Drawn:
    """Put texts together; those that are not drawn are made printable."""
    return Drawn("".join(part if isinstance(part, Drawn) else printable(part) for part in parts))


class Door(io.TextIOBase):
    """A text stream that lets through what is printable, and `Drawn` text.

    Args:
        stream: where it goes.
        escapes: whether escape sequences of our own go through; else they are taken out of drawn text.
    """

    def __init__(self, stream: TextIO, *, escapes: bool) -> None:
        self.stream: TextIO = stream
        self.escapes: bool = escapes
        self.at_line_start: bool = True

    def write(self, text: str) -> int:
        """Write text; of what is not drawn, only what is printable."""
        safe = text if isinstance(text, Drawn) and self.escapes else printable(text)
        if safe:
            self.stream.write(safe)
            self.at_line_start = safe.endswith("\n")
        return len(text)

    def write_json(self, line: str) -> None:
        """Write a line of JSON, in which each character that `write` would take out is a JSON escape."""
        self.stream.write(_COMMANDS.sub(_json_escape, _SURROGATES.sub(_json_escape, line)) + "\n")

    def start_line(self) -> None:
        """End the line that was begun, if one was."""
        if not self.at_line_start:
            self.write("\n")

    def flush(self) -> None:
        """Flush the stream."""
        self.stream.flush()

    def close(self) -> None:
        """Leave the stream open: it belongs to somebody else."""

    def isatty(self) -> bool:
        """Say whether the stream is a terminal."""
        return self.stream.isatty()

    def fileno(self) -> int:
        """Return the stream's file descriptor."""
        return self.stream.fileno()

    def writable(self) -> bool:
        """Say that it can be written to."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]  # read-only, as that of every stream
        """The stream's encoding."""
        return getattr(self.stream, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str | None:  # type: ignore[override]  # as above
        """What the stream does with what its encoding lacks."""
        return getattr(self.stream, "errors", None)


def as_door(stream: "TextIO | Door") -> Door:
    """Return the stream itself if it is a door, else a door to it, with no escape sequences."""
    return stream if isinstance(stream, Door) else Door(stream, escapes=False)


def as_drawing_door(stream: "TextIO | Door") -> Door:
    """Return the stream itself if it is a door, else a door to it, through which drawn text goes as it is."""
    return stream if isinstance(stream, Door) else Door(stream, escapes=True)


def _json_escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    if number < 0x10000:
        return f"\\u{number:04x}"
    return f"\\u{0xD800 + (number - 0x10000 >> 10):04x}\\u{0xDC00 + (number & 0x3FF):04x}"


@contextmanager
def door() -> Iterator[None]:
    """Have the door in the place of standard output and standard error, until a block is left.

    Raises:
        SystemExit: an exception left the block, a fault of ours; its traceback has gone through the door.
    """
    with (
        redirect_stdout(_in_place_of(sys.stdout)),
        redirect_stderr(_in_place_of(sys.stderr)),
    ):
        try:
            yield
        except Exception:  # noqa: BLE001 - Python would print it past the door
            traceback.print_exc()
            raise SystemExit(1) from None


def _in_place_of(stream: TextIO) -> TextIO:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return cast("TextIO", Door(stream, escapes=stream.isatty() and not plain))


def notes() -> TextIO:
    """Return where all goes that is not an answer: standard output if that is a terminal, else standard error."""
    return sys.stdout if sys.stdout.isatty() else sys.stderr
