"""Named points at which a program changes what an agent does, and hooks around the things it does.

    point               is given                       may return
    transform_context   the list of messages, and,     a list of messages to go on with
                        where it takes two
                        arguments, a `RequestContext`
    convert             a custom message               messages for the model in its place; None: not mine
    before_model        the request                    a request to make instead
    around_model        the request, proceed           a context manager (see `AroundModel`)
    after_model         the reply                      a reply to record instead
    before_tool         the invocation                 `Deny(reason)`, or an invocation to make instead
    around_tool         the invocation, proceed        a result (see `AroundTool`)
    after_tool          the invocation, the result     a result to record instead
    should_stop         the turn's end                 True to end the run
    around_run          a `RunContext`                 a context manager (see `AroundRun`)
    on_event            the event                      anything: it is not looked at
    agent_opened        the agent                      anything
    agent_closed        the agent                      anything

The last two belong to `Agent.opened`: they run when its block is entered, and when it is left, however that is.

A hook is a plain function or an async one. None as its answer changes nothing, except at the `around_` points,
which must answer. Any other answer is a TypeError that names the hook, so that no answer is overlooked: a
`before_tool` hook that returns False by mistake ends the run, and the tool does not run.

What is at `around_run` is around the runs of the agent, and around those of agents that run inside its tools, however
deep: it is entered before the first task of a run starts, and left after the last has ended, however that is, in the
task of the run. It sees an exception or a cancellation of the run, and cannot hold it back. What it sets in context
variables is set for the run and its tools, and not for who reads the events.

Several hooks on one point run in the order of their depth, lowest first, then in the order in which they were added;
each is given what the one before it made. Around hooks nest in the same order: the lowest depth is outermost.

Every hook runs in the task that reached its point. One that raises ends the run with that exception. Hooks
may be added and removed at any time; a point that is being gone through is finished as it was.

No I/O.
"""

import inspect
import reprlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Final, Literal, Protocol, TypeAlias, TypeVar, get_args

from attrs import define, evolve, field, frozen, setters

from tether.errors import UsageError
from tether.events import Event, TurnEnd
from tether.limits import Spent
from tether.messages import (
    AssistantMessage,
    CustomMessage,
    JsonObject,
    Message,
    Queued,
    ToolCall,
    Usage,
    UserBlock,
    unique,
)
from tether.model import DeltaStream, Model, ModelMessage, ModelRequest, ToolSpec
from tether.result import RunResult
from tether.tools import Tool, ToolContext, ToolResult

__all__ = (
    "AfterModel",
    "AfterTool",
    "AgentHook",
    "AroundModel",
    "AroundRun",
    "AroundTool",
    "BeforeModel",
    "BeforeTool",
    "Convert",
    "Deny",
    "Hook",
    "HookPoint",
    "Hooks",
    "Invocation",
    "OnEvent",
    "ProceedModel",
    "ProceedTool",
    "RequestContext",
    "RunContext",
    "ShouldStop",
    "TransformContext",
    "call_hook",
    "call_maybe_async",
    "check_point",
    "checked",
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
    "around_run",
    "on_event",
    "agent_opened",
    "agent_closed",
]

HOOK_POINTS: Final[tuple[HookPoint, ...]] = get_args(HookPoint)

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
MaybeAsync: TypeAlias = T | Awaitable[T]


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
    """Why, for the model."""

    def result(self) -> ToolResult:
        """Make the result of the call that was denied."""
        return ToolResult(f"This call was denied: {self.reason}", outcome="denied")


@frozen
class RequestContext:
    """What a `transform_context` hook may know of the request that is being made, and do besides."""

    reason: Literal["turn", "overflow"]
    """`overflow` where the model has refused the conversation, as it was transformed before, for its length."""
    model: Model
    system: str | None
    tools: Sequence[ToolSpec]
    ask: Callable[[ModelRequest], Awaitable[AssistantMessage]]
    """Make a request that is not part of the conversation, within the hooks at `around_model`. What it spends counts
    for the run; raises `ModelError`."""
    record: Callable[[CustomMessage], Awaitable[None]]
    """Put a message of the application's own into the transcript, and announce it."""


