"""`tether serve`: the agent of the terminal, in the browser."""

import ipaddress
import secrets
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from socket import socket
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, Literal

import anyio
import click
from attrs import frozen

from tether import Agent, Commands, UsageError
from tether.cli.assembly import (
    agent_of_conversation,
    chosen_model,
    is_trusted,
    load,
    new_app,
)
from tether.cli.command_line import command, read
from tether.cli.context.gathering import gather
from tether.cli.context.host_commands import add_to
from tether.cli.context.joining import shortened
from tether.cli.databases import check_takeover, is_database, opened, takeover
from tether.cli.door import visible
from tether.cli.extensions import configuration_folder
from tether.cli.options import agent_options, approve, no_init, port
from tether.cli.recordings import known_keys
from tether.cli.session_files import make_private_folder, open_private, session_folder
from tether.cli.signals import INTERRUPTED, interrupted
from tether.cli.streams import warn
from tether.host import Conversation, FolderStore, Recordings, Store
from tether.web import Tokens
from tether.web.application import made_site, site_application
from tether.web.serving import listening
from tether.web.serving import serve as serve_on

if TYPE_CHECKING:
    from tether.metrics import Metrics

__all__ = ()

_EXAMPLES = """\
examples:
  tether serve
  tether serve --model anthropic:claude-sonnet-4-5 --port 9000
  tether serve --model offline                 needs no key
  tether serve --host 0.0.0.0 --allow-remote chat.example.com

Open the link that it prints: it works once, and lets that browser in from then on. `tether attach URL` is the
terminal, from this machine or another one. Ctrl-C ends all runs and the server. `tether help web` shows the guide.
"""
_KEY_FILE: Final = "web.key"


@frozen(kw_only=True)
class ServeArguments:
    """One call of `tether serve`."""

    listener: socket
    host: str
    names: Sequence[str]
    """Names by which others reach it."""
    store: Store
    folder: Path
    """Where the key of the cookies is."""
    approve: Literal["changes", "all", "none"]
    model: str
    backend: str
    metrics: "Metrics | None"
    record: Path | None
    make_agent: Callable[[Conversation], Agent]
    commands: Commands


@command("serve", epilog=_EXAMPLES)
@click.option(
    "--host",
    default="127.0.0.1",
    metavar="ADDRESS",
    help="where to listen; this machine alone by default",
)
@click.option(
    "--port", metavar="N", type=port, default=8765, help="8765 by default; 0 for any that is free"
)
@click.option(
    "--allow-remote",
    metavar="[NAME]",
    is_flag=False,
    flag_value="",
    help="let other machines in, with a link or token; NAME is what they call this one, further names may follow",
)
@click.argument("names", metavar="", nargs=-1)
@agent_options
@click.option(
    "--store",
    metavar="FOLDER|URL",
    help="where conversations are kept: a folder, sqlite:///app.db, or postgresql://host/database; by default "
    "where `tether` keeps those of this folder",
)
@takeover
@approve
@click.option(
    "--record",
    metavar="FOLDER",
    help="record all runs in FOLDER, for `tether replay` and the page: a file each time that a conversation is opened",
)
@click.option(
    "--metrics",
    is_flag=True,
    help="insist on /metrics, which is there where the extra `metrics` is installed",
)
@no_init
def serve(**given: Any) -> ServeArguments:
    """Serve the agent of this folder to browsers and terminals."""
    options = SimpleNamespace(**given)
    is_remote = options.allow_remote is not None
    if options.names and not is_remote:
        raise click.UsageError(f"{' '.join(options.names)!r} is one word too many")
    if not is_remote and not _is_loopback(options.host):
        raise UsageError(
            f"--host {options.host} lets other machines in, to an agent that can run commands on this one: "
            "add --allow-remote if that is meant, with the names by which they reach it"
        )
    check_takeover(options.store, takeover=options.takeover)
    app = new_app(
        system=options.system,
        append_system=options.append_system,
        max_turns=options.max_turns,
        session=None,
    )
    commands = Commands(Conversation)
    if not options.no_init:
        allowed = load(app, is_trusted)
        known = gather(Path.cwd(), configuration_folder(), of_project=allowed)
        add_to(commands, known, app.model_named)
        for problem in shortened(known.problems):
            warn(problem)
    app.agent.model = chosen_model(app, model=options.model, base_url=options.base_url, path=None)
    in_database = is_database(options.store)
    folder = (
        Path(options.store) if options.store and not in_database else session_folder(Path.cwd())
    )
    make_private_folder(folder)
    if options.record is not None:
        Recordings(options.record).prepare()
    store = opened(options.store, takeover=options.takeover) if in_database else FolderStore(folder)
    return ServeArguments(
        listener=listening(options.host, options.port),
        host=options.host,
        names=[*filter(None, [options.allow_remote]), *options.names],
        store=store,
        folder=folder,
        approve=options.approve,
        model=app.agent.model.name,
        backend=options.backend,
        metrics=_metrics(is_demanded=options.metrics),
        record=None if options.record is None else Path(options.record),
        make_agent=partial(
            agent_of_conversation,
            app,
            options.approve,
            folder=Path.cwd(),
            learns=not options.no_init,
        ),
        commands=commands,
    )


