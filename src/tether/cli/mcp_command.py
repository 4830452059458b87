"""`tether mcp`: the servers of a person and of a project; and this program as a server."""

import json
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import click

from tether import UsageError
from tether.cli.assembly import add_permission, chosen_model, new_agent, policy_of
from tether.cli.command_line import Command, group, shows_help
from tether.cli.door import as_door, notes
from tether.cli.extensions import App, configuration_folder
from tether.cli.mcp_servers import PERSONAL, PROJECT, described, signed_in
from tether.cli.options import backend
from tether.cli.permission.asking import is_asked_about
from tether.cli.permission.modes import Mode
from tether.cli.session_files import make_private, make_private_folder, open_private
from tether.cli.streams import warn

__all__ = ()

_EXAMPLES: Final = """\
examples:
  tether mcp                                  the servers, and where they are written down
  tether mcp add files npx -y @modelcontextprotocol/server-filesystem .
  tether mcp add web https://example.com/mcp --header "Authorization: Bearer ${TOKEN}"
  tether mcp add db uvx some-server --env URL=... --project
  tether mcp try [NAME]                       connect, and show what they have
  tether mcp login NAME                       sign in to a server at an address
  tether mcp remove NAME
  tether mcp serve [--tools]                  be a server, on standard input and output

A person's servers are in the file mcp.json of the configuration folder; those of a project are in its .mcp.json.
"""


@group("mcp", epilog=_EXAMPLES)
def mcp() -> None:
    """Tools of other programs, over the Model Context Protocol."""


