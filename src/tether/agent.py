"""An agent: what it is made of, the conversation it has had, and the runs that continue it.

An `Agent` holds configuration and a transcript, and nothing that belongs to an event loop: the same object
can be used under `asyncio.run` now and under `trio.run` later.

It is built up in three steps. `Configurable` is what an agent is made of, `Runnable` adds the conversation and the ways
to run it, and `Agent` puts each run together.
"""

import math
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any, Final, ForwardRef, Literal, NoReturn

import anyio
from attrs import evolve

from tether._engine.active_run import ActiveRun
from tether._engine.background import Background, open_background
from tether._engine.conversation import Conversation
from tether._engine.inbox import Inbox
from tether._engine.ledger import Ledger
from tether._engine.line import Place
from tether._engine.output import Output
from tether._engine.parts import RunParts
from tether._engine.turn_settings import DEFAULT_TOOL_TIMEOUT
from tether._given import function, instance_of, items, optional, whole_number
from tether._recording import Recording, session_of
from tether._terms import Asked, Terms
from tether.hooks import (
    AfterTool,
    BeforeTool,
    Convert,
    HookPoint,
    Hooks,
    ShouldStop,
    TransformContext,
    call_hook,
)
from tether.limits import Limits, Spent
from tether.messages import AssistantMessage, Message, Queued, QueueMode
from tether.model import Model, ModelOptions
from tether.run import Run
from tether.runnable import AgentState, Runnable
from tether.tools import Tool, ToolContext, ToolResult, tool

if TYPE_CHECKING:
    from tether.approvals import Approve
    from tether.calls import OpenCalls
    from tether.session import Session
else:  # `typing.get_type_hints` imports them
    Approve = ForwardRef("import_module('tether.approvals').Approve", module="importlib")
    Session = ForwardRef("import_module('tether.session').Session", module="importlib")

__all__ = ("Agent", "AgentState")

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


class Agent(Runnable):
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
            from tether.approvals import approval  # noqa: PLC0415 - only where somebody is asked

            function("approve of Agent", approve)
            # Innermost, so that what is asked about is what will run.
            self.hooks.add("around_tool", approval(approve), name="approve", depth=1000)
        function("clock of Agent", clock)
        function("new_id of Agent", new_id)
        self.session: Session | None = session_of(self, session, clock, new_id)
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

    def __copy__(self) -> NoReturn:
        raise TypeError(
            "copy.copy gives two agents the same conversation: use agent.copy(messages=agent.messages)"
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
        from tether.serialize import to_builtins  # noqa: PLC0415 - only for an agent that is a tool

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
    ) -> tuple["Agent", Asked]:
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

    # What the above is made of. None of it waits.

    def _begin(self, place: Place, asked: Asked, output: Output | None) -> ActiveRun:
        terms, recording = Terms(self, asked, output), Recording(self)
        terms.require_price()
        conversation, session, inside = self._conversation, self.session, asked.inside
        prompts = conversation.prompts(asked.prompt)
        parts = RunParts(
            transcript=conversation.transcript,
            inbox=conversation.inbox,
            hooks=self.hooks,
            ledger=Ledger(limits=terms.limits, price=terms.price, spent=asked.spent or Spent()),
            settings=terms.settings,
            output=output,
            now=conversation.now,
            new_id=conversation.new_id,
            random=conversation.random,
            tap=conversation.inbox.tap,
            record=recording.record,
            note=recording.note,
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
        run = self._active_run(parts, prompts, asked, partial(conversation.over, place))
        conversation.begin(run)
        return run

    def _active_run(
        self,
        parts: RunParts,
        prompts: Sequence[Queued],
        asked: Asked,
        on_over: Callable[[ActiveRun], object],
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


def _chance() -> float:
    from random import random  # noqa: PLC0415 - only where something is left to chance

    return random()
