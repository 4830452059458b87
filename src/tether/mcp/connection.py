"""One connection to a server, from the time it has answered until it is lost."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version
from typing import Any, Final

import anyio
import httpx2
from attrs import define, field, frozen
from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost
from mcp.types.version import MODERN_PROTOCOL_VERSIONS

from mcp import Client, MCPError, types
from tether.mcp.asking import Calls, OpenCall, Questions
from tether.mcp.listing import ListedTool
from tether.mcp.printable import one_line, printable
from tether.mcp.process import process_streams
from tether.mcp.results import as_tool_result
from tether.mcp.specs import Http, InProcess, ServerSpec, Stdio
from tether.mcp.web import http_streams
from tether.mcp.wire import Wire, tapped
from tether.messages import JsonObject
from tether.tools import ToolContext, ToolResult

__all__ = ("Connection", "ConnectionLostError", "Listing", "open_connection", "reason_for")

_MOST_PAGES: Final = 50
_MOST_ITEMS: Final = 2000
_LONGEST_INSTRUCTIONS: Final = 16_000
_LISTEN_AGAIN: Final = (1.0, 5.0, 30.0, 60.0)
"""Seconds before a subscription that ended is opened again."""


class ConnectionLostError(Exception):
    """A call got no answer, since the connection is lost.

    Attributes:
        refused: whether the server has said that the call did not run.
    """

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.refused: bool = refused


@frozen
class Listing:
    """What a server has, as it lists it."""

    tools: tuple[ListedTool, ...] = ()
    prompts: tuple[types.Prompt, ...] = ()
    resources: tuple[types.Resource, ...] = ()
    templates: tuple[types.ResourceTemplate, ...] = ()
    refused: Mapping[str, str] = field(factory=dict)
    """Why items were left out, by their names."""


@define(eq=False)
class Connection:
    """A connection that is open. Made by `open_connection`."""

    client: Client
    wire: Wire
    calls: Calls
    stale: anyio.Event
    """Set when the server has said that its lists have changed."""

    @property
    def instructions(self) -> str | None:
        """What the server says of itself for the model."""
        text = self.client.instructions
        return printable(text, _LONGEST_INSTRUCTIONS) if text else None

    @property
    def tells_changes(self) -> bool:
        """Whether the server says when its lists change, in a way that is heard."""
        modern = self.client.protocol_version in MODERN_PROTOCOL_VERSIONS
        return modern and bool(_changing(self.client.server_capabilities))

    async def list_all(self) -> Listing:
        """List the tools, prompts and resources.

        Raises:
            MCPError: the server does not list its tools.

        Cancellation:
            While it waits for the server.
        """
        client, able = self.client, self.client.server_capabilities
        self.wire.refused.clear()
        tools = await _pages(client.list_tools, "tools") if able.tools else []
        prompts = await _perhaps(client.list_prompts, "prompts") if able.prompts else []
        resources = await _perhaps(client.list_resources, "resources") if able.resources else []
        templates = (
            await _perhaps(client.list_resource_templates, "resource_templates")
            if able.resources
            else []
        )
        return Listing(
            tuple(_listed(tool) for tool in tools),
            tuple(prompts),
            tuple(resources),
            tuple(templates),
            dict(self.wire.refused),
        )

    async def call(self, tool: str, arguments: JsonObject, context: ToolContext[Any]) -> ToolResult:
        """Call a tool.

        Args:
            tool: its name in the server.
            arguments: for it.
            context: of the call that it is for; it gets the progress.

        Returns:
            The result; one that is an error, if the server refused or failed.

        Raises:
            ConnectionLostError: the connection is lost.
            Exception: what answering a question of the server raised.

        Cancellation:
            Cancels the call in the server, and passes on.
        """
        call = OpenCall(tool, context)
        progress = _Progress(context)
        outcome: ToolResult | ConnectionLostError = ConnectionLostError("the connection was lost")
        with self.calls.begun(call), call.scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(progress.report)
                outcome = await self._outcome(tool, arguments, progress)
                tasks.cancel_scope.cancel()
            await progress.report_latest()
        if call.failure is not None:
            raise call.failure
        if isinstance(outcome, ConnectionLostError):
            self.wire.lost.set()
            raise outcome
        return outcome

    async def _outcome(
        self, tool: str, arguments: JsonObject, progress: "_Progress"
    ) -> ToolResult | ConnectionLostError:
        try:
            result = await self.client.call_tool(
                tool, dict(arguments), progress_callback=progress.note
            )
        except MCPError as error:
            return self._failed(error)
        except Exception as error:  # noqa: BLE001 - whatever the SDK makes of what a server sent
            return ToolResult(
                f"the result cannot be read: {reason_for(error, None)}", outcome="error"
            )
        return as_tool_result(result)

    def _failed(self, error: MCPError) -> ToolResult | ConnectionLostError:
        if self.wire.session_lost:
            return ConnectionLostError("the server has lost the session", refused=True)
        if error.code == types.CONNECTION_CLOSED:
            return ConnectionLostError(reason_for(error, self.wire))
        return ToolResult(reason_for(error, self.wire), outcome="error")

    async def hear_changes(self) -> None:
        """Subscribe to changes of the lists, for as long as the connection is open.

        Cancellation:
            At once.
        """
        wanted: dict[str, Any] = _changing(self.client.server_capabilities)
        if not self.tells_changes:
            return
        for wait in _then_forever(_LISTEN_AGAIN):
            try:
                async with self.client.listen(**wanted) as changes:
                    async for _ in changes:
                        self.stale.set()
            except SubscriptionLost:
                pass
            except (MCPError, ListenNotSupportedError, TimeoutError):
                return  # it has no subscriptions after all
            await anyio.sleep(wait)
            self.stale.set()  # what has changed meanwhile was not heard


@asynccontextmanager
async def open_connection(
    spec: ServerSpec, questions: Questions, wire: Wire
) -> AsyncIterator[tuple[Connection, Listing]]:
    """Open a connection, and list what the server has.

    Args:
        spec: the server.
        questions: answers what it asks for.
        wire: what is known of its messages.

    Returns:
        A context manager that gives the connection and the listing.

    Raises:
        TimeoutError: the server has not answered in time.
        Exception: whatever else went wrong; see `reason_for`.

    Cancellation:
        Closes the connection, and passes on. A process is ended within seconds.
    """
    calls, stale = Calls(), anyio.Event()
    # What is opened is left in another way than it was entered: the deadline covers the opening alone.
    with anyio.CancelScope(deadline=anyio.current_time() + spec.open_timeout) as opening:
        client = _client(spec, questions.callbacks(spec.name, calls), wire, stale.set)
        async with client:
            connection = Connection(client, wire, calls, stale)
            listing = await connection.list_all()
            opening.deadline = float("inf")
            try:
                yield connection, listing
            finally:
                calls.cut_off()
    if opening.cancelled_caught:
        raise TimeoutError(f"no answer within {spec.open_timeout:g} seconds")


def _client(
    spec: ServerSpec, callbacks: dict[str, Any], wire: Wire, changed: Callable[[], None]
) -> Client:
    async def heard(message: object) -> None:
        if isinstance(message, _CHANGES):
            changed()

    return Client(
        _server(spec, wire),
        mode="legacy" if spec.legacy else "auto",
        cache=None,
        client_info=types.Implementation(name="tether", version=version("tether")),
        message_handler=heard,
        **callbacks,
    )


_CHANGES: Final = (
    types.ToolListChangedNotification,
    types.PromptListChangedNotification,
    types.ResourceListChangedNotification,
)


def _server(spec: ServerSpec, wire: Wire) -> Any:
    transport: AbstractAsyncContextManager[Any]
    match spec:
        case InProcess(server=server):
            return server
        case Stdio():
            transport = process_streams(spec, wire)
        case Http():
            transport = http_streams(spec, wire)
    return tapped(transport, wire)


def _changing(able: types.ServerCapabilities) -> dict[str, bool]:
    """What a server says it tells changes of, as the arguments of `listen`."""
    lists = {"tools": able.tools, "prompts": able.prompts, "resources": able.resources}
    return {f"{name}_list_changed": True for name, one in lists.items() if one and one.list_changed}


async def _pages(fetch: Callable[..., Awaitable[Any]], key: str) -> list[Any]:
    """Fetch the pages of a list; a list without an end is cut."""
    found: list[Any] = []
    cursor = None
    for _ in range(_MOST_PAGES):
        page = await fetch(cursor=cursor)
        found += getattr(page, key)
        cursor = page.next_cursor
        if cursor is None or len(found) >= _MOST_ITEMS:
            break
    return found[:_MOST_ITEMS]


async def _perhaps(fetch: Callable[..., Awaitable[Any]], key: str) -> list[Any]:
    """Fetch a list that a server can do without."""
    try:
        return await _pages(fetch, key)
    except MCPError as error:
        if error.code == types.CONNECTION_CLOSED:
            raise
        return []


def _listed(tool: types.Tool) -> ListedTool:
    hints = tool.annotations or types.ToolAnnotations()
    return ListedTool(
        name=tool.name,
        title=tool.title or hints.title,
        description=tool.description or "",
        schema=tool.input_schema,
        read_only=hints.read_only_hint,
        destructive=hints.destructive_hint,
        idempotent=hints.idempotent_hint,
    )


@define(eq=False)
class _Progress:
    """The progress of a call: while its reader is slow, the latest alone is kept."""

    _context: ToolContext[Any]
    _latest: tuple[float, float | None, str | None] | None = None
    _news: anyio.Event = field(factory=anyio.Event)

    async def note(self, progress: float, total: float | None, message: str | None) -> None:
        self._latest = (progress, total, message)
        self._news.set()

    async def report(self) -> None:
        while True:
            await self._news.wait()
            self._news = anyio.Event()
            await self.report_latest()

    async def report_latest(self) -> None:
        if (latest := self._latest) is not None:
            self._latest = None
            done, total, message = latest
            details = {"progress": done, "total": total}
            await self._context.update(_in_words(done, total, message), details=details)


def _in_words(done: float, total: float | None, message: str | None) -> str:
    amount = f"{done:g}" if total is None else f"{done:g}/{total:g}"
    return amount if not message else f"{amount} {one_line(message, 500)}"


def _then_forever(waits: tuple[float, ...]) -> Iterator[float]:
    yield from waits
    while True:
        yield waits[-1]


def reason_for(error: BaseException, wire: Wire | None) -> str:
    """Say in one line why a server failed.

    Args:
        error: what was raised.
        wire: what is known of its messages; its last words are added.
    """
    leaves = list(_leaves(error))
    first = next((leaf for leaf in leaves if not isinstance(leaf, MCPError)), leaves[0])
    reason = _reason(first, wire)
    if wire is not None and wire.last_words and not isinstance(first, OSError):
        reason = f"{reason}; its last words: {' | '.join(wire.last_words)}"
    return one_line(reason, 600)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _reason(error: BaseException, wire: Wire | None) -> str:
    trouble = None if wire is None else wire.trouble
    match error:
        case FileNotFoundError():
            return f"there is no program or folder {error.filename!r}"
        case TimeoutError() | OSError():
            return f"{error}{f' ({trouble})' if trouble else ''}"
        case ConnectionLostError() | MCPError(code=types.CONNECTION_CLOSED):
            return trouble or "the connection was lost"
        case MCPError() if trouble and trouble.startswith("HTTP"):
            return f"it answered {trouble}"
        case MCPError():
            return error.message
        case httpx2.TransportError():
            return f"it cannot be reached: {error}"
        case _:
            return f"{type(error).__name__}: {error}"