@frozen
class Hook:
    """A function at a point."""

    point: HookPoint
    function: Callable[..., Any]
    name: str
    depth: int = 0
    takes_two: bool = False
    """Whether it can be given two arguments by position."""


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
            UsageError: there is no such point, or it is not a function.
        """
        check_point(point)
        if not callable(function):
            raise UsageError(f"a hook at {point} must be a function, not {function!r}")
        own_name = unique(_name_of(function), {hook.name for hook in self.at(point)})
        hook = Hook(point, function, name or own_name, depth, takes_two(function))
        others = [other for other in self.at(point) if other.name != hook.name]
        self._hooks[point] = tuple(sorted([*others, hook], key=lambda hook: hook.depth))
        return function

    def remove(self, point: HookPoint, which: str | Callable[..., Any]) -> None:
        """Take a function away, by itself or by its name.

        Raises:
            UsageError: it is not at that point; the text names those that are.
        """
        check_point(point)
        present = self.at(point)
        left = tuple(hook for hook in present if which not in {hook.name, hook.function})
        if len(left) == len(present):
            names = ", ".join(hook.name for hook in present) or "none"
            raise UsageError(f"no hook {which!r} at {point}; there are: {names}")
        self._hooks[point] = left

    def add_missing(self, others: "Hooks") -> None:
        """Add hooks of somebody else, except where one of that name is at the point."""
        for point in HOOK_POINTS:
            own = self.at(point)
            names = {hook.name for hook in own}
            added = [hook for hook in others.at(point) if hook.name not in names]
            if added:
                self._hooks[point] = tuple(sorted([*added, *own], key=lambda hook: hook.depth))

    def at(self, point: HookPoint) -> tuple[Hook, ...]:
        """Return the hooks at a point, in the order in which they run."""
        return self._hooks.get(point, ())

    def functions(self, point: HookPoint) -> Sequence[Callable[..., Any]]:
        """Return the functions at a point, in the order in which they run."""
        return [hook.function for hook in self.at(point)]

    def __iter__(self) -> Iterator[Hook]:
        for point in HOOK_POINTS:
            yield from self.at(point)


@define(kw_only=True, eq=False, on_setattr=setters.frozen)
class RunContext:
    """One run, as a hook at `around_run` sees it. Made for the run, and the same for all its hooks."""

    agent: str
    """The agent's name."""
    model: Model
    """The agent's model as the run begins; it may change from turn to turn."""
    system: str | None
    prompts: tuple[Queued, ...]
    """What the run begins with, usually one message; empty where it continues from the conversation."""
    conversation_id: str
    """The id of the first message of the conversation: the same in each run that continues it."""
    depth: int = 0
    """How many agents stand above this one: 0 unless it runs inside a tool call of another."""
    call_id: str | None = None
    """The id of the call that the run is part of, if it is."""
    session: Any = None
    """Where the conversation is kept (a `Session`), or None."""
    hooks: Hooks
    """The hooks of the agent. Those of a child agent are made for each call: what is added to them ends with it."""
    result: RunResult | None = field(default=None, init=False, on_setattr=setters.NO_OP)
    """How the run has ended; None before, and where it ends by an exception, which the hook then sees."""
    _spent: Spent = field(factory=Spent, alias="spent", repr=False)
    _tools: Callable[[], Sequence[Tool]] = field(default=tuple, alias="tools", repr=False)
    _unread: Callable[[], int] = field(default=int, alias="unread", repr=False)
    _held_up: Callable[[], float] = field(default=float, alias="held_up", repr=False)

    @property
    def tools(self) -> Sequence[Tool]:
        """The tools that the agent has now."""
        return self._tools()

    @property
    def unread(self) -> int:
        """How many of its events consumers have not taken yet, all together."""
        return self._unread()

    @property
    def held_up(self) -> float:
        """Seconds for which it has waited for consumers without room for an event."""
        return self._held_up()

    @property
    def usage(self) -> Usage:
        """The tokens spent so far, those of child agents included."""
        return self._spent.usage

    @property
    def cost(self) -> float:
        """The cost so far, in the currency of the prices; 0 without a price (see `Agent`)."""
        return self._spent.cost


# What a type checker holds a hook to, point by point. At run time, `checked` does.

TransformContext: TypeAlias = (
    Callable[[list[Message]], MaybeAsync[Sequence[Message] | None]]
    | Callable[[list[Message], RequestContext], MaybeAsync[Sequence[Message] | None]]
)
Convert: TypeAlias = Callable[
    [CustomMessage], MaybeAsync[ModelMessage | Sequence[ModelMessage] | None]
]
BeforeModel: TypeAlias = Callable[[ModelRequest], MaybeAsync[ModelRequest | None]]
AfterModel: TypeAlias = Callable[[AssistantMessage], MaybeAsync[AssistantMessage | None]]
BeforeTool: TypeAlias = Callable[[Invocation], MaybeAsync[Deny | Invocation | None]]
AfterTool: TypeAlias = Callable[[Invocation, ToolResult], MaybeAsync[ToolResult | None]]
ShouldStop: TypeAlias = Callable[[TurnEnd], MaybeAsync[bool | None]]
OnEvent: TypeAlias = Callable[[Event], object]
AgentHook: TypeAlias = Callable[[Any], object]


class ProceedModel(Protocol):
    """Makes one request of a model: an attempt, where it is made again or another model stands in."""

    @property
    def model(self) -> Model:
        """The model that is asked."""
        ...

    def __call__(self, request: ModelRequest, /) -> AbstractAsyncContextManager[DeltaStream]:
        """Make the request; see `Model.stream`."""
        ...


