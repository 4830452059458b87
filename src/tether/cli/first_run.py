"""What a person reads the first time: what this is, which model answers and why, and what to try."""

from collections.abc import Mapping
from importlib.metadata import version

from tether.cli.default_model import why_model
from tether.cli.extensions import configuration_folder

__all__ = ()

_WITH_A_MODEL = """\
  what does this project build?     reads files without asking
  add a test for the last change    asks before it writes or runs anything
  /help                             lists the commands; Ctrl-C stops"""
_BY_RULES = """\
  list the files                    reads without asking
  write hello to hello.txt          asks before it writes or runs anything
  /help                             lists the commands; Ctrl-C stops"""


def is_first_run() -> bool:
    """Say whether nothing of the person's own is there yet: what they type is kept there from the first line on."""
    return not configuration_folder().exists()


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
            answers,
            more,
            "Try:",
            _BY_RULES if model == "offline" else _WITH_A_MODEL,
        ]
    )
