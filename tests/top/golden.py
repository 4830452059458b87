"""Screens that are kept as text. `TETHER_WRITE_SCREENS=1` writes them anew: look at them before they are kept."""

import difflib
import os
from collections.abc import Sequence
from pathlib import Path

_FOLDER = Path(__file__).parent / "screens"


def is_kept(name: str, lines: Sequence[str]) -> None:
    """Compare a screen with the one that is kept."""
    path = _FOLDER / f"{name}.txt"
    text = "\n".join(line.rstrip() for line in lines).rstrip() + "\n"
    if os.environ.get("TETHER_WRITE_SCREENS"):
        path.write_text(text, encoding="utf-8")
    before = path.read_text(encoding="utf-8")
    assert text == before, "\n".join(difflib.ndiff(before.splitlines(), text.splitlines()))
