"""Text of servers, made printable and bounded before a model or a person reads it. No I/O."""

import re
from typing import Final

__all__ = ("one_line", "printable")

# Controls but for tabs and line ends; what turns the direction of text; what is invisible and hides text from people.
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_SPACES: Final = re.compile(r"\s+")


def printable(text: str, limit: int) -> str:
    """Take out what cannot be seen, and cut what is too long.

    Args:
        text: text of a server.
        limit: characters.

    Returns:
        At most `limit` characters, and where something was cut a note that says how much.
    """
    if len(text) > limit:
        text = f"{text[:limit]}\n[{len(text) - limit:,} more characters were cut]"
    return _UNSEEN.sub("", text)


def one_line(text: str, limit: int) -> str:
    """Make a line of a text, of at most `limit` characters; what was cut shows as an ellipsis."""
    line = _SPACES.sub(" ", _UNSEEN.sub("", text[: 4 * limit])).strip()
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
