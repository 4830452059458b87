"""Commands that ask no model: `tether models`, `tether sessions`, `tether config`, `tether schema`, `tether help`."""

import difflib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click

from tether import UsageError, context_window, json_schema, known_models, sessions
from tether.cli.command_line import command
from tether.cli.extensions import configuration_folder
from tether.cli.guides import FIRST, find_guides, list_guides, shown
from tether.cli.keys import where_keys_are
from tether.cli.session_files import kept_sessions, session_folder
from tether.models.catalogue import provider_keys
from tether.models.knowledge import token_prices

__all__ = ()


def _provider_names(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
    return [name for name in provider_keys() if name.startswith(begun)]


def _guide_names(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
    return [name for name in find_guides() if name.startswith(begun)]


@command("models")
@click.argument("providers", metavar="[PROVIDER]...", nargs=-1, shell_complete=_provider_names)
@click.option("--long", is_flag=True, help="show context windows and prices")
def models(providers: Sequence[str], *, long: bool) -> Iterator[str]:
    """List the providers and their keys, or the models of the providers that are named."""
    if not providers and not long:
        places = where_keys_are()
        yield f"{'provider':15}  key"
        for name, keys in provider_keys().items():
            yield f"{name:15}  {_keys(keys, places)}"
        yield ""
        yield "`tether models PROVIDER` lists the models that genai-prices knows; other names work too."
    for provider in providers:
        if provider not in provider_keys():
            raise UsageError(
                f"no provider is called {provider!r}{_hint(provider)} providers are: {', '.join(provider_keys())}"
            )
    if long:
        yield f"{'model':52} {'window':>10} {'in, $/M':>9} {'out, $/M':>9}"
    every = [] if not long else [name for name in provider_keys() if known_models(name)]
    for provider in providers or every:
        yield from _models_of(provider, long=long)


def _models_of(provider: str, *, long: bool) -> Iterator[str]:
    names = known_models(provider)
    if not names:
        yield f"no models of {provider} are known (pip install 'tether[prices]' adds a list)"
    for name in names:
        model = f"{provider}:{name}"
        window = context_window(model)
        if long:
            prices = token_prices(model) or (None, None)
            shown = [
                f"{price:9,.2f}" if price is not None else f"{'unknown':>9}" for price in prices
            ]
            yield f"{model:52} {f'{window:,}' if window else 'unknown':>10} {' '.join(shown)}"
        else:
            yield f"{provider}:{name:40}{f'  {window:>9,} tokens' if window else ''}".rstrip()


def _hint(provider: str) -> str:
    close = difflib.get_close_matches(provider.partition(":")[0].lower(), [*provider_keys()], n=2)
    return f"; did you mean {' or '.join(close)}? The" if close else "; the"


def _keys(keys: Sequence[str], places: Mapping[str, str]) -> str:
    if not keys:
        return "none needed"
    for key in keys:
        if key in places:
            place = places[key]
            return f"{key} is {'set' if place == 'set in the environment' else place}"
    return f"{' or '.join(keys)} is not set"


@command("sessions")
@click.argument("folders", metavar="[FOLDER]...", nargs=-1)
def list_sessions(folders: Sequence[str]) -> Iterator[str]:
    """List the conversations of this folder, or the session files in the folders that are named, newest first."""
    found = (
        [info for folder in folders for info in sessions(folder)]
        if folders
        else [*kept_sessions(Path.cwd()), *sessions(".")]
    )
    for info in found:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(info.time))
        messages = f"{info.messages:5}" if info.exact else f"{info.messages:4}+"
        about = f"{when}  {messages} messages  {info.size / 1024:8.1f} KiB"
        name = str(info.path) if info.path.parent != session_folder(Path.cwd()) else info.path.stem
        yield f"{name}  {about}  {'(damaged) ' if info.damaged else ''}{info.title}"
    if not found:
        where = " or ".join(folders) if folders else str(Path.cwd())
        yield f"no conversation is kept for {where}; `tether` starts one"
    elif not folders:
        yield ""
        yield "`tether resume ID` continues one; the first characters of the id are enough."
    if any(info.damaged for info in found):
        yield "`tether resume ID --repair` continues a damaged one without what cannot be read."


@command("config")
def config() -> Iterator[str]:
    """Show which files the command loads, and where conversations are kept."""
    folder = configuration_folder()
    for what, path in (
        ("configuration folder", folder),
        ("init file", folder / "init.py"),
        ("MCP servers", folder / "mcp.json"),
        ("trusted projects", folder / "trusted.json"),
        ("this project's init file", Path.cwd() / ".tether" / "init.py"),
        ("this project's servers", Path.cwd() / ".mcp.json"),
        ("conversations held here", session_folder(Path.cwd())),
    ):
        yield f"{what:26}{path}{'' if path.exists() else '  (not there)'}"
    chosen = os.environ.get("TETHER_MODEL")
    yield f"{'model':26}{chosen or 'chosen by the first API key that is set, else offline'}"


@command("schema")
def schema() -> Iterator[str]:
    """Print the JSON Schema of the events that `--json` prints, and of messages."""
    yield json.dumps(json_schema(), indent=2, ensure_ascii=False)


@command("help")
@click.argument("names", metavar="[GUIDE]...", nargs=-1, shell_complete=_guide_names)
def help_(names: Sequence[str]) -> Iterator[str]:
    """Show the guides that are named; without a name, the first one and the list."""
    guides = find_guides()
    wanted = names or [name for name in (FIRST,) if name in guides]
    for name in wanted:
        if name not in guides:
            yield from list_guides(guides)
            raise UsageError(f"no guide is called {name!r}")
        yield shown(guides[name])
    if not names:
        yield ""
        yield from list_guides(guides)
