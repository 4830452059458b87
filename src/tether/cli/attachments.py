"""Attach files to a message: those that its text names after an `@`."""

import mimetypes
import re
from pathlib import Path
from typing import Final

from tether import Image, Text, UserMessage
from tether.messages import UserBlock

__all__ = ("message_of",)

_NAMED: Final = re.compile(r"(?<!\S)@(\S+)")
_LONGEST_FILE: Final = 100_000
"""Bytes of a file that is attached as text."""


def message_of(text: str) -> UserMessage:
    """Make a message of a text, with the files and images that it names after an `@`.

    Raises:
        OSError: a file cannot be read.
    """
    blocks: list[UserBlock] = [Text(text)]
    for found in _NAMED.finditer(text):
        path = Path(found[1]).expanduser()
        if path.is_file():
            blocks.append(_attached(path))
    return UserMessage(blocks)


def _attached(path: Path) -> UserBlock:
    kind = mimetypes.guess_type(path.name)[0] or ""
    if kind.startswith("image/"):
        return Image(path.read_bytes(), kind)
    with path.open("rb") as file:
        content = file.read(_LONGEST_FILE).decode(errors="replace")
    more = "\n[...]" if path.stat().st_size > _LONGEST_FILE else ""
    return Text(f"{path}:\n{content}{more}")
