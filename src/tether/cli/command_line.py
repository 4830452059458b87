"""The subcommands: which one a command line names, and how its words are read.

Each is a command of click's, in a module that is loaded for it alone. What its function returns is either lines to
print, or the arguments of the module's `run`.
"""

import difflib
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Final, TypeVar

import click
from attrs import frozen

from tether import UsageError

__all__ = ()

F = TypeVar("F", bound=Callable[..., Any])

ASK: Final = "ask"
"""The subcommand of a command line that names none."""
_CLOSE: Final = 0.75
"""How alike a word and the name of a subcommand are, from 0 to 1, where one is taken for the other mistyped."""
_WIDEST: Final = 100
"""Columns of help; longer lines are hard to read."""


@frozen
class Subcommand:
    """A subcommand: where it is, and what it does, in half a line."""

    place: str
    """The module below `tether.cli`, and the name of the command in it."""
    usage: str
    about: str

    @property
    def command(self) -> click.Command:
        """The command itself; its module is loaded now."""
        module, _, name = self.place.partition(":")
        found: click.Command = getattr(import_module(f"tether.cli.{module}"), name)
        return found


SUBCOMMANDS: Final[Mapping[str, Subcommand]] = {
    ASK: Subcommand("arguments:ask", "REQUEST...", "answer one request, as without `ask`"),
    "resume": Subcommand(
        "arguments:resume", "[ID] [REQUEST]", "continue the last conversation of this folder, or ID"
    ),
    "sessions": Subcommand(
        "info_commands:list_sessions", "[FOLDER]", "list the conversations of this folder"
    ),
    "models": Subcommand(
        "info_commands:models", "[PROVIDER]", "list the providers, or the models of one"
    ),
    "keys": Subcommand("keys_command:keys", "", "keep the keys of providers; `set PROVIDER`"),
    "alias": Subcommand("alias_command:alias", "NAME MODEL", "give a model a short name"),
    "templates": Subcommand(
        "templates_command:templates", "", "keep prompts with variables, for -t"
    ),
    "fragments": Subcommand(
        "templates_command:fragments", "", "keep texts that go before requests, for -f"
    ),
    "mcp": Subcommand("mcp_command:mcp", "", "the MCP servers whose tools are used"),
    "map": Subcommand("map_command:map_", "PROMPTS", "run once for each line of a file"),
    "serve": Subcommand("serve_command:serve", "", "the same agent in the browser: prints a link"),
    "acp": Subcommand("acp_command:acp", "", "the same agent in an editor, which starts it"),
    "attach": Subcommand(
        "attach_command:attach", "URL [ID]", "a conversation on a server, at this terminal"
    ),
    "replay": Subcommand("replay_command:replay_", "FILE", "a recorded run again, offline"),
    "diff": Subcommand("diff_command:diff", "FILE FILE", "where two recorded runs part"),
    "top": Subcommand("top_command:top", "URL...", "show the metrics of servers live"),
    "config": Subcommand("info_commands:config", "", "show where files and conversations are"),
    "schema": Subcommand(
        "info_commands:schema", "", "print the JSON Schema of events and messages"
    ),
    "completion": Subcommand(
        "completion_command:completion", "SHELL", "print what makes Tab complete in a shell"
    ),
    "help": Subcommand("info_commands:help_", "[GUIDE]", "show a guide, or the list of all"),
}


class Command(click.Command):
    """A command whose examples are shown as they are written."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        if self.epilog:
            formatter.write(f"\n{self.epilog}")


class Group(click.Group):
    """A command with subcommands of its own; `list` is the one where none is named."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        if self.epilog:
            formatter.write(f"\n{self.epilog}")

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words."""
        return super().parse_args(ctx, args if args or ctx.resilient_parsing else ["list"])


def shows_help(function: F) -> F:
    """Give a command the options `-h` and `--help`, which print through the door as all else does."""
    return click.option(
        "-h",
        "--help",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_show_help,
        help="show this help",
    )(function)


def _show_help(context: click.Context, _: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - click calls it
    if wanted and not context.resilient_parsing:
        print(context.get_help())
        context.exit()


def command(name: str, *, epilog: str | None = None) -> Callable[[Callable[..., Any]], Command]:
    """Return a decorator that makes a function a command.

    Args:
        name: its name.
        epilog: examples, shown as they are.
    """

    def make(function: Callable[..., Any]) -> Command:
        made = click.command(name, cls=Command, epilog=epilog, add_help_option=False)
        return made(shows_help(function))

    return make


def group(name: str, *, epilog: str | None = None) -> Callable[[Callable[..., Any]], Group]:
    """Return a decorator that makes a function a command with subcommands; see `command`."""

    def make(function: Callable[..., Any]) -> Group:
        made = click.group(name, cls=Group, epilog=epilog, add_help_option=False)
        return made(shows_help(function))

    return make


def chosen(words: Sequence[str]) -> tuple[str, list[str]]:
    """Find out which subcommand a command line names.

    It is the first word that is neither an option nor the value of one; options may stand before it.

    Args:
        words: the words after the command's name.

    Returns:
        Its name, `ask` where none is named; and the words for it.

    Raises:
        UsageError: the only word is almost the name of a subcommand: then it is no request.
    """
    name, rest = without_refusal(words)
    place = _first_word(words)
    if place is None or len(rest) < len(words) or words[place] == "--":
        return name, rest
    if _first_word(words[place + 1 :]) is None:
        _refuse_mistyped(words[place])
    return name, rest


def without_refusal(words: Sequence[str]) -> tuple[str, list[str]]:
    """Find out which subcommand words name, as `chosen` does; what is almost one is part of a request."""
    place = _first_word(words)
    if place is None or words[place] not in SUBCOMMANDS:
        return ASK, [*words]
    return words[place], [*words[:place], *words[place + 1 :]]


def _refuse_mistyped(word: str) -> None:
    close = difflib.get_close_matches(word, [*SUBCOMMANDS], n=1, cutoff=_CLOSE)
    if close:
        raise UsageError(
            f"there is no subcommand {word!r}; did you mean {close[0]}? As a request: tether ask {word}"
        )


def _first_word(words: Sequence[str]) -> int | None:
    """Return the place of the first word that is no option; that of `--`, after which there are none."""
    values = {
        name: parameter.nargs
        for parameter in SUBCOMMANDS[ASK].command.params
        if isinstance(parameter, click.Option) and not parameter.is_flag
        for name in parameter.opts
    }
    place = 0
    while place < len(words):
        word = words[place]
        if word in {"-", "--"} or not word.startswith("-"):
            return place
        place += 1 + values.get(word, 0)
    return None


def read(made: click.Command, words: Sequence[str], *, name: str | None = None) -> Any:
    """Read the words of a command, and call its function.

    Args:
        made: the command.
        words: what stands behind its name.
        name: what stands before the words; `tether` and the command's name if None.

    Returns:
        What the function returns.

    Raises:
        SystemExit: with code 2 for wrong usage, which was said; with 0 for `--help`.
    """
    settings: dict[str, Any] = {"max_content_width": _WIDEST}
    try:
        with made.make_context(name or f"tether {made.name}", list(words), **settings) as context:
            return made.invoke(context)
    except click.exceptions.Exit as left:
        raise SystemExit(left.exit_code) from None
    except click.UsageError as error:
        if error.ctx is not None:
            print(error.ctx.get_usage(), file=sys.stderr)
        print(f"tether: {error.format_message()}", file=sys.stderr)
        raise SystemExit(2) from None
