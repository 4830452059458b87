"""The tools that a server lists, as tools of tether. No I/O.

What is listed comes from others: names are made legal and unique, texts are printable and bounded, and a tool whose
schema cannot be used is left out, with the reason.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any, Final

from attrs import evolve, field, frozen

from tether.errors import ArgumentsError
from tether.mcp.printable import one_line, printable
from tether.mcp.schemas import SchemaRefusedError, argument_check, as_object, as_parameters
from tether.messages import JsonObject
from tether.tools import Tool, ToolContext, ToolResult

__all__ = ("ListedTool", "RemoteCall", "legal_name", "listed_tools", "renamed")

LONGEST_NAME: Final = 64
_LONGEST_DESCRIPTION: Final = 16_000
_MOST_TOOLS: Final = 1000
_ILLEGAL: Final = re.compile(r"[^a-zA-Z0-9_-]+")


@frozen
class ListedTool:
    """What a server says of a tool."""

    name: str
    title: str | None
    description: str
    schema: Any
    read_only: bool | None = None
    destructive: bool | None = None
    idempotent: bool | None = None

    @property
    def changes_nothing(self) -> bool:
        """Whether it says that it changes nothing, and nothing else to the contrary."""
        return self.read_only is True and self.destructive is not True

    @property
    def may_destroy(self) -> bool:
        """Whether it may end what was there before: unless it says that it does not, by the protocol."""
        return not self.changes_nothing and self.destructive is not False

    @property
    def repeatable(self) -> bool:
        """Whether a call that may have run can be made again."""
        return self.changes_nothing or self.idempotent is True


Call = Callable[[ListedTool, JsonObject, ToolContext[Any]], Awaitable[ToolResult]]


@frozen(eq=False)
class RemoteCall:
    """The function of a tool that runs in a server; called like any other."""

    server: str
    listed: ListedTool = field(repr=False)
    owner: object = field(repr=False)
    """Whose tool it is: the servers of one block."""
    _call: Call = field(repr=False)

    @property
    def __name__(self) -> str:
        return f"{self.server}:{self.listed.name}"

    async def __call__(self, arguments: JsonObject, context: ToolContext[Any]) -> ToolResult:
        """Call the tool in its server.

        Cancellation:
            Cancels the call in the server, and passes on.
        """
        return await self._call(self.listed, arguments, context)


def listed_tools(
    server: str,
    listed: Iterable[ListedTool],
    call: Call,
    *,
    owner: object,
    timeout: float | None,
) -> tuple[tuple[Tool, ...], Mapping[str, str]]:
    """Make tools of what a server lists.

    Args:
        server: the server's name.
        listed: its tools.
        call: makes a call.
        owner: what the tools belong to.
        timeout: seconds that a call may take; None leaves it to the agent.

    Returns:
        The tools; and why others were left out, by their names.
    """
    made: dict[str, Tool] = {}
    refused: dict[str, str] = {}
    seen: set[str] = set()
    for one in listed:
        if one.name in seen:
            continue
        seen.add(one.name)
        if len(made) >= _MOST_TOOLS:
            refused[one_line(one.name, 100)] = f"the server has more than {_MOST_TOOLS} tools"
            break
        name = legal_name(f"{server}_{one.name}", made)
        function = RemoteCall(server, one, owner, call)
        try:
            made[name] = _tool(name, one, function, timeout)
        except SchemaRefusedError as error:
            refused[one_line(one.name, 100)] = one_line(str(error), 300)
    return tuple(made.values()), refused


def _tool(name: str, listed: ListedTool, function: RemoteCall, timeout: float | None) -> Tool:
    schema = as_object(listed.schema)
    return Tool(
        name,
        _description(listed),
        as_parameters(schema),
        function,
        timeout=timeout,
        title=None if listed.title is None else one_line(listed.title, 100) or None,
        kind="read" if listed.changes_nothing else "other",
        read_only=listed.changes_nothing,
        destructive=listed.may_destroy,
        idempotent=listed.idempotent is True,
        context_parameter="context",
        bind=partial(_bound, argument_check(schema)),
    )


def _description(listed: ListedTool) -> str:
    text = printable(listed.description, _LONGEST_DESCRIPTION).strip()
    return text or one_line(listed.title or listed.name, 200)


def _bound(check: Callable[[JsonObject], JsonObject], arguments: JsonObject) -> dict[str, Any]:
    try:
        return {"arguments": dict(check(arguments))}
    except RecursionError:
        raise ArgumentsError(["arguments: they are too deep"]) from None


def legal_name(wanted: str, taken: Collection[str]) -> str:
    """Make a name that every provider accepts, and that is not taken.

    Args:
        wanted: the name; what is illegal in it becomes `_`.
        taken: the names that are taken.

    Returns:
        The name; where it had to be cut, or is taken, a digest of `wanted` stands at its end, so that it is the same
        each time.
    """
    name = _ILLEGAL.sub("_", wanted) or "_"
    if len(name) <= LONGEST_NAME and name not in taken:
        return name
    digest = hashlib.sha256(wanted.encode("utf-8", "backslashreplace")).hexdigest()
    lengths = (length for length in range(8, LONGEST_NAME))
    names = (f"{name[: LONGEST_NAME - length - 1]}_{digest[:length]}" for length in lengths)
    return next(one for one in names if one not in taken)


def renamed(tool: Tool, taken: Collection[str]) -> Tool:
    """Give a tool another name, where its own is taken."""
    return tool if tool.name not in taken else evolve(tool, name=legal_name(tool.name, taken))
