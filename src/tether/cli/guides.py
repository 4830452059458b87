"""The guides: the files README.md in the folders of the package, shown by `tether help`."""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from tether.cli.markdown import rendered

__all__ = ()

FIRST: Final = "tether"
"""The guide in the package's own folder: the one to begin with."""
_WIDEST: Final = 100
"""Columns; longer lines are hard to read."""


def find_guides(package: Traversable | None = None) -> Mapping[str, Traversable]:
    """Find the guides in the folders of a package.

    Args:
        package: its folder; that of tether if None.

    Returns:
        The files by their names: the folder's path without leading underscores, such as `models` and `engine`.
        `tether` is the guide of the package itself.
    """
    folder = files("tether") if package is None else package
    found = dict(_below(folder, ""))
    first = {FIRST: found.pop("")} if "" in found else {}
    return {**first, **dict(sorted(found.items()))}


def _below(folder: Traversable, name: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _below(entry, f"{name}/{entry.name.lstrip('_')}".lstrip("/"))
        elif entry.name == "README.md":
            yield name, entry


def list_guides(guides: Mapping[str, Traversable]) -> Iterator[str]:
    """List guides with their titles, one a line."""
    yield "guides:" if guides else "there are no guides"
    width = max(map(len, guides), default=0)
    for name, guide in guides.items():
        yield f"  tether help {name:{width}}  {_title(guide)}".rstrip()


def _title(guide: Traversable) -> str:
    lines = guide.read_text(encoding="utf-8").splitlines()
    return next((line.lstrip("# ") for line in lines if line.startswith("# ")), "")


def shown(guide: Traversable) -> str:
    """Read a guide: rendered for a terminal, and as it is written for a file, a pipe or a dumb terminal."""
    text = guide.read_text(encoding="utf-8")
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        return text.rstrip("\n")
    try:
        return rendered(text, min(shutil.get_terminal_size().columns, _WIDEST)).rstrip("\n")
    except ModuleNotFoundError:  # without the extra `cli`
        return text.rstrip("\n")
