"""An agent for editors: the methods of the Agent Client Protocol, on a host."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from anyio.abc import ByteReceiveStream, ByteSendStream, TaskGroup, TaskStatus
from attrs import evolve

import tether.host
from tether import Agent, Text, UsageError
from tether.acp.connection import Connection, Handlers, serve_connection
from tether.acp.content import message_of
from tether.acp.editor import Capabilities, in_editor
from tether.acp.jsonrpc import INVALID_PARAMS, RpcError
from tether.acp.options import choose, options_of
from tether.acp.projects import Projects
from tether.acp.stdio import standard_io
from tether.acp.tool_servers import servers_of
from tether.acp.turns import EditorSession
from tether.acp.updates import Update, Updates
from tether.commands import Commands
from tether.errors import ArgumentsError
from tether.hooks import call_maybe_async
from tether.host import Conversation, ConversationInfo, Host, NotFoundError, Store, expand

if TYPE_CHECKING:
    from tether.mcp import ServerSpec

__all__ = ("MakeAgent", "serve", "serve_stdio")

MakeAgent: TypeAlias = Callable[[Conversation, Path], Agent | Awaitable[Agent]]
"""Makes the agent of a conversation in a working folder; plain or async."""

_log = logging.getLogger("tether")
_VERSION: Final = 1
_NOT_FOUND: Final = -32002
_PAGE: Final = 50


async def serve(
    source: ByteReceiveStream,
    output: ByteSendStream,
    make_agent: MakeAgent,
    *,
    store: Callable[[Path], Store] | None = None,
    models: Sequence[str] = (),
    commands: Commands | None = None,
) -> None:
    """Serve an editor until it closes its end.

    Args:
        source: what the editor writes.
        output: what it reads. A message is written as a whole, also by a task that is cancelled meanwhile.
        make_agent: makes the agent of a conversation, given its working folder. `approve=conversation.approve` has the
            editor ask the person. Tools with the names of the toolbox's work on the editor's files and terminals,
            where it offers them.
        store: says where the conversations of a working folder are kept, such as `FolderStore`, which keeps them in
            it. Without it they last as long as the connection.
        models: the names of models that the editor offers, besides the agent's own.
        commands: what is called by a prompt `/name ...`; they get the conversation as their context. What they return
            is shown; where it is a `UserMessage`, it is said to the agent instead.

    Raises:
        Exception: what the streams raise.

    Cancellation:
        Ends all runs, waits until they have cleaned up, and passes on.
    """
    projects = Projects(store)
    server = _Server(make_agent, projects, models, commands or Commands())
    kept = None if store is None else projects
    async with tether.host.open(server.make, store=kept) as host:
        await serve_connection(source, output, partial(server.handlers, host))


async def serve_stdio(make_agent: MakeAgent, **options: Any) -> None:
    """Serve the editor that has started this process, on its standard streams; see `serve`."""
    async with standard_io() as (source, output):
        await serve(source, output, make_agent, **options)


class _Server:
    """What one editor is answered.

    Args:
        make_agent: makes agents.
        projects: the working folders.
        models: the models to choose from.
        commands: the commands of prompts.
    """

    def __init__(
        self,
        make_agent: MakeAgent,
        projects: Projects,
        models: Sequence[str],
        commands: Commands,
    ) -> None:
        self._make_agent = make_agent
        self._models = models
        self._commands = commands
        self._capabilities = Capabilities()
        self._projects = projects
        self._sessions: dict[str, EditorSession] = {}
        self._host: Host
        self._connection: Connection
        self._tasks: TaskGroup

    async def make(self, talk: Conversation) -> Agent:
        """Make the agent of a conversation, with the editor's tools."""
        folder = self._projects.folder(talk.owner)
        agent: Agent = await call_maybe_async(self._make_agent, talk, folder)
        if isinstance(agent, Agent):  # pyright: ignore[reportUnnecessaryIsInstance] - the host refuses others
            ask = partial(self._request, talk.id)
            agent.tools = in_editor(agent.tools, ask, self._capabilities, folder)
        return agent

    def handlers(self, host: Host, connection: Connection, tasks: TaskGroup) -> Handlers:
        """Give the methods that the editor may call."""
        self._host, self._connection, self._tasks = host, connection, tasks
        methods: Mapping[str, Callable[[dict[str, Any]], Awaitable[Any]]] = {
            "initialize": self._initialize,
            "authenticate": self._authenticate,
            "session/new": self._new,
            "session/load": partial(self._open, replays=True),
            "session/resume": partial(self._open, replays=False),
            "session/list": self._list,
            "session/close": self._close,
            "session/delete": self._delete,
            "session/prompt": self._prompt,
            "session/cancel": self._cancel,
            "session/set_config_option": self._set_option,
        }
        return {name: _with_params(method) for name, method in methods.items()}

    # The methods.

    async def _initialize(self, params: dict[str, Any]) -> Any:
        self._capabilities = Capabilities.of(params.get("clientCapabilities"))
        return {
            "protocolVersion": _VERSION,
            "agentInfo": {"name": "tether", "title": "tether", "version": version("tether")},
            "authMethods": [],
            "agentCapabilities": {
                "loadSession": True,
                "promptCapabilities": {"image": True, "audio": True, "embeddedContext": True},
                "mcpCapabilities": {"http": True, "sse": False},
                "sessionCapabilities": {"list": {}, "resume": {}, "close": {}, "delete": {}},
            },
        }

    async def _authenticate(self, params: dict[str, Any]) -> Any:
        raise RpcError(
            INVALID_PARAMS,
            "no way to authenticate is offered: set the key of the model's provider in the environment",
            {"methodId": params.get("methodId")},
        )

    async def _new(self, params: dict[str, Any]) -> Any:
        owner = self._owner_in(params)
        talk = await self._host.conversation(owner=owner)
        await self._opened(talk, params, replays=False)
        return {"sessionId": talk.id, **self._options(talk)}

    async def _open(self, params: dict[str, Any], *, replays: bool) -> Any:
        owner = self._owner_in(params)
        talk = await self._host.conversation(_text(params, "sessionId"), owner=owner, create=False)
        await self._opened(talk, params, replays=replays)
        return self._options(talk)

    async def _list(self, params: dict[str, Any]) -> Any:
        owners = [self._owner_in(params)] if params.get("cwd") else self._projects.owners
        before = params.get("cursor")
        found = [
            info
            for owner in owners
            for info in await self._host.conversations(owner=owner, limit=_PAGE + 1, before=before)
            if info.messages
        ]
        found.sort(key=lambda info: info.place, reverse=True)
        page = found[:_PAGE]
        listed: dict[str, Any] = {"sessions": [self._listed(info) for info in page]}
        return listed | ({"nextCursor": page[-1].cursor} if len(found) > _PAGE else {})

    async def _close(self, params: dict[str, Any]) -> Any:
        session = self._session_in(params)
        session.talk.abort()
        await session.talk.wait_idle()
        session.close()
        self._sessions.pop(session.talk.id, None)
        return {}

    async def _delete(self, params: dict[str, Any]) -> Any:
        id_ = _text(params, "sessionId")
        session = self._sessions.pop(id_, None)
        owners = self._projects.owners if session is None else [session.talk.owner]
        for owner in owners:
            try:
                await self._host.delete(id_, owner=owner)
            except NotFoundError:
                continue
            return {}
        raise NotFoundError(f"there is no session {id_!r}")

    async def _prompt(self, params: dict[str, Any]) -> Any:
        session = self._session_in(params)
        message = message_of(params.get("prompt"))
        if self._is_command(message.text):
            answer = await expand(self._commands, message.text, session.talk)
            if isinstance(answer, str):
                await session.say(answer)
                return {"stopReason": "end_turn"}
            attached = [block for block in message.content if not isinstance(block, Text)]
            message = evolve(answer, content=(*answer.content, *attached))
        return {"stopReason": await session.prompt(message)}

    def _is_command(self, text: str) -> bool:
        """Whether a prompt calls a command; an editor's prompt may also begin with a path."""
        return text.startswith("/") and next(iter(text[1:].split()), "") in self._commands

    async def _cancel(self, params: dict[str, Any]) -> Any:
        self._session_in(params).talk.abort()

    async def _set_option(self, params: dict[str, Any]) -> Any:
        session = self._session_in(params)
        choose(session.talk.agent, params.get("configId"), params.get("value"))
        return self._options(session.talk)

    # What they are made of.

    async def _request(self, session_id: str, method: str, params: dict[str, Any]) -> Any:
        return await self._connection.request(method, {"sessionId": session_id, **params})

    async def _notify(self, session_id: str, method: str, params: dict[str, Any]) -> None:
        await self._connection.notify(method, {"sessionId": session_id, **params})

    async def _opened(self, talk: Conversation, params: dict[str, Any], *, replays: bool) -> None:
        """Have the editor follow a conversation."""
        servers = _servers_in(params)
        if (before := self._sessions.pop(talk.id, None)) is not None:
            before.close()
        updates = Updates(lambda: talk.agent.tools, self._projects.folder(talk.owner))
        ask, tell = partial(self._request, talk.id), partial(self._notify, talk.id)
        session = EditorSession(talk, updates, ask, tell, self._tasks)
        await session.catch_up(shows=replays)
        self._sessions[talk.id] = session
        session.start()
        if servers:
            await self._tasks.start(self._with_servers, session, servers)
        if len(self._commands):
            self._tasks.start_soon(session.update, _commands_shown(self._commands))

    async def _with_servers(  # noqa: ASYNC114 - started in one place, and waited for
        self,
        session: EditorSession,
        servers: "Sequence[ServerSpec]",
        *,
        task_status: TaskStatus[None],
    ) -> None:
        """Give a session the tools of MCP servers, for as long as it is open."""
        from tether.mcp import connected  # noqa: PLC0415 - an extra, and large

        folder = self._projects.folder(session.talk.owner)
        async with connected(*servers, roots=[folder]) as found:
            found.follow(session.talk.agent)
            task_status.started()
            await session.closed.wait()

    def _owner_in(self, params: dict[str, Any]) -> str:
        """The owner of the conversations in a working folder."""
        folder = Path(_text(params, "cwd"))
        if not folder.is_absolute():
            raise RpcError(INVALID_PARAMS, f"cwd must be an absolute path, not {str(folder)!r}")
        return self._projects.owner(folder)

    def _session_in(self, params: dict[str, Any]) -> EditorSession:
        id_ = _text(params, "sessionId")
        session = self._sessions.get(id_)
        if session is None:
            raise NotFoundError(
                f"no session {id_!r} is open: session/new, /load or /resume opens one"
            )
        return session

    def _options(self, talk: Conversation) -> dict[str, Any]:
        return {"configOptions": options_of(talk.agent, self._models)}

    def _listed(self, info: ConversationInfo) -> dict[str, Any]:
        return {
            "sessionId": info.id,
            "cwd": str(self._projects.folder(info.owner)),
            "title": info.title,
            "updatedAt": datetime.fromtimestamp(info.updated, UTC).isoformat(),
        }


