"""`tether keys`: the keys of providers, kept once."""

import getpass
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

import click

from tether import UsageError
from tether.cli.command_line import Command, group, shows_help
from tether.cli.keys import keep_key, remove_key, variable_of, where_keys_are
from tether.models.catalogue import provider_keys

__all__ = ()

_EXAMPLES: Final = """\
Examples:
  tether keys set anthropic                 asks for the key; nothing is shown while you type
  pass show openai | tether keys set openai
  tether keys                               which providers have a key, and where it is
  tether keys remove openai

Keys are kept in the system's keyring where there is one (pip install 'tether[keyring]'), else in a file that you alone
can read. A variable of the environment, such as OPENAI_API_KEY, wins. Keys are never shown.
"""


@group("keys", epilog=_EXAMPLES)
def keys() -> None:
    """Keep the keys of providers."""


def _action(name: str) -> Callable[[Callable[..., Any]], Any]:
    return lambda function: keys.command(name, cls=Command, add_help_option=False)(
        shows_help(function)
    )


def provider_names(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
    """Complete the name of a provider that has a key."""
    return [name for name, known in provider_keys().items() if known and name.startswith(begun)]


@_action("set")
@click.argument("provider", shell_complete=provider_names)
def _set(provider: str) -> Iterator[str]:
    """Keep the key of a provider; it is asked for, or read from a pipe."""
    variable = variable_of(provider)
    if sys.stdin.isatty():
        try:
            key = getpass.getpass(f"key of {provider} ({variable}), not shown: ", sys.stderr)
        except EOFError:
            raise UsageError("no key was given") from None
    else:
        key = sys.stdin.read()
    yield f"the key of {provider} is kept in {keep_key(provider, key.strip())}"
    if where_keys_are().get(variable) == "set in the environment":
        yield f"{variable} is set in the environment too, and wins"


@_action("list")
def _list() -> Iterator[str]:
    """List the providers that have a key, and where it is."""
    places = where_keys_are()
    found = [
        f"{name:15}  {variable:22}  {places[variable]}"
        for name, variables in provider_keys().items()
        for variable in variables
        if variable in places
    ]
    yield from found or ["no provider has a key; `tether keys set PROVIDER` keeps one"]


@_action("remove")
@click.argument("provider", shell_complete=provider_names)
def _remove(provider: str) -> Iterator[str]:
    """Forget the key of a provider."""
    remove_key(provider)
    yield f"the key of {provider} is forgotten"
