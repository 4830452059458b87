"""What a tool is: a typed function, and what a model reads about it.

    @tool
    async def read_file(path: str, max_bytes: int = 65536) -> str:
        ...

Name, description and JSON Schema come from the function: its name, its docstring (Google, NumPy or Sphinx style)
and its type hints. Nothing in a signature is ignored: what is not honoured is a `ToolDefinitionError` that names it.
A parameter annotated with `ToolContext` is given the context of the call. Nothing is run here.

No I/O.
"""

import functools
from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias, get_args, overload

import msgspec
from attrs import evolve, field, frozen

from tether.errors import ToolDefinitionError
from tether.messages import JsonObject, Outcome, UserBlock, as_user_blocks, unique
from tether.model import ToolSpec
from tether.tool_context import CallClock, HasDeadline, ToolContext

__all__ = (
    "CallClock",
    "HasDeadline",
    "Tool",
    "ToolContext",
    "ToolKind",
    "ToolResult",
    "as_tool_result",
    "tool",
)

ToolKind: TypeAlias = Literal["read", "edit", "execute", "search", "fetch", "think", "other"]
"""What a tool does, roughly: for the icon and the words that a person sees."""


_Sayable: TypeAlias = str | UserBlock
_NUMBERS: Final = frozenset({bool, int, float})


@frozen
class ToolResult:
    """What a tool gives, where a string is not enough."""

    content: tuple[UserBlock, ...] = field(default=(), converter=as_user_blocks)
    """For the model: a string, a block, or several."""
    details: Any = field(default=None, kw_only=True)
    """For programs: whatever JSON can hold; the model does not see it."""
    terminate: bool = field(default=False, kw_only=True)
    """The run may end here: it does, if all results of the reply say so."""
    outcome: Outcome = field(default="ok", kw_only=True)


@frozen
class Tool:
    """A function that a model may have called. Made by `tool`; call it like the function."""

    name: str
    description: str
    parameters: JsonObject
    """JSON Schema of an object."""
    function: Callable[..., Any]
    timeout: float | None = field(default=None, kw_only=True)
    """Seconds it may run; None leaves it to the agent, `math.inf` means no limit."""
    sequential: bool = field(default=False, kw_only=True)
    """The calls of a reply run one after the other, if it is among them."""
    max_concurrency: int | None = field(default=None, kw_only=True)
    """How many calls of it may run at once."""
    title: str | None = field(default=None, kw_only=True)
    """Its name for people, who see `name` if this is None."""
    kind: ToolKind = field(default="other", kw_only=True)
    read_only: bool = field(default=False, kw_only=True)
    """It changes nothing; False where that is not known."""
    destructive: bool | None = field(default=None, kw_only=True)
    """Whether it may change or end what was there before, or only adds; None where that is not known."""
    idempotent: bool = field(default=False, kw_only=True)
    """A second call with the same arguments changes nothing more; False where that is not known."""
    is_async: bool = field(default=True, kw_only=True)
    """False for a plain function, which runs in a worker thread."""
    context_parameter: str | None = field(default=None, kw_only=True)
    bind: Callable[[JsonObject], dict[str, Any]] = field(default=dict, kw_only=True, repr=False)
    """Check and convert arguments to keyword arguments; raises `ArgumentsError` with every fault."""

    @property
    def spec(self) -> ToolSpec:
        """What a model reads about it."""
        return ToolSpec(self.name, self.description, self.parameters)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself, without checks."""
        return self.function(*args, **kwargs)

    def wrapped(self, around: "Callable[[ToolContext[Any], Callable[[], Any]], Any]") -> "Tool":
        """Make a tool like this one, whose function is called within another that knows the call.

        Args:
            around: is given the context of the call, such as its `call_id`, and what calls the function of this tool
                with the arguments of the call. It is async where this tool is, and plain in its worker thread where
                this tool is plain. It returns what such a tool returns.

        Returns:
            The tool. Its deadline counts for both; to change or to refuse a call, use a hook at `around_tool`.
        """
        own, taken = self.context_parameter, self.parameters.get("properties", {})
        parameter = own or unique("context", taken)

        def function(**arguments: Any) -> Any:
            context = arguments[parameter] if own else arguments.pop(parameter)
            return around(context, functools.partial(self.function, **arguments))

        return evolve(self, function=function, context_parameter=parameter)


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    parameters: JsonObject | None = None,
    timeout: float | None = None,
    sequential: bool = False,
    max_concurrency: int | None = None,
    title: str | None = None,
    kind: ToolKind = "other",
    read_only: bool = False,
    destructive: bool | None = None,
    idempotent: bool = False,
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    parameters: JsonObject | None = None,
    timeout: float | None = None,
    sequential: bool = False,
    max_concurrency: int | None = None,
    title: str | None = None,
    kind: ToolKind = "other",
    read_only: bool = False,
    destructive: bool | None = None,
    idempotent: bool = False,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a tool of a function: `@tool`, or `@tool(...)`.

    Args:
        function: typed throughout; a function, or another callable: a bound method, a class, a partial, an object
            with `__call__`. It is async, or plain and then run in a worker thread; what it returns is awaited if it
            is awaitable. A thread cannot be cancelled: it is given up, and its result discarded. What it runs in the
            event loop by `anyio.from_thread` is a part of the call, and cancelled with it; so is a run of an agent,
            whichever way it got there and in whichever event loop. Once given up, the thread is refused there with
            `concurrent.futures.CancelledError`, and `anyio.from_thread.check_cancelled` raises.
        name: what models call it; the function's own name if None.
        description: what models read about it; the docstring without its sections if None.
        parameters: a JSON Schema to use in place of the signature. The function gets the arguments as
            keyword arguments; or all as one mapping, if it has just one parameter that is none of
            the schema's properties.
        timeout: seconds it may run; None leaves it to the agent, `math.inf` means no limit.
        sequential: calls of a reply run one after the other, if it is among them.
        max_concurrency: how many calls of it may run at once.
        title: its name for people.
        kind: what it does, roughly: read, edit, execute, search, fetch, think or other.
        read_only: it changes nothing, so that a person need not be asked about it.
        destructive: whether it may change or end what was there before; False if it only adds. The terminal asks a
            person about tools that are destructive.
        idempotent: a second call with the same arguments changes nothing more.

    Returns:
        The tool; without a function, a decorator that makes it.

    Raises:
        ToolDefinitionError: it cannot be a tool; the text names the parameter and what would be right.
    """
    make = functools.partial(
        _tool,
        name=name,
        description=description,
        schema=parameters,
        timeout=timeout,
        sequential=sequential,
        max_concurrency=max_concurrency,
        title=title,
        kind=kind,
        read_only=read_only,
        destructive=destructive,
        idempotent=idempotent,
    )
    return make if function is None else make(function)


