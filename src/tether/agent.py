"""An agent: what it is made of, the conversation it has had, and the runs that continue it.

An `Agent` holds configuration and a transcript, and nothing that belongs to an event loop: the same object
can be used under `asyncio.run` now and under `trio.run` later.
"""

import math
import time
import uuid
import weakref
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, overload

import anyio
from attrs import evolve, field, frozen

from tether._engine.active_run import ActiveRun, RunStart
from tether._engine.background import Background, open_background
from tether._engine.conversation import Conversation
from tether._engine.inbox import Inbox, optional_message
from tether._engine.ledger import Ledger
from tether._engine.line import Place
from tether._engine.output import Output
from tether._engine.parts import RunParts
from tether._engine.turn_settings import DEFAULT_TOOL_TIMEOUT, TurnSettings
from tether._given import (
    Checked,
    field_check,
    function,
    instance_of,
    items,
    number,
    optional,
    seconds,
    whole_number,
)
from tether._scopes.threads import tied_to_its_thread
from tether.approvals import Approve, approval
from tether.calls import CallNote, OpenCalls
from tether.chat import Chat
from tether.errors import UsageError
from tether.events import Event
from tether.hookable import Hookable
from tether.hooks import (
    AfterTool,
    BeforeTool,
    Convert,
    HookPoint,
    Hooks,
    OnEvent,
    ShouldStop,
    TransformContext,
    call_hook,
)
from tether.iterator import RunIterator, RunScope, hold_run, itself, require_scope, text_of
from tether.limits import Limits, Spent
from tether.messages import (
    AssistantMessage,
    JsonObject,
    Message,
    Prompt,
    Queued,
    QueueMode,
    QueueName,
)
from tether.model import Model, ModelOptions, ThinkingLevel
from tether.models.catalogue import model_from_name, own_server
from tether.models.knowledge import cost_of, require_price
from tether.pending import PendingRun, WhenBusy, check_when_busy
from tether.result import OutputResult, RunResult
from tether.run import Run
from tether.serialize import to_builtins
from tether.stream import open_event_stream
from tether.taps import Tap
from tether.tools import Tool, ToolContext, ToolKind, ToolResult, tool

if TYPE_CHECKING:
    from tether.session import Session

__all__ = ("Agent", "AgentState")

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

_CLOSING_TIME: Final = 5.0
"""Seconds that the hooks at `agent_closed` have."""

_REQUEST: Final = {
    "type": "object",
    "properties": {
        "request": {"type": "string", "description": "what to ask, with all it needs to know"}
    },
    "required": ["request"],
    "additionalProperties": False,
}
"""The parameters of an agent that is a tool."""


@frozen(kw_only=True)
class AgentState:
    """A moment in the life of an agent."""

    running: bool
    partial: AssistantMessage | None
    """The reply that is arriving, or the last that did, in the run that is going."""
    running_tools: tuple[str, ...]
    """The ids of the calls that are running."""
    steering: tuple[Queued, ...]
    follow_ups: tuple[Queued, ...]


