"""Options that several subcommands have, and the numbers in options."""

from collections.abc import Callable
from functools import reduce
from typing import Any, Final, TypeVar

import click

__all__ = ()

F = TypeVar("F", bound=Callable[..., Any])

_LAST_PORT: Final = 65535


def whole(text: str | int) -> int:
    """Read a whole number of 1 or more, for an option.

    Raises:
        click.BadParameter: it is none.
    """
    number = text if isinstance(text, int) else int(text) if text.isdecimal() else 0
    if number < 1:
        raise click.BadParameter(f"{text!r} is not a whole number of 1 or more")
    return number


def port(text: str | int) -> int:
    """Read a port of a machine, or 0 for any that is free.

    Raises:
        click.BadParameter: it is none.
    """
    number = text if isinstance(text, int) else int(text) if text.isdecimal() else -1
    if not 0 <= number <= _LAST_PORT:
        raise click.BadParameter(f"{text!r} is not a port: a whole number of 0 to {_LAST_PORT}")
    return number


backend: Final = click.option(
    "--backend",
    type=click.Choice(["asyncio", "trio"]),
    default="asyncio",
    help="the event loop",
)
no_init: Final = click.option("--no-init", is_flag=True, help="load no init file and no extensions")
approve: Final = click.option(
    "--approve",
    type=click.Choice(["changes", "all", "none"]),
    default="changes",
    help="which calls of tools are asked about; those that may change something by default",
)


def together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Return a decorator that adds several options, in this order."""

    def add(function: F) -> F:
        return reduce(lambda made, option: option(made), reversed(options), function)

    return add


system: Final = together(
    click.option("--system", metavar="TEXT", help="the system prompt, in place of tether's own"),
    click.option("--append-system", metavar="TEXT", help="a text behind the system prompt"),
)

agent_options: Final = together(
    click.option("-m", "--model", metavar="NAME", help="as for `tether`"),
    click.option("--base-url", metavar="URL", help="as for `tether`"),
    backend,
    system,
    click.option(
        "--max-turns", metavar="N", type=whole, help="at most N model requests for each message"
    ),
)
"""How the agents of many conversations are made."""
