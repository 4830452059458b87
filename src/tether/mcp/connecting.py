"""Servers for the time of a block."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Literal

import anyio
from attrs import define, field

from tether.agent import Agent
from tether.errors import UsageError
from tether.events import AgentStart, Event
from tether.mcp.asking import Ask, Questions, as_roots
from tether.mcp.listing import RemoteCall, renamed
from tether.mcp.results import as_blocks, resource_blocks
from tether.mcp.server import Server
from tether.mcp.specs import ServerSpec, flattened
from tether.messages import UserBlock
from tether.model import Model
from tether.models.catalogue import model_from_name
from tether.tools import Tool

__all__ = ("Servers", "connected")

_CLOSING: Final = 5.0
"""Seconds that servers have to be closed in order."""


@define(eq=False)
class Servers(Mapping[str, Server]):
    """The servers of a block, by name. Made by `connected`."""

    _servers: dict[str, Server] = field(factory=dict, init=False)
    _followers: list["_Follower"] = field(factory=list, init=False)

    def __getitem__(self, name: str) -> Server:
        return self._servers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._servers)

    def __len__(self) -> int:
        return len(self._servers)

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The tools of all servers that are ready, each under a name of its own."""
        found: dict[str, Tool] = {}
        for server in self._servers.values():
            for tool in server.tools:
                one = renamed(tool, found)
                found[one.name] = one
        return tuple(found.values())

    async def prompt(self, reference: str, **arguments: str) -> tuple[UserBlock, ...]:
        """Get a prompt of a server, as what a person says.

        Args:
            reference: the names of server and prompt: `server:prompt`.
            **arguments: what the prompt wants to know.

        Returns:
            Its blocks; those of several messages after each other.

        Raises:
            UsageError: there is none of that name, or the server refused.

        Cancellation:
            While it waits for the server.
        """
        server, name = self._referred(reference)
        found = await server.get_prompt(name, arguments)
        return as_blocks(message.content for message in found.messages)

    async def read(self, reference: str) -> tuple[UserBlock, ...]:
        """Read a resource of a server.

        Args:
            reference: the names of the server and the resource, or its URI: `server:resource`.

        Returns:
            Its blocks.

        Raises:
            UsageError: there is none of that name, or the server refused.

        Cancellation:
            While it waits for the server.
        """
        server, name = self._referred(reference)
        uris = (str(one.uri) for one in server.resources if one.name == name)
        found = await server.read_resource(next(uris, name))
        return resource_blocks(found.contents)

    def _referred(self, reference: str) -> tuple[Server, str]:
        server, colon, name = reference.partition(":")
        if not colon or server not in self._servers:
            raise UsageError(
                f"{reference!r} names nothing of a server; write server:name, with one of the servers "
                f"{', '.join(self._servers) or '(none)'}"
            )
        return self._servers[server], name

    def follow(self, agent: Agent) -> Callable[[], None]:
        """Keep the tools of an agent up to date: those of the servers come and go between its turns.

        A tool of the agent's own keeps its name where a server has one of the same name. At the end of the block the
        agent has none of the servers' tools.

        Args:
            agent: the agent.

        Returns:
            A function that ends this, and takes the tools away.
        """
        follower = _Follower(agent, self)
        self._followers.append(follower)
        follower.apply()
        unsubscribe = agent.subscribe(follower.heard)

        def leave() -> None:
            if follower in self._followers:
                self._followers.remove(follower)
                unsubscribe()
                follower.leave()

        follower.leave_all = leave
        return leave

    def add(self, server: Server) -> None:
        """Take in a server."""
        self._servers[server.name] = server

    def changed(self) -> None:
        """Have followers take the tools that there are now."""
        for follower in self._followers:
            follower.apply()

    def forget(self) -> None:
        """Leave all followers without the tools of servers."""
        for follower in tuple(self._followers):
            follower.leave_all()

    def followed_model(self) -> Model | None:
        """The model of the agent that follows, the first if there are several."""
        return self._followers[0].agent.model if self._followers else None


@define(eq=False)
class _Follower:
    """An agent whose tools follow the servers."""

    agent: Agent
    _servers: Servers
    leave_all: Callable[[], None] = lambda: None

    def apply(self) -> None:
        own = self._own()
        names = [tool.name for tool in own]
        for tool in self._servers.tools:
            one = renamed(tool, names)
            names.append(one.name)
            own.append(one)
        self.agent.tools = own

    def leave(self) -> None:
        self.agent.tools = self._own()

    async def heard(self, event: Event) -> None:
        """Ask servers that do not tell changes for their lists, before the first turn of a run."""
        if isinstance(event, AgentStart):
            async with anyio.create_task_group() as tasks:
                for server in self._servers.values():
                    tasks.start_soon(server.refresh)

    def _own(self) -> list[Tool]:
        def is_theirs(tool: Tool) -> bool:
            made = tool.function
            return isinstance(made, RemoteCall) and made.owner is self._servers

        return [tool for tool in self.agent.tools if not is_theirs(tool)]


@asynccontextmanager
async def connected(
    *servers: ServerSpec | Iterable[ServerSpec],
    ask: Ask | None = None,
    sample: Model | str | Literal[True] | None = None,
    roots: Iterable[Any] = (),
    wait: float = 10.0,
) -> AsyncIterator[Servers]:
    """Connect to servers for the time of a block.

    Each server has a task of its own, which opens it, and opens it again when it is lost. One that does not start,
    hangs, dies or refuses raises nothing: its tools are absent, `servers[name].status` says why, and a call to it is
    an error that the model reads.

    Args:
        *servers: as `stdio`, `http`, `in_process` and `from_json` make them.
        ask: asks a person what a server wants to know in the middle of a call; a plain or an async function that is
            given an `Elicitation`. Without it, servers are told that there is nobody to ask.
        sample: the model that servers may ask; True for that of the agent that follows. What it spends counts for the
            run that calls, and for its limits. Without it, servers may ask none.
        roots: the folders that servers may know; paths, or the `Root` of a toolbox.
        wait: seconds that entering waits for servers to answer. Those that take longer come later; see
            `Servers.follow`.

    Returns:
        A context manager that gives the servers.

    Raises:
        UsageError: something that is given is not what it must be.

    Cancellation:
        Closes the connections, and passes on. Processes are ended within seconds.
    """
    found = Servers()
    questions = Questions(ask, _model(sample, found), as_roots(roots))
    for spec in flattened(servers):
        found.add(Server(spec, questions, found.changed, found))
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        for server in found.values():
            tasks.start_soon(server.own)
        with anyio.move_on_after(wait):
            for server in found.values():
                await server.settled()
        try:
            yield found
        except Exception as error:  # noqa: BLE001 - raised below, plain and not in a group
            failure = error
        finally:
            found.forget()
            for server in found.values():
                server.close()
        tasks.cancel_scope.deadline = anyio.current_time() + _CLOSING
    if failure is not None:
        raise failure


def _model(
    sample: Model | str | Literal[True] | None, servers: Servers
) -> Callable[[], Model | None] | None:
    if sample is None:
        return None
    if sample is True:
        return servers.followed_model
    model: Any = model_from_name(sample) if isinstance(sample, str) else sample
    if not isinstance(model, Model):
        raise UsageError(f"sample must be a model, the name of one, or True, not {sample!r}")
    return lambda: model
