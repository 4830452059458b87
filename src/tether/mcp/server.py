"""A server, as its owner task holds it: opened, watched, and opened again.

    state        the server answers   it fails or hangs   the connection is lost   the block is left
    connecting   ready                failed              failed                   closed
    ready        -                    -                   connecting               closed
    failed       ready                failed              -                        closed

A server that failed is tried again after a time that doubles; so is one that is lost soon after it was opened.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Literal, TypeAlias

import anyio
import anyio.to_thread
from attrs import define, field, frozen

from mcp import types
from tether.errors import UsageError
from tether.mcp.asking import Questions
from tether.mcp.connection import (
    Connection,
    ConnectionLostError,
    Listing,
    open_connection,
    reason_for,
)
from tether.mcp.listing import ListedTool, listed_tools
from tether.mcp.specs import ServerSpec
from tether.mcp.wire import Wire
from tether.messages import JsonObject
from tether.tools import Tool, ToolContext, ToolResult

__all__ = ("Server", "StateName")

StateName: TypeAlias = Literal["connecting", "ready", "failed", "closed"]

_STEADY: Final = 10.0
"""Seconds that a connection must have lasted to count as one that works."""
_FIRST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 60.0
_LISTING_AGAIN: Final = 0.25
"""Seconds between two listings of one connection."""
_REFRESHING: Final = 3.0
"""Seconds that a run waits for the lists of a server that does not tell changes."""


@frozen
class _Connecting:
    tools: tuple[Tool, ...] = ()
    """What it had before it was lost: calls wait until it is open again."""


@frozen(eq=False)
class _Ready:
    connection: Connection
    listing: Listing
    tools: tuple[Tool, ...]
    refused: Mapping[str, str]


@frozen
class _Failed:
    reason: str


@frozen
class _Closed:
    pass


_State: TypeAlias = _Connecting | _Ready | _Failed | _Closed


class _UnavailableError(Exception):
    """A server cannot be asked; the text says why."""


@define(eq=False)
class Server:
    """A server of `connected`."""

    spec: ServerSpec
    _questions: Questions = field(repr=False)
    _changed: Callable[[], None] = field(repr=False)
    """Called when its tools have changed."""
    _owner: object = field(repr=False)
    _state: _State = field(factory=_Connecting)
    _moved: anyio.Event = field(factory=anyio.Event, repr=False)
    """Set, and replaced, with each change of the state."""
    _settled: anyio.Event = field(factory=anyio.Event, repr=False)
    """Set when it was ready or failed for the first time."""
    _closing: anyio.Event = field(factory=anyio.Event, repr=False)
    _opening: anyio.CancelScope = field(factory=anyio.CancelScope, repr=False)
    """What the owner task does while the server is not ready."""

    @property
    def name(self) -> str:
        """What people call it."""
        return self.spec.name

    @property
    def state(self) -> StateName:
        """What it is doing; see the table of the module."""
        match self._state:
            case _Connecting():
                return "connecting"
            case _Ready():
                return "ready"
            case _Failed():
                return "failed"
            case _Closed():
                return "closed"

    @property
    def status(self) -> str:
        """Its state in one line; of a server that failed, with the reason and the last lines of its standard error."""
        match self._state:
            case _Failed(reason):
                return f"failed: {reason}"
            case _Ready(tools=tools, refused=refused):
                left_out = f", {len(refused)} left out" if refused else ""
                return f"ready: {len(tools)} tool{'' if len(tools) == 1 else 's'}{left_out}"
            case _:
                return self.state

    @property
    def tools(self) -> tuple[Tool, ...]:
        """Its tools; none, unless it is ready, or was and is opened again."""
        return self._state.tools if isinstance(self._state, _Ready | _Connecting) else ()

    @property
    def refused(self) -> Mapping[str, str]:
        """Why tools and other items of it were left out, by their names."""
        return self._state.refused if isinstance(self._state, _Ready) else {}

    @property
    def prompts(self) -> tuple[types.Prompt, ...]:
        """Its prompts, as the SDK has them."""
        return self._state.listing.prompts if isinstance(self._state, _Ready) else ()

    @property
    def resources(self) -> tuple[types.Resource, ...]:
        """Its resources, as the SDK has them."""
        return self._state.listing.resources if isinstance(self._state, _Ready) else ()

    @property
    def resource_templates(self) -> tuple[types.ResourceTemplate, ...]:
        """Its templates of resources, as the SDK has them."""
        return self._state.listing.templates if isinstance(self._state, _Ready) else ()

    @property
    def instructions(self) -> str | None:
        """What it says of itself for a model; text of others, like its tools' descriptions."""
        return self._state.connection.instructions if isinstance(self._state, _Ready) else None

    async def settled(self) -> None:
        """Wait until it has answered or failed for the first time.

        Cancellation:
            At once.
        """
        await self._settled.wait()

    # The owner task.

    async def own(self) -> None:
        """Hold the server open until `close`, or a cancellation.

        Cancellation:
            Closes the connection, and passes on.
        """
        try:
            with self._opening:
                await self._hold_again_and_again()
        finally:
            self._move(_Closed())

    async def _hold_again_and_again(self) -> None:
        failures = 0
        while not self._closing.is_set():
            began = anyio.current_time()
            reason = await self._held()
            failures = 0 if anyio.current_time() - began > _STEADY else failures + 1
            if isinstance(self._state, _Ready) and failures <= 1:
                self._move(_Connecting(self._state.tools))
            else:
                self._move(_Failed(reason))
                await anyio.sleep(_wait_after(failures))

    def close(self) -> None:
        """Have the owner task end in order; what is not open is given up."""
        self._closing.set()
        if not isinstance(self._state, _Ready):
            self._opening.cancel()

    async def _held(self) -> str:
        """Hold one connection, and say why it ended."""
        wire = Wire()
        try:
            async with open_connection(self.spec, self._questions, wire) as (connection, listing):
                await self._ready(connection, listing)
                await self._watched(connection)
        except Exception as error:  # noqa: BLE001 - a server that fails ends nothing else
            return reason_for(error, wire)
        return reason_for(ConnectionLostError("the connection was lost"), wire)

    async def _watched(self, connection: Connection) -> None:
        """Follow the lists of a server until the connection is lost."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_when, self._closing, tasks.cancel_scope)
            tasks.start_soon(_cancel_when, connection.wire.lost, tasks.cancel_scope)
            tasks.start_soon(connection.hear_changes)
            while True:
                await connection.stale.wait()
                connection.stale = anyio.Event()
                await self._listed_again(connection)
                await anyio.sleep(_LISTING_AGAIN)  # a server that changes without end takes no more

    async def _listed_again(self, connection: Connection) -> None:
        try:
            with anyio.move_on_after(self.spec.open_timeout):
                await self._ready(connection, await connection.list_all())
        except Exception:  # noqa: BLE001 - what it had listed before stays
            self._move(self._state)

    async def _ready(self, connection: Connection, listing: Listing) -> None:
        if isinstance(self._state, _Ready) and self._state.listing == listing:
            self._move(self._state)
            return
        make = partial(
            listed_tools,
            self.name,
            listing.tools,
            self._call,
            owner=self._owner,
            timeout=self.spec.call_timeout,
        )
        # Schemas are checked, which may take a while where there are many.
        tools, refused = await anyio.to_thread.run_sync(make, abandon_on_cancel=True)
        self._move(_Ready(connection, listing, tools, {**listing.refused, **refused}))

    def _move(self, state: _State) -> None:
        self._state = state
        self._moved.set()
        self._moved = anyio.Event()
        if not isinstance(state, _Connecting):
            self._settled.set()
        self._changed()

    # What others ask of it.

    async def refresh(self) -> None:
        """List again what a server has that does not tell changes; for a moment only.

        Cancellation:
            At once.
        """
        match self._state:
            case _Ready(connection) if not connection.tells_changes:
                moved = self._moved
                connection.stale.set()
                with anyio.move_on_after(_REFRESHING):
                    await moved.wait()

    async def get_prompt(self, name: str, arguments: Mapping[str, str]) -> types.GetPromptResult:
        """Get a prompt.

        Raises:
            UsageError: the server cannot be asked, or refused.

        Cancellation:
            While it waits for the server.
        """
        prompt: types.GetPromptResult = await self._asked(
            lambda connection: connection.client.get_prompt(name, dict(arguments))
        )
        return prompt

    async def read_resource(self, uri: str) -> types.ReadResourceResult:
        """Read a resource.

        Raises:
            UsageError: the server cannot be asked, or refused.

        Cancellation:
            While it waits for the server.
        """
        resource: types.ReadResourceResult = await self._asked(
            lambda connection: connection.client.read_resource(uri)
        )
        return resource

    async def _asked(self, ask: Callable[[Connection], Any]) -> Any:
        try:
            connection = await self._connection()
            with anyio.fail_after(self.spec.open_timeout):
                return await ask(connection)
        except _UnavailableError as error:
            raise UsageError(f"the server {self.name} is not available: {error}") from None
        except Exception as error:
            raise UsageError(
                f"the server {self.name} refused: {reason_for(error, None)}"
            ) from error

    async def _call(
        self, listed: ListedTool, arguments: JsonObject, context: ToolContext[Any]
    ) -> ToolResult:
        try:
            return await self._call_twice(listed, arguments, context)
        except (ConnectionLostError, _UnavailableError) as error:
            return ToolResult(f"the server {self.name} did not answer: {error}", outcome="error")

    async def _call_twice(
        self, listed: ListedTool, arguments: JsonObject, context: ToolContext[Any]
    ) -> ToolResult:
        """Make a call, and once more where it did not run, or may run twice."""
        connection = await self._connection()
        try:
            return await connection.call(listed.name, arguments, context)
        except ConnectionLostError as lost:
            if not (lost.refused or listed.repeatable):
                raise
        connection = await self._connection(instead_of=connection)
        return await connection.call(listed.name, arguments, context)

    async def _connection(self, instead_of: Connection | None = None) -> Connection:
        """Wait for a connection, unless the server has failed."""
        while True:
            match self._state:
                case _Ready(connection) if self._may_use(connection, instead_of):
                    return connection
                case _Failed(reason):
                    raise _UnavailableError(reason)
                case _Closed():
                    raise _UnavailableError("the connection was closed")
                case _:
                    await self._moved.wait()

    def _may_use(self, connection: Connection, instead_of: Connection | None) -> bool:
        return connection is not instead_of and not connection.wire.lost.is_set()


def _wait_after(failures: int) -> float:
    return min(_FIRST_WAIT * float(2 ** min(failures - 1, 10)), _LONGEST_WAIT)


async def _cancel_when(event: anyio.Event, scope: anyio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
