"""What is in a folder and below it, without what .gitignore names: for completion, and for folders that are attached.

Large trees are walked from the top, and only for a while.
"""

import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tether.cli.input.clipboard import attached

__all__ = ()

_MOST_LISTED: Final = 500
_MOST_WALKED: Final = 20_000
_SECONDS: Final = 0.3
"""How long a tree is walked for a completion."""
_MOST_COMPLETIONS: Final = 30
_OPEN_NAME: Final = re.compile(r'(?<!\S)@"[^"\n]*$')


def walked(
    folder: Path, seconds: float, now: Callable[[], float] = time.monotonic
) -> Iterator[str]:
    """Give the names of what is below a folder, the nearest first, folders with a slash at the end.

    Args:
        folder: where to begin.
        seconds: when to stop.
        now: a clock, in seconds.

    Returns:
        Names relative to the folder, those that begin with a dot left out.
    """
    from tether.toolbox.confinement import Root  # noqa: PLC0415 - where it is needed: the command starts without the tools
    from tether.toolbox.walking import IGNORED, Walk  # noqa: PLC0415 - as above

    try:
        folder, here = folder.resolve(), Path.cwd().resolve()
        root = Root(here if folder.is_relative_to(here) else folder)
    except (OSError, RuntimeError):
        return
    deadline, waiting = now() + seconds, deque([(folder, "")])
    while waiting:
        inside, prefix = waiting.popleft()
        try:
            for found in Walk(root, inside, recursive=False).found():
                name = found.path.name
                if now() > deadline:
                    return
                if name.startswith("."):
                    continue
                yield f"{prefix}{found.name}{'/' if found.is_folder else ''}"
                if found.is_folder and not found.is_link and name not in IGNORED:
                    waiting.append((found.path, f"{prefix}{found.name}/"))
        except OSError:
            continue


def listing(folder: Path) -> str:
    """List a folder and what is below it, the nearest first; a long list says that it is cut."""
    names: list[str] = []
    for name in walked(folder, 10 * _SECONDS):
        if len(names) == _MOST_LISTED:
            names.append(f"[the first {_MOST_LISTED}; there are more]")
            break
        names.append(name)
    return "\n".join(names) or "[nothing]"


def last_word(line: str) -> str:
    """Return the word that is being typed at the end of a line; a name in quotes, with its spaces."""
    found = _OPEN_NAME.search(line)
    return found[0] if found else line.rpartition(" ")[2]


def attached_names(word: str, beginnings: Callable[[str], Iterator[str]]) -> Iterator[str]:
    """Complete the name of a file or folder behind an `@`: by its beginning, then by letters of it in their order.

    Args:
        word: what was typed, with the `@`, and perhaps a quote.
        beginnings: completes a path by its beginning.

    Returns:
        Whole words, the best first; names with spaces in quotes, which are left open behind a folder.
    """
    typed = word[1:].removeprefix('"')
    names = dict.fromkeys(beginnings(typed))
    if typed and not typed.startswith(("/", "~", "..")):
        names.update(dict.fromkeys(_alike(typed)))
    for name in [*names][: max(_MOST_COMPLETIONS, len(names) - _MOST_COMPLETIONS)]:
        made = attached(name)
        yield made.removesuffix('"') if name.endswith("/") else made


def _alike(typed: str) -> list[str]:
    """Find what has the letters of a text in their order: in its own name, or in its path if the text has a slash."""
    wanted, found = typed.lower(), list[tuple[tuple[bool, bool, int, int], str]]()
    for count, name in enumerate(walked(Path(), _SECONDS)):
        if count == _MOST_WALKED:
            break
        path = name.lower()
        own = path if "/" in wanted.rstrip("/") else path.rstrip("/").rpartition("/")[2]
        if (span := _span(wanted.rstrip("/"), own)) is not None:
            found.append(((not own.startswith(wanted), wanted not in own, span, len(name)), name))
    return [name for _, name in sorted(found)[:_MOST_COMPLETIONS]]


def _span(wanted: str, text: str) -> int | None:
    """Return over how many characters of a text the letters stretch; None where it does not have them in order."""
    place, first = -1, 0
    for number, letter in enumerate(wanted):
        place = text.find(letter, place + 1)
        if place < 0:
            return None
        first = place if number == 0 else first
    return place - first + 1
