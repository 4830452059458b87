"""What a command has printed, as much as a model is to read."""

import codecs
from typing import Final

__all__ = ("MAX_OUTPUT", "KeptOutput")

MAX_OUTPUT: Final = 32 * 1024
"""Characters that are kept."""
_HEAD: Final = MAX_OUTPUT // 4


class KeptOutput:
    """What a command has printed: its beginning and its end, whatever it printed between."""

    def __init__(self) -> None:
        self._head = ""
        self._tail = ""
        self._size = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, piece: bytes) -> str:
        """Take in a piece, and return it as text; a character cut in two comes with the second half."""
        text = self._decoder.decode(piece)
        self._size += len(text)
        room = _HEAD - len(self._head)
        self._head += text[:room]
        self._tail = (self._tail + text[max(room, 0) :])[-(MAX_OUTPUT - _HEAD) :]
        return text

    def text(self) -> str:
        """What is kept, and a note where something is missing."""
        missing = self._size - len(self._head) - len(self._tail)
        if not missing:
            return self._head + self._tail
        note = (
            f"\n[... {missing:,} characters left out; to see them, run the command again with its output "
            "in a file, and read that with read_file ...]\n"
        )
        return f"{self._head}{note}{self._tail}"

    def take(self) -> str:
        """What is kept, which is then forgotten: the next time there is only what came later."""
        text = self.text()
        self._head = self._tail = ""
        self._size = 0
        return text
