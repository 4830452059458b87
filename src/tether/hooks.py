"""Named points at which a program changes what an agent does, and advice around the two things it does.

    point               given                          may return
    transform_context   list of messages, and, where   the list to go on with
                        it takes two, a `TurnContext`
    convert             a custom message               messages for the model in its place; None: not mine
    before_model        the request                    a request to make instead
    around_model        the request, proceed           (see `AroundModel`)
    after_model         the reply                      a reply to record instead
    before_tool         the invocation                 `Deny(reason)`, or an invocation to make instead
    around_tool         the invocation, proceed        (see `AroundTool`)
    after_tool          the invocation, the result     a result to record instead
    should_stop         the turn's end                 True to end the run
    on_event            the event                      nothing
    session_start       the agent                      nothing
    session_end         the agent                      nothing

The last two come with `Agent.opened`: when its block is entered, and when it is left, however that is.

A hook is a plain function or an async one; None as its answer changes nothing. Several on one point run
in the order of their depth, lowest first, then in the order in which they were added; each is given
what the one before it made. Advice nests in the same order: the lowest depth is outermost.

Every hook runs in the task that reached its point. One that raises ends the run with that exception. Hooks
may be added and removed at any time; a point that is being gone through is finished as it was.

No I/O.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterator, Sequence, Set
from contextlib import AbstractAsyncContextManager
from itertools import chain, count
from typing import Any, Final, Literal, TypeAlias, TypeVar, get_args

from attrs import evolve, frozen

from tether.errors import UsageError
from tether.messages import AssistantMessage, CustomMessage, JsonObject, ToolCall
from tether.model import DeltaStream, Model, ModelRequest, ToolSpec
from tether.tools import Tool, ToolContext, ToolResult

__all__ = (
    "AroundModel",
    "AroundTool",
    "Deny",
    "Hook",
    "HookPoint",
    "Hooks",
    "Invocation",
    "ProceedModel",
    "ProceedTool",
    "TurnContext",
    "answer_of",
    "takes_two",
)

HookPoint: TypeAlias = Literal[
    "transform_context",
    "convert",
    "before_model",
    "around_model",
    "after_model",
    "before_tool",
    "around_tool",
    "after_tool",
    "should_stop",
    "on_event",
    "session_start",
    "session_end",
]

HOOK_POINTS: Final[tuple[HookPoint, ...]] = get_args(HookPoint)

ProceedModel: TypeAlias = Callable[[ModelRequest], AbstractAsyncContextManager[DeltaStream]]
AroundModel: TypeAlias = Callable[
    [ModelRequest, ProceedModel], AbstractAsyncContextManager[DeltaStream]
]
"""Advice around a request: it returns what a model's `stream` returns, and gets it from `proceed`."""


@frozen
class Invocation:
    """One call about to run."""

    call: ToolCall
    tool: Tool
    context: ToolContext[Any]

    def with_arguments(self, arguments: JsonObject) -> "Invocation":
        """Make the same invocation with other arguments; they are checked again."""
        return evolve(self, call=evolve(self.call, arguments=arguments))


@frozen
class Deny:
    """The answer of a `before_tool` hook that does not let a call run."""

    reason: str
    """What the model is told."""


ProceedTool: TypeAlias = Callable[[Invocation], Awaitable[ToolResult]]
AroundTool: TypeAlias = Callable[[Invocation, ProceedTool], Awaitable[ToolResult]]
"""Advice around a tool: it returns a result, and may get one from `proceed`, once, twice or not at all."""

F = TypeVar("F", bound=Callable[..., Any])


@frozen
class TurnContext:
    """What a `transform_context` hook may know of the turn, and do besides."""

    reason: Literal["turn", "overflow"]
    """`overflow` where the model has refused the conversation, as it was transformed before, for its length."""
    model: Model
    system: str | None
    tools: Sequence[ToolSpec]
    ask: Callable[[ModelRequest], Awaitable[AssistantMessage]]
    """Ask the model something beside the conversation. What it spends counts for the run; raises `ModelError`."""
    record: Callable[[CustomMessage], Awaitable[None]]
    """Put a message of the application's own into the transcript, and tell of it."""


@frozen
class Hook:
    """A function at a point."""

    point: HookPoint
    function: Callable[..., Any]
    name: str
    depth: int = 0


class Hooks:
    """The hooks of an agent, in order."""

    __slots__ = ("_hooks",)

    def __init__(self) -> None:
        self._hooks: dict[HookPoint, tuple[Hook, ...]] = {}

    def add(self, point: HookPoint, function: F, *, name: str | None = None, depth: int = 0) -> F:
        """Put a function at a point.

        Args:
            point: one of the points in the module's docstring.
            function: what to call.
            name: how to find it again; a hook of this name at the point is replaced. Without one, the
                function's own name, made unique at the point.
            depth: its place in the order, lowest first.

        Returns:
            The function.

        Raises:
            UsageError: there is no such point.
        """
        _check_point(point)
        taken = {hook.name for hook in self.at(point)}
        hook = Hook(point, function, name or _unique_name(function, taken), depth)
        others = [other for other in self.at(point) if other.name != hook.name]
        self._hooks[point] = tuple(sorted([*others, hook], key=lambda hook: hook.depth))
        return function

    def remove(self, point: HookPoint, which: str | Callable[..., Any]) -> None:
        """Take a function away, by itself or by its name.

        Raises:
            UsageError: it is not at that point; the text names those that are.
        """
        _check_point(point)
        present = self.at(point)
        left = tuple(hook for hook in present if which not in {hook.name, hook.function})
        if len(left) == len(present):
            names = ", ".join(hook.name for hook in present) or "none"
            raise UsageError(f"no hook {which!r} at {point}; there are: {names}")
        self._hooks[point] = left

    def at(self, point: HookPoint) -> tuple[Hook, ...]:
        """Return the hooks at a point, in the order in which they run."""
        return self._hooks.get(point, ())

    def functions(self, point: HookPoint) -> Sequence[Callable[..., Any]]:
        """Return the functions at a point, in the order in which they run."""
        return [hook.function for hook in self.at(point)]

    def __iter__(self) -> Iterator[Hook]:
        for point in HOOK_POINTS:
            yield from self.at(point)


async def answer_of(function: Callable[..., Any], *arguments: object) -> Any:
    """Call a function that may be async, and return what it answers.

    Cancellation:
        Inside the function, where that awaits.
    """
    answer = function(*arguments)
    return await answer if inspect.isawaitable(answer) else answer


def takes_two(function: Callable[..., Any]) -> bool:
    """Say whether a function can be given two arguments by place."""
    try:
        inspect.signature(function).bind(None, None)
    except (TypeError, ValueError):  # the latter where nothing is known of it
        return False
    return True


def _unique_name(function: Callable[..., Any], taken: Set[str]) -> str:
    name: str = getattr(function, "__name__", type(function).__name__)
    candidates = chain([name], (f"{name}-{number}" for number in count(2)))
    return next(candidate for candidate in candidates if candidate not in taken)


def _check_point(point: str) -> None:
    if point not in HOOK_POINTS:
        raise UsageError(f"there is no hook point {point!r}; there are: {', '.join(HOOK_POINTS)}")