def _action(name: str, **settings: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator that adds a subcommand; its function says what was asked for."""
    return lambda function: mcp.command(name, cls=Command, add_help_option=False, **settings)(
        shows_help(function)
    )


def _asked(action: str, **given: Any) -> SimpleNamespace:
    return SimpleNamespace(**{"backend": "asyncio", "action": action, **given})


@_action("list")
def _list() -> SimpleNamespace:
    """List the servers."""
    return _asked("list")


@_action("try")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@backend
def _try(**given: Any) -> SimpleNamespace:
    """Connect to servers, and show what they have."""
    return _asked("try", **given)


@_action("add", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("name")
@click.argument("target", metavar="COMMAND-OR-URL")
@click.argument("args", metavar="[WORD]...", nargs=-1, type=click.UNPROCESSED)
def _add(**given: Any) -> SimpleNamespace:
    """Add a server: a command that starts it, or its address.

    --env NAME=VALUE, --header 'NAME: VALUE' and --project stand behind it; behind `--`, every word is the server's.
    """
    return _asked("add", **given)


@_action("remove")
@click.argument("name")
@click.option("--project", is_flag=True, help="from this project's .mcp.json")
def _remove(**given: Any) -> SimpleNamespace:
    """Remove a server."""
    return _asked("remove", **given)


@_action("login")
@click.argument("name")
@backend
def _login(**given: Any) -> SimpleNamespace:
    """Sign in to a server at an address."""
    return _asked("login", **given)


@_action("serve")
@click.option("--tools", is_flag=True, help="offer the tools, and not an agent")
@click.option("--yes", is_flag=True, help="ask nobody before tools change things")
@click.option("-m", "--model", metavar="NAME", help="the model of the agent")
@backend
def _serve(**given: Any) -> SimpleNamespace:
    """Be a server, on standard input and output."""
    return _asked("serve", **given)


def listed() -> list[str]:
    """List the servers, with the file of each.

    Raises:
        UsageError: a file is not what it must be.
    """
    lines = []
    for file in _files():
        for name, about in _entries(file).items():
            lines.append(f"{name:16}{_summary(about)}  ({file})")
    return lines or ["no servers; `tether mcp add NAME COMMAND-OR-URL` adds one"]


def _files() -> tuple[Path, Path]:
    return configuration_folder() / PERSONAL, Path.cwd() / PROJECT


def _entries(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is no JSON: {error}") from error
    named = content.get("mcpServers", {}) if isinstance(content, dict) else None
    if not isinstance(named, dict):
        raise UsageError(f'{file} must hold {{"mcpServers": {{...}}}}')
    return named


def _summary(about: Any) -> str:
    if not isinstance(about, dict):
        return "(no server)"
    off = " (disabled)" if about.get("disabled") is True else ""
    if "url" in about:
        return f"{about['url']}{off}"
    return " ".join(map(str, [about.get("command"), *(about.get("args") or [])])) + off


def added(options: SimpleNamespace) -> list[str]:
    """Add a server to a file.

    Raises:
        UsageError: it is not what it must be, or there is one of that name.
        OSError: the file cannot be written.
    """
    from tether.mcp.specs import spec_from  # noqa: PLC0415 - other commands start sooner

    words, env, headers, project = _own_options(options.args)
    about: dict[str, Any]
    if options.target.startswith(("http://", "https://")):
        if words or env:
            raise UsageError("a server at an address has no arguments and no --env")
        about = {"type": "http", "url": options.target} | ({"headers": headers} if headers else {})
    else:
        if headers:
            raise UsageError("--header is for servers at an address")
        about = {"command": options.target, "args": words} | ({"env": env} if env else {})
    spec_from(options.name, about, _AnyVariable())
    file = _files()[1 if project else 0]
    entries = _entries(file)
    if options.name in entries:
        raise UsageError(f"{file} has a server {options.name!r} already; remove it first")
    _write(file, {**entries, options.name: about})
    return [f"added {options.name} to {file}; `tether mcp try {options.name}` shows what it has"]


class _AnyVariable(dict[str, str]):
    """An environment that has every variable: they need not be set now."""

    def __contains__(self, _: object) -> bool:
        return True

    def __getitem__(self, name: str) -> str:
        return os.environ.get(name, "x")


def _own_options(
    words: Sequence[str],
) -> tuple[list[str], dict[str, str], dict[str, str], bool]:
    """Take out of a command what is for us; behind `--`, everything is for the command."""
    rest: list[str] = []
    env: dict[str, str] = {}
    headers: dict[str, str] = {}
    project = False
    waiting = list(words)
    while waiting:
        match waiting.pop(0):
            case "--":
                rest += waiting
                break
            case "--project":
                project = True
            case "--env" if waiting:
                name, equals, value = waiting.pop(0).partition("=")
                if not equals:
                    raise UsageError("--env wants NAME=VALUE")
                env[name] = value
            case "--header" if waiting:
                name, colon, value = waiting.pop(0).partition(":")
                if not colon:
                    raise UsageError("--header wants 'NAME: VALUE'")
                headers[name.strip()] = value.strip()
            case word:
                rest.append(word)
    return rest, env, headers, project


def removed(options: SimpleNamespace) -> list[str]:
    """Remove a server from a file.

    Raises:
        UsageError: there is none of that name.
        OSError: the file cannot be written.
    """
    file = _files()[1 if options.project else 0]
    entries = _entries(file)
    if entries.pop(options.name, None) is None:
        raise UsageError(f"{file} has no server {options.name!r}")
    _write(file, entries)
    return [f"removed {options.name} from {file}"]


def _write(file: Path, entries: dict[str, Any]) -> None:
    """Write the servers; a person's own may hold keys, so that nobody else may read them."""
    text = json.dumps({"mcpServers": entries}, indent=2) + "\n"
    if file.name == PROJECT:
        file.write_text(text, encoding="utf-8")
        return
    make_private_folder(file.parent)
    with open(file, "w", encoding="utf-8", opener=open_private) as opened:
        make_private(file)
        opened.write(text)


async def tried(options: SimpleNamespace) -> int:
    """Connect to servers, and show what they have.

    Returns:
        0 if all are ready, else 1.

    Raises:
        UsageError: there is none of a name.

    Cancellation:
        Closes the connections, and passes on.
    """
    import tether.mcp as protocol  # noqa: PLC0415 - as above

    specs = _specs(options.names)
    async with protocol.connected(*specs, wait=60) as servers:
        for name in servers:
            print(described(servers, name), file=notes(), flush=True)
        return 0 if all(server.state == "ready" for server in servers.values()) else 1


def _specs(names: Sequence[str]) -> list[Any]:
    import tether.mcp as protocol  # noqa: PLC0415 - as above

    found = {
        spec.name: spec
        for file in reversed(_files())
        if file.is_file()
        for spec in protocol.from_json(file)
    }
    for name in names:
        if name not in found:
            known = ", ".join(found) or "none"
            raise UsageError(f"no server is called {name!r}; there are: {known}")
    folder = configuration_folder()
    return [signed_in(spec, folder) for name, spec in found.items() if not names or name in names]


async def logged_in(options: SimpleNamespace) -> int:
    """Sign in to a server at an address, with a browser.

    Raises:
        UsageError: there is no such server, or signing in failed.

    Cancellation:
        Gives up, and passes on.
    """
    from tether.mcp.oauth import sign_in  # noqa: PLC0415 - as above

    [spec] = _specs([options.name])
    status = await sign_in(
        spec,
        configuration_folder() / "mcp-tokens",
        tell=lambda text: print(text, file=notes(), flush=True),
    )
    print(f"{options.name}: {status}", file=notes(), flush=True)
    return 0 if status.startswith("ready") else 1


async def served(options: SimpleNamespace) -> int:
    """Be a server, until the client closes standard input.

    Raises:
        UsageError: the model's name names nothing.

    Cancellation:
        Cancels what runs, and passes on.
    """
    import tether.mcp as protocol  # noqa: PLC0415 - as above

    agent = new_agent(system=None, max_turns=None, session=None)
    agent.name = "tether"
    if not options.tools:
        agent.model = chosen_model(App(agent), model=options.model, base_url=None, path=None)
    # Who is asked is the client's person; the rules that deny are this one's.
    add_permission(agent, None, policy_of(Mode.ALL, Path.cwd()))
    ask_about = None if options.yes else is_asked_about
    # The protocol goes to the stream itself: what passes the door is text for people.
    with redirect_stdout(as_door(sys.stdout).stream):
        await protocol.serve(agent, tools=options.tools, ask_about=ask_about).stdio()
    return 0


async def run(options: SimpleNamespace) -> int:
    """Do what `tether mcp` was asked for, and return the exit code.

    Cancellation:
        Gives up, and passes on.
    """
    try:
        if options.action in _AWAITED:
            return await _AWAITED[options.action](options)
        for line in _AT_ONCE[options.action](options):
            print(line)
    except (UsageError, OSError) as error:
        warn(str(error))
        return 2
    return 0


_AT_ONCE: Final[dict[str, Callable[[SimpleNamespace], list[str]]]] = {
    "list": lambda _: listed(),
    "add": added,
    "remove": removed,
}
_AWAITED: Final[dict[str, Callable[[SimpleNamespace], Awaitable[int]]]] = {
    "try": tried,
    "login": logged_in,
    "serve": served,
}
