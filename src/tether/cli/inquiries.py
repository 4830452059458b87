"""What the command tells about itself: `tether models`, `tether sessions`, `tether config`."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from tether import context_window, known_models, sessions, vendors
from tether.cli.extensions import configuration_folder
from tether.cli.kept import kept_folder, kept_sessions

__all__ = ("INQUIRIES",)


def models(words: Sequence[str]) -> Iterator[str]:
    """List the vendors, and which keys are set; or the models of the vendors that are named."""
    if not words:
        yield "vendor        key"
        for name, keys in vendors().items():
            yield f"{name:12}  {_keys(keys)}"
        yield ""
        yield "`tether models VENDOR` lists the models that genai-prices knows of; others work as well."
    for vendor in words:
        if vendor not in vendors():
            yield f"no vendor is called {vendor}; there are: {', '.join(vendors())}"
        names = known_models(vendor)
        for model in names:
            window = context_window(f"{vendor}:{model}")
            yield f"{vendor}:{model:40}{f'  {window:>9,} tokens' if window else ''}".rstrip()
        if not names:
            yield f"nothing is known of models of {vendor} (pip install 'tether[prices]' may help)"


def _keys(keys: Sequence[str]) -> str:
    if not keys:
        return "none needed"
    present = [key for key in keys if os.environ.get(key)]
    return f"{present[0]} is set" if present else f"{' or '.join(keys)} is not set"


def list_sessions(words: Sequence[str]) -> Iterator[str]:
    """List the conversations that were held in this folder, or are kept in others, those written to last first."""
    found = (
        [info for folder in words for info in sessions(folder)]
        if words
        else [*kept_sessions(Path.cwd()), *sessions(".")]
    )
    for info in found:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(info.time))
        about = f"{when}  {info.messages:5} messages  {info.size / 1024:8.1f} KiB"
        name = str(info.path) if info.path.parent != kept_folder(Path.cwd()) else info.path.stem
        yield f"{name}  {about}  {info.title}"
    if not found:
        where = " or ".join(words) if words else str(Path.cwd())
        yield f"no conversation is kept for {where}; `tether` begins one"
    elif not words:
        yield ""
        yield "`tether resume ID` goes on with one; the beginning of an id will do."


def config(_: Sequence[str]) -> Iterator[str]:
    """Tell where the command finds what it loads."""
    folder = configuration_folder()
    for what, path in (
        ("configuration folder", folder),
        ("init file", folder / "init.py"),
        ("trusted projects", folder / "trusted.json"),
        ("this project's init file", Path.cwd() / ".tether" / "init.py"),
        ("conversations held here", kept_folder(Path.cwd())),
    ):
        yield f"{what:26}{path}{'' if path.exists() else '  (not there)'}"
    chosen = os.environ.get("TETHER_MODEL")
    yield f"{'model':26}{chosen or 'by the first key that is set; else offline'}"


INQUIRIES: Final[Mapping[str, Callable[[Sequence[str]], Iterator[str]]]] = {
    "models": models,
    "sessions": list_sessions,
    "config": config,
}
"""What is asked by the first word alone, or with words that are no request."""