def as_tool_result(value: object) -> ToolResult:
    """Take what a tool returned, in any of the forms it may have.

    Args:
        value: a `ToolResult`; a string or a block; a list or tuple with at least one block, which may hold whatever
            a message may; None for nothing; or anything that JSON can hold, attrs classes, dataclasses, enums and
            dates included, which becomes JSON text.

    Returns:
        The result.

    Raises:
        TypeError: it is none of these, or has an image where a model could not see it.
    """
    if isinstance(value, ToolResult):
        return value
    if value is None:
        return ToolResult()
    if isinstance(value, _Sayable):
        return ToolResult(value)
    if type(value) in _NUMBERS:
        return ToolResult(msgspec.json.encode(value).decode())
    kind = type(value).__name__
    if isinstance(value, list | tuple) and any(isinstance(item, UserBlock) for item in value):
        try:
            return ToolResult(value)
        except TypeError as error:
            raise TypeError(
                f"a tool returned a {kind} of blocks and something else: {error}; make a text of that"
            ) from error
    from tether._schema.results import as_json_text  # noqa: PLC0415 - a program pays for it when it has such a tool

    return ToolResult(as_json_text(value, ToolResult))


def _tool(
    function: Callable[..., Any],
    *,
    name: str | None,
    description: str | None,
    schema: JsonObject | None,
    **options: Any,
) -> Tool:
    from tether._schema.definition import definition_of  # noqa: PLC0415 - a program pays for it with its first tool

    if isinstance(function, Tool):
        raise ToolDefinitionError(f"{function.name}: it is a tool already")
    found = definition_of(
        function,
        name=name,
        schema=schema,
        context_type=ToolContext,
        options=options,
        kinds=get_args(ToolKind),
    )
    return Tool(
        found.name,
        found.description if description is None else description,
        found.parameters.schema,
        function,
        is_async=found.is_async,
        context_parameter=found.parameters.context,
        bind=found.parameters.bind,
        **options,
    )
