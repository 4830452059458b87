"""`tether alias`: short names of models."""

from collections.abc import Iterator, Sequence
from typing import Final

import click

from tether import UsageError
from tether.cli.aliases import add_alias, known_aliases, remove_alias
from tether.cli.command_line import command

__all__ = ()

_EXAMPLES: Final = """\
Examples:
  tether alias gpt openai:gpt-5      then: tether -m gpt "hello", and /model gpt
  tether alias                       list them
  tether alias remove gpt
"""


@command("alias", epilog=_EXAMPLES)
@click.argument("words", metavar="[NAME MODEL | list | remove NAME]", nargs=-1)
def alias(words: Sequence[str]) -> Iterator[str]:
    """Give a model a short name."""
    match words:
        case [] | ["list"]:
            found = [f"{name:16} {model}" for name, model in sorted(known_aliases().items())]
            yield from found or ["no short names; `tether alias NAME MODEL` gives one"]
        case ["remove", name]:
            remove_alias(name)
            yield f"{name} is forgotten"
        case [name, model] | ["set", name, model]:
            add_alias(name, model)
            yield f"{name} is {model}"
        case _:
            raise UsageError("give NAME MODEL, `list`, or `remove NAME`")
