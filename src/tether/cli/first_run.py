"""What a person reads the first time: what this is, which model answers and why, and what to try."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from tether.cli.default_model import why_model
from tether.cli.extensions import configuration_folder
from tether.cli.session_files import session_folder

__all__ = ()

_WITH_A_MODEL = """\
  what does this project build?     it reads files on its own
  add a test for the last change    it asks before it writes a file or runs a command
  /help                             the commands; @ attaches a file, Ctrl-C stops it"""
_BY_RULES = """\
  list the files                    it reads on its own
  write hello to hello.txt          it asks before it writes a file or runs a command
  /help                             the commands; @ attaches a file, Ctrl-C stops it"""


def is_first_run() -> bool:
    """Say whether nothing of the command's is there yet: neither a file of the person's own nor a conversation."""
    kept = configuration_folder() / "history"
    return not kept.exists() and len(_entries(session_folder(Path.cwd()).parent)) <= 1


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def greeting(model: str, environ: Mapping[str, str]) -> str:
    """Write what a person reads before their first conversation."""
    why = why_model(model, environ)
    answers = f"{model} answers{f', since {why}' if why else ''}."
    more = (
        "It follows a few rules; `tether keys set anthropic` keeps a key."
        if model == "offline"
        else "`/model` changes it, and `tether models` lists others."
    )
    return "\n".join(
        [
            f"tether {version('tether')}: an agent that works in this folder.",
            f"{answers} {more}",
            "Try:",
            _BY_RULES if model == "offline" else _WITH_A_MODEL,
        ]
    )
