"""A conversation and its runs: the ways to start a run, to follow it, to speak to it and to end it."""

import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, ForwardRef, TypeVar, overload

from attrs import frozen

from tether._engine.active_run import ActiveRun, RunStart
from tether._engine.conversation import Conversation
from tether._engine.line import Place
from tether._engine.output import Output
from tether._given import instance_of
from tether._scopes.ties import tied_to_its_thread
from tether._terms import Asked
from tether.chat import Chat
from tether.configurable import Configurable
from tether.events import Event
from tether.hooks import OnEvent
from tether.iterator import RunIterator, RunScope, hold_run, itself, require_scope, text_of
from tether.limits import Limits
from tether.messages import AssistantMessage, Message, Prompt, Queued, QueueName
from tether.pending import PendingRun, WhenBusy, check_when_busy
from tether.result import OutputResult, RunResult
from tether.run import Run
from tether.stream import open_event_stream
from tether.taps import Tap

if TYPE_CHECKING:
    from tether.calls import OpenCalls
else:  # `typing.get_type_hints` imports it
    OpenCalls = ForwardRef("import_module('tether.calls').OpenCalls", module="importlib")

__all__ = ("AgentState", "Runnable")

T = TypeVar("T")


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


class Runnable(Configurable):
    """Something that has a conversation, which runs continue one after the other."""

    _conversation: Conversation

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
    async def _open(self, asked: Asked, max_buffer_size: float = 64) -> AsyncIterator[Run]:
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

    # Watching it.

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

    # How a run begins. None of it waits.

    def _start(self, asked: Asked) -> RunStart:
        """Take a place in the line; where that is the first, the run begins."""
        output = None if asked.output is None else Output(asked.output, asked.output_attempts)
        place = self._conversation.join(waits=asked.when_busy == "wait")
        return RunStart(place, lambda: self._begin(place, asked, output))

    def _begin(self, place: Place, asked: Asked, output: Output | None) -> ActiveRun:
        """Begin a run that is first in line."""
        raise NotImplementedError