class Agent(Hookable):
    """An agent.

    Everything given here may be changed between runs, and while one is going: the change takes effect on its
    next turn. `limits` and `deps` that were given to one run stay as they are.

    Args:
        model: a model, or the name of one, such as `anthropic:claude-sonnet-4-5`.
        system: the system prompt.
        tools: tools, or plain functions to make tools of.
        name: what the agent is called where several work together.
        options: temperature, thinking and other options of the model.
        deps: whatever the tools need; they find it in their `ToolContext`.
        limits: what a run may spend.
        messages: a conversation to continue.
        session: where the conversation is kept, or the path of a log file; every message is written to it before it
            is announced. What it holds already comes before `messages`. A session that was opened by its path is
            closed with `agent.session.close()`, at the latest when nobody holds the agent any more.
        sequential: run the calls of a reply one after the other.
        tool_timeout: seconds that a tool without a timeout of its own may run; `math.inf` means no limit.
        steering: how many waiting messages enter at each turn.
        follow_up: how many waiting messages enter when the agent would stop.
        transform_context: a hook, see `tether.hooks`; so are the next four.
        convert: a hook.
        before_tool: a hook.
        after_tool: a hook.
        should_stop: a hook.
        approve: decides whether a tool call may run; see `tether.approvals`.
        price: what a reply costs, for `Limits.cost` and `RunResult.cost`, such as `tether.price_of`. If None,
            `price_of` is used where there is a limit of cost.
        clock: seconds since the epoch.
        new_id: makes the ids of messages, and of the entries of a session that is given as a path.
        random: a number from 0 to 1, for how long to wait before another attempt.

    Raises:
        UnknownModelError: the model's name names nothing.
        ToolDefinitionError: a function cannot be made a tool.
        UsageError: something that is given is not what it must be, two tools have the same name, or another session has
            the file open.
        DecodeError: the file is not a session.
        OSError: the file cannot be opened.
    """

    system: Checked[str | None] = Checked(optional(instance_of(str, "a string")))
    name: Checked[str] = Checked(instance_of(str, "a string"))
    options: Checked[ModelOptions] = Checked(instance_of(ModelOptions))
    limits: Checked[Limits] = Checked(instance_of(Limits))
    sequential: Checked[bool] = Checked(instance_of(bool, "True or False"))
    tool_timeout: Checked[float] = Checked(seconds)
    price: Checked[Callable[[AssistantMessage], float] | None] = Checked(optional(function))

    def __init__(
        self,
        model: Model | str = "offline",
        *,
        system: str | None = None,
        tools: Iterable[Tool | Callable[..., Any]] = (),
        name: str = "agent",
        options: ModelOptions | None = None,
        deps: Any = None,
        limits: Limits | None = None,
        messages: Iterable[Message] = (),
        session: "Session | str | PathLike[str] | None" = None,
        sequential: bool = False,
        tool_timeout: float = DEFAULT_TOOL_TIMEOUT,
        steering: QueueMode = "one_at_a_time",
        follow_up: QueueMode = "one_at_a_time",
        transform_context: TransformContext | None = None,
        convert: Convert | None = None,
        before_tool: BeforeTool | None = None,
        after_tool: AfterTool | None = None,
        should_stop: ShouldStop | None = None,
        approve: Approve | None = None,
        price: Callable[[AssistantMessage], float] | None = None,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
        random: Callable[[], float] = lambda: _chance(),
    ) -> None:
        self.model = model
        self.tools = tools
        self.system = system
        self.name = name
        self.options = ModelOptions() if options is None else options
        self.deps = deps
        self.limits = Limits() if limits is None else limits
        self.sequential = sequential
        self.tool_timeout = tool_timeout
        self.price = price
        self.hooks: Hooks = Hooks()
        given: dict[HookPoint, Callable[..., Any] | None] = {
            "transform_context": transform_context,
            "convert": convert,
            "before_tool": before_tool,
            "after_tool": after_tool,
            "should_stop": should_stop,
        }
        for point, hook in given.items():
            if hook is not None:
                self.hooks.add(point, hook)
        if approve is not None:
            function("approve of Agent", approve)
            # Innermost, so that what is asked about is what will run.
            self.hooks.add("around_tool", approval(approve), name="approve", depth=1000)
        function("clock of Agent", clock)
        function("new_id of Agent", new_id)
        self.session: Session | None = self._opened(session, clock, new_id)
        kept: Sequence[Message] = ()
        open_calls: OpenCalls | None = None
        added = [*items("messages", messages)]
        if self.session is not None:
            kept, open_calls = self.session.messages, self.session.open_calls
        self._backgrounds: list[Background] = []
        self._conversation = Conversation(
            [*kept, *added],
            Inbox(steering, follow_up),
            clock,
            new_id,
            random,
            None if added else open_calls,
        )

    # What it is made of.

    @property
    def model(self) -> Model:
        """The model. A name may be assigned."""
        return self._model

    @model.setter
    def model(self, model: Model | str) -> None:
        named: Any = model_from_name(model) if isinstance(model, str) else model
        if isinstance(named, type) or not isinstance(named, Model):
            raise UsageError(f"model of Agent must be a model or the name of one, not {named!r}")
        self._model = named

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The tools. Plain functions may be assigned among them."""
        return self._tools

    @tools.setter
    def tools(self, tools: Iterable[Tool | Callable[..., Any]]) -> None:
        items("tools of Agent", tools)
        made = tuple(item if isinstance(item, Tool) else tool(item) for item in tools)
        names = [item.name for item in made]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise UsageError(f"two tools are called {twice[0]!r}; give one of them another name")
        self._tools = made

    @overload
    def tool(self, function: Callable[..., Any], /) -> Tool: ...
    @overload
    def tool(
        self,
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
    ) -> Callable[[Callable[..., Any]], Tool]: ...
    def tool(
        self,
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
        """Make a tool of the decorated function and give it to this agent: `@agent.tool`, or `@agent.tool(...)`.

        Args:
            function: typed throughout; async, or plain and then run in a worker thread.
            name: what models call it; the other options too are those of `tether.tool`.
            description: what models read about it.
            parameters: a JSON Schema to use in place of the signature.
            timeout: seconds it may run.
            sequential: calls of a reply run one after the other, if it is among them.
            max_concurrency: how many calls of it may run at once.
            title: its name for people.
            kind: what it does, roughly.
            read_only: it changes nothing.
            destructive: whether it may change or end what was there before.
            idempotent: a second call with the same arguments changes nothing more.

        Returns:
            The tool; without a function, a decorator that makes it.

        Raises:
            ToolDefinitionError: the function cannot be made a tool.
            UsageError: the agent has a tool of that name.
        """
        make = tool(
            name=name,
            description=description,
            parameters=parameters,
            timeout=timeout,
            sequential=sequential,
            max_concurrency=max_concurrency,
            title=title,
            kind=kind,
            read_only=read_only,
            destructive=destructive,
            idempotent=idempotent,
        )

        def add(function: Callable[..., Any]) -> Tool:
            self.tools = [*self._tools, made := make(function)]
            return made

        return add if function is None else add(function)

    @property
    def thinking(self) -> ThinkingLevel | None:
        """How much the model thinks; None leaves it to the provider."""
        return self.options.thinking

    @thinking.setter
    def thinking(self, level: ThinkingLevel | None) -> None:
        self.options = evolve(self.options, thinking=level)

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation, valid at every moment."""
        return self._conversation.transcript.messages

    @property
    def state(self) -> AgentState:
        """What it is doing now."""
        active, inbox = self._conversation.active, self._conversation.inbox
        partial = None if active is None else active.live.partial
        return AgentState(
            running=active is not None,
            partial=None if partial is None else partial.preview(),
            running_tools=() if active is None else tuple(active.live.tool_scopes),
            steering=inbox.waiting("steering"),
            follow_ups=inbox.waiting("follow_up"),
        )

    def reset(
        self, messages: Iterable[Message] = (), *, open_calls: OpenCalls | None = None
    ) -> None:
        """Forget the conversation and what waits in the queues.

        Args:
            messages: the conversation to go on with instead.
            open_calls: the calls of its last reply that the next run takes up, such as `Session.open_calls`.

        Raises:
            AgentBusyError: a run is going.
            UsageError: something among them is not a message, or the open calls are not those of their last reply.
        """
        self._conversation.reset(messages, open_calls)

    def copy(self, **changes: Any) -> "Agent":
        """Make an agent like this one, with a conversation of its own.

        It has the same model, tools, hooks and options; later changes to one agent do not reach the other. It has no
        session, no messages, and nothing waits in its queues, unless they are given.

        Args:
            **changes: what is different, named as for `Agent`: `agent.copy(model="offline", messages=agent.messages)`.
                Hooks are added to those of this agent, and `approve` takes the place of its own.

        Returns:
            The new agent.

        Raises:
            TypeError: agents have no such part.
            Exception: what `Agent` raises.
        """
        same: dict[str, Any] = {
            "model": self._model,
            "system": self.system,
            "tools": self._tools,
            "name": self.name,
            "options": self.options,
            "deps": self.deps,
            "limits": self.limits,
            "sequential": self.sequential,
            "tool_timeout": self.tool_timeout,
            "steering": self._conversation.inbox.modes["steering"],
            "follow_up": self._conversation.inbox.modes["follow_up"],
            "price": self.price,
            "clock": self._conversation.now,
            "new_id": self._conversation.new_id,
            "random": self._conversation.random,
        }
        made = Agent(**{**same, **changes})
        made.hooks.add_missing(self.hooks)
        return made

    # Running it.

    def run(
        self,
        prompt: Prompt | None = None,
        *,
        output: Any = None,
        output_attempts: int = 3,
        deps: Any = None,
        limits: Limits | None = None,
        max_buffer_size: float = 64,
        when_busy: WhenBusy = "raise",
    ) -> PendingRun:
        """Start a run, tied to the block it is used in.

        Do not `yield` out of that block from an async generator, which may be dropped or go on in another task:
        `stream_text` and `stream_events` are made for that. If you do it all the same, close the generator with
        `contextlib.aclosing`, in the task that iterates it.

        Where the session says that a process ended in the middle of calls, the run goes on with them before it asks
        the model. A call that had ended keeps its result. One that had not begun is run. One that had begun is
        `interrupted`, and run again only where its tool is `idempotent`. With a prompt, or a message that steers,
        nothing is run: what had not begun is `skipped`, and the model hears of that before the prompt.

        Args:
            prompt: what to say; None to continue from the conversation as it stands.
            output: the type of the result: an attrs class, a dataclass, a TypedDict, a pydantic model, plain
                types, or a union of them; or a JSON Schema. The model gives it by a tool that is added for this run.
            output_attempts: how often the model may try, before `result()` raises `OutputError`.
            deps: what the tools need in this run; the agent's own if None.
            limits: what this run may spend; the agent's own if None.
            max_buffer_size: how many events the run may be ahead of who reads them.
            when_busy: what to do while a run of this agent is going: `raise` AgentBusyError, or `wait` in line until it
                is over; first come, first served. A tool of the agent that waits so never ends, as its own run
                waits for it.

        Returns:
            A context manager that gives the `Run`, to be entered once. Leaving the block ends the run, if it still
            goes, and waits until its tools have cleaned up.

        Raises:
            AgentBusyError: a run of this agent is going already.
            NothingToContinueError: no prompt was given, and nothing waits for an answer.
            UsageError: there is a limit of cost, and the price of the model is not known; or what is given cannot be.
            ModelError: the model failed, and nobody has seen it yet.
            Exception: what the block or a hook raised.

        Cancellation:
            Closes the model's response and cancels the tools, waits until they have cleaned up, and passes
            on. The transcript is valid and may be continued.
        """
        asked = Asked(prompt, output, output_attempts, deps, limits, when_busy)
        return PendingRun(lambda: self._open(asked, max_buffer_size))

    @asynccontextmanager
    async def _open(self, asked: "Asked", max_buffer_size: float = 64) -> AsyncIterator[Run]:
        start = self._start(asked)
        try:
            with tied_to_its_thread():
                active = await start.begun()
                async with open_event_stream(
                    active.produce, max_buffer_size=max_buffer_size
                ) as stream:
                    yield Run(stream, active.live, active.control, active.spent, active.accept)
        finally:
            start.over()

    @overload
    async def prompt(
        self,
        prompt: Prompt | None = None,
        *,
        deps: Any = None,
        limits: Limits | None = None,
        when_busy: WhenBusy = "raise",
    ) -> RunResult: ...
    @overload
    async def prompt(
        self,
        prompt: Prompt | None = None,
        *,
        output: type[T],
        output_attempts: int = 3,
        deps: Any = None,
        limits: Limits | None = None,
        when_busy: WhenBusy = "raise",
    ) -> OutputResult[T]: ...
    @overload
    async def prompt(
        self,
        prompt: Prompt | None = None,
        *,
        output: Any,
        output_attempts: int = 3,
        deps: Any = None,
        limits: Limits | None = None,
        when_busy: WhenBusy = "raise",
    ) -> OutputResult[Any]: ...
    async def prompt(
        self,
        prompt: Prompt | None = None,
        *,
        output: Any = None,
        output_attempts: int = 3,
        deps: Any = None,
        limits: Limits | None = None,
        when_busy: WhenBusy = "raise",
    ) -> RunResult:
        """Run to the end, and return just the result.

        Args:
            prompt: what to say; None to continue from the conversation as it stands.
            output: the type of the result's `output`; see `run`.
            output_attempts: how often the model may try.
            deps: what the tools need in this run; the agent's own if None.
            limits: what this run may spend; the agent's own if None.
            when_busy: whether to wait while a run of this agent is going; see `run`.

        Returns:
            How the run ended, and what it added to the conversation.

        Raises:
            AgentBusyError: a run of this agent is going already.
            NothingToContinueError: no prompt was given, and nothing waits for an answer.
            ModelError: the model failed; the transcript holds what had arrived.
            OutputError: the run has ended without a result of that type.

        Cancellation:
            As in `run`.
        """
        asked = Asked(prompt, output, output_attempts, deps, limits, when_busy)
        async with self._open(asked) as run:
            return await run.result()

    def stream_text(
        self,
        prompt: Prompt | None = None,
        task_group: RunScope | None = None,
        *,
        output: Any = None,
        output_attempts: int = 3,
        deps: Any = None,
        limits: Limits | None = None,
        max_buffer_size: float = 64,
        when_busy: WhenBusy = "raise",
    ) -> RunIterator[str]:
        """Start a run, tied to a task group, and iterate over the text of its replies as it arrives.

        It is for code that needs an iterator, such as a streaming response. Unlike an async generator it may be dropped
        in the middle, which ends the run. The text of all replies of the run comes, those that call tools included,
        with nothing between them.

        The run starts at this call. So what keeps it from starting is raised here, before a response has begun.

        Args:
            prompt: what to say; None to continue from the conversation as it stands.
            task_group: what the run is tied to: an `anyio.abc.TaskGroup`, a `trio.Nursery`, an `asyncio.TaskGroup`, or
                what has a `start_soon` like theirs. The run is cancelled with it.
            output: the type of the result; see `run`.
            output_attempts: how often the model may try.
            deps: what the tools need in this run; the agent's own if None.
            limits: what this run may spend; the agent's own if None.
            max_buffer_size: how many events the run may be ahead of who reads them.
            when_busy: with `wait`, the run waits in its task group until those before it are over.

        Returns:
            The iterator; see `RunIterator`.

        Raises:
            AgentBusyError: a run of this agent is going already.
            NothingToContinueError: no prompt was given, and nothing waits for an answer; with `wait`, it may be raised
                by the iteration.
            UsageError: there is no task group, or it takes no tasks now.
        """
        scope = require_scope("stream_text", task_group)
        start = self._start(Asked(prompt, output, output_attempts, deps, limits, when_busy))
        return hold_run(scope, start.produce, start.over, max_buffer_size, text_of)

    def stream_events(
        self,
        prompt: Prompt | None = None,
        task_group: RunScope | None = None,
        *,
        output: Any = None,
        output_attempts: int = 3,
        deps: Any = None,
        limits: Limits | None = None,
        max_buffer_size: float = 64,
        when_busy: WhenBusy = "raise",
    ) -> RunIterator[Event]:
        """Start a run, tied to a task group, and iterate over its events; else as `stream_text`."""
        scope = require_scope("stream_events", task_group)
        start = self._start(Asked(prompt, output, output_attempts, deps, limits, when_busy))
        return hold_run(scope, start.produce, start.over, max_buffer_size, itself)

    def chat(self, *, when_busy: WhenBusy = "raise") -> Chat:
        """Make a conversation of this agent's: an async generator to send prompts to.

        Args:
            when_busy: whether a send waits while a run of this agent is going; see `run`.
        """
        check_when_busy(when_busy)
        return Chat(
            partial(self.prompt, when_busy=when_busy), partial(self.run, when_busy=when_busy)
        )

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Agent"]:
        """Run the hooks at `agent_opened` now, and those at `agent_closed` at the end of the block.

        A run does not need it: it is for hooks that open and close what they need for longer than a run, and for what
        tools start with `ToolContext.start`, such as commands in the background. That goes on from run to run within
        the block; without one it ends with its run.

        Returns:
            A context manager that gives the agent, to be left in the task that entered it.

        Raises:
            Exception: what a hook raised.

        Cancellation:
            Passes on once what the tools started has ended, and the hooks at `agent_closed` are done, which have a
            few seconds for it.
        """
        for hook in self.hooks.at("agent_opened"):
            await call_hook(hook, self)
        try:
            async with open_background() as background:
                self._backgrounds.append(background)
                try:
                    yield self
                finally:
                    self._backgrounds.remove(background)
        finally:
            with anyio.move_on_after(_CLOSING_TIME, shield=True):
                for hook in self.hooks.at("agent_closed"):
                    await call_hook(hook, self)

    async def wait_idle(self) -> None:
        """Wait until no run is going, its listeners included, and none waits for that with `when_busy="wait"`.

        Cancellation:
            At once; the run goes on.
        """
        await self._conversation.line.wait_empty()

    # Speaking to it while it runs.

    def steer(self, message: Prompt, *, interrupt: bool = False) -> Queued:
        """Queue a message for the next request to the model.

        Calls that are running are waited for, those not yet begun are skipped. Without a run it waits
        for the next one.

        Args:
            message: what to say.
            interrupt: do not wait: interrupt the reply that is arriving, or the calls that are running.

        Returns:
            The message as it was accepted. It will be in the transcript, or in `RunResult.undelivered`.
        """
        accepted = self._conversation.accept("steering", message)
        if interrupt and self._conversation.active is not None:
            self._conversation.active.control.interrupt()
        return accepted

    def follow_up(self, message: Prompt) -> Queued:
        """Queue a message until the agent would otherwise stop.

        Args:
            message: what to say.

        Returns:
            The message as it was accepted. It will be in the transcript, or in `RunResult.undelivered`.
        """
        return self._conversation.accept("follow_up", message)

    def clear_queues(
        self, queues: Sequence[QueueName] = ("steering", "follow_up")
    ) -> tuple[Queued, ...]:
        """Take back queued messages.

        Args:
            queues: which queues.

        Returns:
            What was taken back, in order.
        """
        return self._conversation.inbox.clear(queues)

    def abort(self) -> None:
        """End the run that is going, in order; without one, do nothing."""
        if self._conversation.active is not None:
            self._conversation.active.control.abort()

    # As a part of another agent.

    def as_tool(
        self,
        name: str,
        description: str,
        *,
        timeout: float = math.inf,
        limits: Limits | Literal["shared"] | None = None,
        max_depth: int = 4,
    ) -> Tool:
        """Make a tool of which each call is a run of an agent like this one, with a conversation of its own.

        The child runs in the tool's scope and is cancelled with it. Its events come through the call, as
        `ToolExecutionUpdate.event`; what it spends counts for the run that called it; its conversation is
        in `details["messages"]` of the result, and where the caller has a session, in that: see `Session.child`.

        Args:
            name: what models call it.
            description: what models read about it.
            timeout: seconds a call may take.
            limits: what one call may spend; this agent's own limits if None; `shared` for what is left to the run
                that calls, its turns and calls included.
            max_depth: how many agents may stand above it; deeper calls are answered with an error.

        Returns:
            The tool.

        Raises:
            UsageError: a limit is not what it must be.
        """
        if limits != "shared":
            optional(instance_of(Limits, "Limits, 'shared' or None"))("limits", limits)
        whole_number()("max_depth", max_depth)

        async def ask(request: str, context: ToolContext[Any]) -> ToolResult:
            if context.depth >= max_depth:
                return ToolResult(f"{name} is {context.depth} agents deep already", outcome="error")
            child, asked = self._child(request, context, limits)
            run: Run | None = None
            try:
                async with child._open(asked) as run:  # noqa: SLF001 - it is one of us
                    async for event in run:
                        await context.forward(event, (self.name,))
                    result = await run.result()
            finally:
                # Not before the run is closed: a reply that is cut off counts then.
                if run is not None and limits != "shared":
                    context.spend(run.usage, run.cost)
            details = {
                "messages": to_builtins(child.messages),
                "stop_reason": result.stop_reason,
            }
            return ToolResult(result.text, details=details)

        made = tool(name=name, description=description, timeout=timeout)(ask)
        return evolve(made, parameters=_REQUEST)

    def _child(
        self,
        request: str,
        context: ToolContext[Any],
        limits: Limits | Literal["shared"] | None,
    ) -> tuple["Agent", "Asked"]:
        """Make the agent of one call, and what its run is asked for."""
        shared = limits == "shared"
        child = self.copy(
            limits=context.limits if limits == "shared" else limits or self.limits,
            price=self.price or context.price,
            session=context.session and context.session.child(self.name, context.call_id),
        )
        asked = Asked(
            request,
            inside=context,
            spent=context.spent if shared else None,
            counts_cost=context.limits.cost is not None,
        )
        return child, asked

    # Changing what it does.

    def subscribe(self, listener: OnEvent) -> Callable[[], None]:
        """Have a function called with every event of every run, before consumers get it.

        Args:
            listener: a plain or an async function; the run waits for it. It need not be different from other
                listeners.

        Returns:
            A function that ends the subscription.
        """
        # Not by `new_id`: who watches a run changes nothing of it.
        name = f"subscription {uuid.uuid4().hex}"
        self.hooks.add("on_event", listener, name=name)
        return lambda: self.hooks.remove("on_event", name)

    def tap(self, tap: Tap) -> Callable[[], None]:
        """Show a tap everything that the runs which begin from here on do.

        A tap sees what listeners cannot, such as requests and what is done from outside. It is called synchronously
        and changes nothing: see `tether.taps`. A copy of this agent does not have it.

        Args:
            tap: what sees it. It is given what it has not overridden too; it may not raise.

        Returns:
            A function that takes it away, from the next run on.
        """
        return self._conversation.tap(instance_of(Tap)("tap", tap))

    # What the above is made of. None of it waits.

    def _opened(
        self, session: Any, clock: Callable[[], float], new_id: Callable[[], str]
    ) -> "Session | None":
        if session is None:
            return None
        from tether.session import Session  # noqa: PLC0415 - most agents have none

        if isinstance(session, Session):
            return session
        if not isinstance(session, str | PathLike) or not str(session):
            raise UsageError(f"session of Agent must be a Session or a path, not {session!r}")
        opened = Session(session, now=clock, new_id=new_id)
        weakref.finalize(self, opened.close)
        return opened

    def _start(self, asked: "Asked") -> RunStart:
        """Take a place in the line; where that is the first, the run begins."""
        output = None if asked.output is None else Output(asked.output, asked.output_attempts)
        place = self._conversation.join(waits=asked.when_busy == "wait")
        return RunStart(place, lambda: self._begin(place, asked, output))

    def _begin(self, place: Place, asked: "Asked", output: Output | None) -> ActiveRun:
        def limits() -> Limits:
            return self.limits if asked.limits is None else asked.limits

        def costs_count() -> bool:
            return self.price is None and (asked.counts_cost or limits().cost is not None)

        def settings() -> TurnSettings:
            if costs_count():
                require_price(self._model)
            now = (
                self._settings()
                if asked.deps is None
                else evolve(self._settings(), deps=asked.deps)
            )
            return now if output is None else output.settings(now)

        def price(reply: AssistantMessage) -> float:
            if self.price is not None:
                return number("what price returns", self.price(reply))
            # Looking it up takes a while the first time, so that is done only where it counts.
            return cost_of(reply, self._model) if costs_count() else 0.0

        if costs_count():
            require_price(self._model)
        conversation, session, inside = self._conversation, self.session, asked.inside
        prompts = conversation.prompts(asked.prompt)
        parts = RunParts(
            transcript=conversation.transcript,
            inbox=conversation.inbox,
            hooks=self.hooks,
            ledger=Ledger(limits=limits, price=price, spent=asked.spent or Spent()),
            settings=settings,
            output=output,
            now=conversation.now,
            new_id=conversation.new_id,
            random=conversation.random,
            tap=conversation.inbox.tap,
            record=self._record,
            note=self._note,
            flush=None if session is None or not session.flushed_later else session.flush,
            session=session,
            agent=self.name,
            depth=0 if inside is None else inside.depth + 1,
            call_id=None if inside is None else inside.call_id,
            around_run=() if inside is None else inside.around_run,
            order=() if inside is None else inside.order,
            pause=nullcontext if inside is None else inside.paused,
            background=self._background,
        )
        run = self._active_run(parts, prompts, asked, lambda: conversation.over(run, place))
        conversation.begin(run)
        return run

    def _active_run(
        self,
        parts: RunParts,
        prompts: Sequence[Queued],
        asked: "Asked",
        on_over: Callable[[], object],
    ) -> ActiveRun:
        """Make the run; agents whose runs are elsewhere make another kind."""
        del asked
        return ActiveRun(parts, prompts, on_over)

    def _background(self) -> AbstractAsyncContextManager[Background]:
        """The place for tasks that outlive calls: the innermost of the open blocks, or one for the run alone."""
        for background in reversed(self._backgrounds):
            if background.is_open_here:
                return nullcontext(background)
        return open_background()

    def _record(self, message: Message) -> None:
        if self.session is None:
            return
        try:
            self.session.note("model", _known_as(self.model))
            self.session.note("system", {"text": self.system})
        finally:  # where a note cannot be written, the message waits behind it
            self.session.record(message)

    def _note(self, note: CallNote) -> None:
        if self.session is not None:
            self.session.note_call(note)

    def _settings(self) -> TurnSettings:
        return TurnSettings(
            model=self._model,
            system=self.system,
            tools={tool.name: tool for tool in self._tools},
            options=self.options,
            deps=self.deps,
            sequential=self.sequential,
            tool_timeout=self.tool_timeout,
            price=self.price,
        )


def _chance() -> float:
    from random import random  # noqa: PLC0415 - only where something is left to chance

    return random()


@frozen(eq=False, repr=False)
class Asked:
    """What one run is asked for. Made by the methods of `Agent`, and by what runs agents elsewhere."""

    prompt: Queued | None = field(converter=optional_message)
    output: Any = None
    output_attempts: int = field(default=3, validator=field_check(whole_number(1)))
    deps: Any = None
    limits: Limits | None = field(
        default=None, validator=field_check(optional(instance_of(Limits)))
    )
    when_busy: WhenBusy = "raise"
    inside: ToolContext[Any] | None = None
    """The call that the run is part of, if it is."""
    spent: Spent | None = None
    """Where it counts what it spends, together with others; None for by itself."""
    counts_cost: bool = False
    """Whether somebody else wants to know its cost."""

    def __attrs_post_init__(self) -> None:
        check_when_busy(self.when_busy)


def _known_as(model: Model) -> dict[str, Any]:
    """What a session keeps of a model: its name, and its address if that is not the provider's own."""
    server = own_server(model)
    return {"name": model.name} | ({} if server is None else {"base_url": server})
