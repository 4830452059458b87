"""`tether attach URL [ID]`: a conversation on a server, at this terminal."""

import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import click
from attrs import frozen

from tether import Agent
from tether.cli.command_line import command
from tether.cli.conversation import Conversation
from tether.cli.display import Screen
from tether.cli.door import notes
from tether.cli.editor import edited_lines, printing_above
from tether.cli.extensions import App, configuration_folder
from tether.cli.live import Live
from tether.cli.options import backend
from tether.cli.remote import RemoteTalk, remote_commands
from tether.cli.streams import warn
from tether.cli.terminal import is_dumb, plain_lines
from tether.web import ListedCommand, Remote, RemoteConversation, RemoteError, connect

__all__ = ()

_EXAMPLES = """\
examples:
  tether attach 'http://127.0.0.1:8765/?token=...'     the link that `tether serve` prints; it works once
  tether attach http://127.0.0.1:8765 --token ...      the token that it prints for terminals
  tether attach http://127.0.0.1:8765 3f2a             the conversation whose id begins so
  tether attach http://127.0.0.1:8765 --new

Without an id it is the conversation in which something was said last. Keys are those of `tether`; /help lists the
commands, those of the server too. Leaving ends nothing on the server. TETHER_TOKEN is the token, where --token is not
given.
"""


@frozen(kw_only=True)
class AttachArguments:
    """One call of `tether attach`."""

    url: str
    id: str
    new: bool
    token: str | None
    backend: str


@command("attach", epilog=_EXAMPLES)
@click.argument("url")
@click.argument("id", default="")
@click.option("--new", is_flag=True, help="begin a new conversation")
@click.option("--token", metavar="TEXT", help="the token that `tether serve` prints for terminals")
@backend
def attach(*, token: str | None, **given: Any) -> AttachArguments:
    """Hold a conversation on a server, from this terminal.

    URL is the address of the server, or its link; ID the first characters of a conversation's id.
    """
    if given["new"] and given["id"]:
        raise click.UsageError("--new begins a conversation: leave out the id")
    return AttachArguments(token=token or os.environ.get("TETHER_TOKEN") or None, **given)


async def run(arguments: AttachArguments) -> int:
    """Hold the conversation until the person leaves.

    Cancellation:
        Leaves, and passes on; nothing ends on the server.
    """
    try:
        async with connect(arguments.url, token=arguments.token) as remote:
            talk = await _chosen(remote, arguments)
            await _converse(talk, await offered_by(remote))
    except RemoteError as error:
        hint = "; `--new` begins another conversation" if error.kind == "busy" else ""
        warn(f"{error}{hint}")
        return 1
    return 0


async def _chosen(remote: Remote, arguments: AttachArguments) -> RemoteConversation:
    if arguments.new:
        return await remote.conversation()
    found = await remote.conversations(limit=200 if arguments.id else 1)
    fitting = [one.id for one in found if one.id.startswith(arguments.id)]
    if len(fitting) > 1:
        raise RemoteError(
            f"{len(fitting)} conversations have an id that begins with {arguments.id!r}; write more of it",
            status=None,
            kind="ambiguous",
        )
    if not fitting and arguments.id:
        return await remote.conversation(arguments.id)
    return await remote.conversation(fitting[0] if fitting else None)


async def offered_by(remote: Remote) -> Sequence[ListedCommand]:
    """List the commands of a server; an older one has none.

    Raises:
        RemoteError: the server refuses, or cannot be reached.

    Cancellation:
        At once.
    """
    try:
        return await remote.commands()
    except RemoteError as error:
        if error.kind != "not_found":
            raise
        return ()


async def _converse(talk: RemoteConversation, offered: Sequence[ListedCommand]) -> None:
    dumb = is_dumb()
    with nullcontext() if dumb else printing_above():
        live = Live(sys.stdout, width=lambda: shutil.get_terminal_size().columns)
        conversation: Conversation = RemoteTalk(
            App(Agent("offline"), remote_commands(offered)),
            Screen(sys.stdout, notes()) if dumb else live,
            tell=_tell if dumb else live.tell,
            talk=talk,
        )
        history = configuration_folder() / "history"
        async with (
            plain_lines(conversation)
            if dumb
            else edited_lines(conversation, live, history) as inputs
        ):
            await conversation.hold(inputs)


def _tell(text: str) -> None:
    print(text, file=notes(), flush=True)