AroundModel: TypeAlias = Callable[
    [ModelRequest, ProceedModel], AbstractAsyncContextManager[DeltaStream]
]
"""A hook around a request: it returns what a model's `stream` returns, and gets it from `proceed`."""

ProceedTool: TypeAlias = Callable[[Invocation], Awaitable[ToolResult]]
AroundTool: TypeAlias = Callable[[Invocation, ProceedTool], Awaitable[ToolResult]]
"""A hook around a tool: it returns a result, and may get one from `proceed`, once, twice or not at all."""

AroundRun: TypeAlias = Callable[
    [RunContext], AbstractAsyncContextManager[object] | AbstractContextManager[object]
]
"""A hook around a run: a function decorated with `contextlib.asynccontextmanager` or `contextlib.contextmanager`, say.
After its `yield` the context has the run's `result`; a run that fails or is cancelled raises there."""


async def call_hook(hook: Hook, *arguments: object) -> Any:
    """Call a hook, and check what it answers.

    Raises:
        TypeError: its point takes no such answer.

    Cancellation:
        Inside the hook, where that awaits.
    """
    return checked(hook, await call_maybe_async(hook.function, *arguments))


async def call_maybe_async(function: Callable[..., Any], *arguments: object) -> Any:
    """Call a function that may be async, and return what it answers.

    Cancellation:
        Inside the function, where that awaits.
    """
    answer = function(*arguments)
    return await answer if inspect.isawaitable(answer) else answer


def checked(hook: Hook, answer: T) -> T:
    """Return what a hook answered, if its point takes it.

    Raises:
        TypeError: the point does not take it; the text names the hook, the answer, and what would be right.
    """
    if hook.point not in _MAY_RETURN:
        return answer
    fits, right = _MAY_RETURN[hook.point]
    if fits(answer):
        return answer
    if inspect.iscoroutine(answer):
        answer.close()  # else Python warns that nobody awaited it
    raise TypeError(
        f"the {hook.point} hook {hook.name!r} answered {reprlib.repr(answer)}; it may answer {right}"
    )


def _are(kind: Any, answer: object) -> bool:
    if not isinstance(answer, Sequence) or isinstance(answer, str):
        return False
    return all(isinstance(item, kind) for item in answer)


_MAY_RETURN: Final[Mapping[HookPoint, tuple[Callable[[object], bool], str]]] = {
    "transform_context": (
        lambda answer: answer is None or _are(Message, answer),
        "a list of messages, or None to leave it as it is",
    ),
    "convert": (
        lambda answer: isinstance(answer, ModelMessage | None) or _are(ModelMessage, answer),
        "a message for the model, a list of them, or None if the message is not its own",
    ),
    "before_model": (
        lambda answer: isinstance(answer, ModelRequest | None),
        "a ModelRequest, or None to leave it as it is",
    ),
    "around_model": (
        lambda answer: isinstance(answer, AbstractAsyncContextManager),
        "an async context manager, such as `proceed(request)` or what a function decorated with "
        "contextlib.asynccontextmanager returns",
    ),
    "around_run": (
        lambda answer: isinstance(answer, AbstractAsyncContextManager | AbstractContextManager),
        "a context manager, such as what a function decorated with contextlib.asynccontextmanager or "
        "contextlib.contextmanager returns",
    ),
    "after_model": (
        lambda answer: isinstance(answer, AssistantMessage | None),
        "an AssistantMessage, or None to leave the reply as it is",
    ),
    "before_tool": (
        lambda answer: isinstance(answer, Deny | Invocation | None),
        "Deny(reason) to keep the call from running, an Invocation to make instead, or None to let it run",
    ),
    "around_tool": (
        lambda answer: isinstance(answer, ToolResult | str | UserBlock) or _are(UserBlock, answer),
        "a ToolResult, such as `await proceed(invocation)`, or the text or blocks of one",
    ),
    "after_tool": (
        lambda answer: isinstance(answer, ToolResult | None),
        "a ToolResult, or None to leave the result as it is",
    ),
    "should_stop": (
        lambda answer: isinstance(answer, bool | None),
        "True to end the run, or False or None to let it go on",
    ),
}
"""What each point takes; those that are missing take anything, since their answers change nothing."""


def takes_two(function: Callable[..., Any]) -> bool:
    """Say whether a function can be given two arguments by position."""
    try:
        inspect.signature(function).bind(None, None)
    except (TypeError, ValueError):  # the latter where nothing is known of it
        return False
    return True


def _name_of(function: Callable[..., Any]) -> str:
    name: str = getattr(function, "__name__", type(function).__name__)
    return name


def check_point(point: str) -> None:
    """Refuse a point that there is not.

    Raises:
        UsageError: the text names those that there are.
    """
    if point not in HOOK_POINTS:
        raise UsageError(f"there is no hook point {point!r}; there are: {', '.join(HOOK_POINTS)}")