def parse(words: Sequence[str]) -> ServeArguments:
    """Read the words after `tether serve`, load extensions, and listen.

    Raises:
        UsageError: something cannot be.
        OSError: the folder of conversations cannot be made.
        SystemExit: with code 2 for wrong usage, with 0 for `--help`.
    """
    made: ServeArguments = read(serve, words)
    return made


def _metrics(*, is_demanded: bool) -> "Metrics | None":
    try:
        from tether.metrics import Metrics  # noqa: PLC0415 - needs the extra `metrics`
    except ModuleNotFoundError as error:
        if is_demanded:
            raise UsageError(str(error)) from error
        return None
    return Metrics()


async def run(arguments: ServeArguments) -> int:
    """Serve until Ctrl-C.

    Cancellation:
        Closes all streams, cancels all runs, waits until they have cleaned up, and passes on.
    """
    site = made_site(
        arguments.make_agent,
        store=arguments.store,
        model=arguments.model,
        metrics=arguments.metrics,
        record=arguments.record,
        secrets=() if arguments.record is None else known_keys(),
        commands=arguments.commands,
    )
    url = _url(arguments)
    tokens = Tokens(_key(arguments.folder), link_used=lambda: _say_link(url, tokens))
    application = site_application(
        site, authorise=tokens, hosts=arguments.names, has_lifespan=False
    )
    async with site.opened(), anyio.create_task_group() as tasks:

        async def until_interrupted() -> None:
            await interrupted()
            tasks.cancel_scope.cancel()

        tasks.start_soon(until_interrupted)
        print(f"{arguments.model} in {visible(str(Path.cwd()))}, at {url}")
        _say_link(url, tokens)
        print(f"  from a terminal: tether attach {url} --token {tokens.bearer}", flush=True)
        if arguments.metrics is not None:
            print(f"  metrics: tether top {url}/metrics", flush=True)
        if arguments.record is not None:
            print(f"  recorded in {visible(str(arguments.record))}", flush=True)
        await serve_on(
            application,
            arguments.listener,
            backend=arguments.backend,
            ending=lambda: site.streams.close(),
        )
    return INTERRUPTED


def _say_link(url: str, tokens: Tokens) -> None:
    print(f"  in a browser, once: {url}/?token={tokens.link()}", flush=True)


def _url(arguments: ServeArguments) -> str:
    host = next(iter(arguments.names), arguments.host)
    port = arguments.listener.getsockname()[1]
    if host in {"0.0.0.0", "::", ""}:
        host = "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _key(folder: Path) -> bytes:
    """Return the key of the cookies: browsers that were let in are still, when the server is started again."""
    path = folder / _KEY_FILE
    try:
        with open(path, "xb", opener=open_private) as file:
            file.write(secrets.token_bytes(32))
    except FileExistsError:
        pass
    key = path.read_bytes()
    if len(key) != 32:
        raise UsageError(
            f"{path} is not a key; delete it, and all browsers have to open a new link"
        )
    return key


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