def _with_params(method: Callable[[dict[str, Any]], Awaitable[Any]]) -> Callable[[Any], Any]:
    """Have a method given an object, and its errors told by their kinds."""

    async def called(params: Any) -> Any:
        if not isinstance(params, dict):
            raise RpcError(INVALID_PARAMS, f"params must be an object, not {params!r:.200}")
        try:
            return await method(params)
        except NotFoundError as error:
            raise RpcError(_NOT_FOUND, str(error)) from error
        except (UsageError, ArgumentsError) as error:
            raise RpcError(INVALID_PARAMS, str(error)) from error

    return called


def _servers_in(params: dict[str, Any]) -> "Sequence[ServerSpec]":
    try:
        return servers_of(params.get("mcpServers"))
    except ModuleNotFoundError as error:
        if error.name != "mcp":
            raise
        _log.warning("the MCP servers of the editor are left out: pip install 'tether[mcp]'")
        return ()


def _text(params: dict[str, Any], name: str) -> str:
    value = params.get(name)
    if not isinstance(value, str) or not value:
        raise RpcError(INVALID_PARAMS, f"{name} must be a string, not {value!r:.200}")
    return value


def _commands_shown(commands: Commands) -> Update:
    shown: list[dict[str, Any]] = []
    for command in commands:
        about: dict[str, Any] = {"name": command.name, "description": command.help}
        if command.words:
            about["input"] = {"hint": command.words}
        shown.append(about)
    return {"sessionUpdate": "available_commands_update", "availableCommands": shown}
