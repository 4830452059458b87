"""A run from when it is asked for until it is over."""

from collections.abc import Callable, Sequence
from functools import partial
from inspect import GEN_CREATED, getgeneratorstate
from typing import Any

from tether._engine.around import hooks_around, within_hooks
from tether._engine.inbox import message_of
from tether._engine.interruption import RunControl
from tether._engine.lease import keeping_claim
from tether._engine.line import Place
from tether._engine.parts import LiveRun, RunParts, RunServices
from tether._engine.publisher import Publisher
from tether.errors import UsageError
from tether.events import Event
from tether.hooks import RunContext
from tether.limits import Spent
from tether.loop import End, Loop, agent_loop
from tether.messages import AssistantMessage, Message, Prompt, Queued
from tether.result import OutputResult, RunResult
from tether.stream import EventSink
from tether.taps import RunBegun, Tap

__all__ = ("ActiveRun", "RunStart")


class ActiveRun:
    """A run that is going, or about to.

    Args:
        parts: what it is made of.
        prompts: what it begins with.
        on_over: called once, when it is over, with the run: it need not hold it, which would make a cycle.
    """

    __slots__ = ("_is_over", "_on_over", "_parts", "_prompts", "control", "live")

    def __init__(
        self,
        parts: RunParts,
        prompts: Sequence[Queued],
        on_over: "Callable[[ActiveRun], object]",
    ) -> None:
        self.control: RunControl = RunControl(parts.ledger.limits, parts.tap)
        self.live: LiveRun = LiveRun()
        self._parts = parts
        self._prompts = prompts
        self._on_over = on_over
        self._is_over = False

    @property
    def spent(self) -> Spent:
        """What it has spent so far."""
        return self._parts.ledger.spent

    def accept(self, prompt: Prompt) -> Queued:
        """Take a message that steers the run.

        Raises:
            UsageError: the run is over, or it is nothing that can be said.
        """
        if self._is_over:
            raise UsageError(
                "this run is over: speak to the next one with Agent.steer, or start one with a prompt"
            )
        message = self._parts.stamp(message_of(prompt))
        self._parts.inbox.put("steering", message)
        return message

    async def produce(self, sink: EventSink[Event]) -> RunResult:
        """Be the producer of the run's stream: carry the run out.

        Returns:
            What came of it.

        Raises:
            ModelError: the model failed.
            OutputError: the run ended without the result that was asked for.
            Exception: what a hook raised.

        Cancellation:
            Closes the run, whose transcript is then complete, and passes on.
        """
        from tether._engine.driver import Driver  # noqa: PLC0415 - a run that is carried out elsewhere has none

        parts, first = self._parts, self._parts.transcript.settled
        services = RunServices(
            parts=parts,
            control=self.control,
            live=self.live,
            publisher=Publisher(sink, parts.hooks, self.control, parts.tap),
            around_run=hooks_around(parts.around_run, parts.hooks.at("around_run")),
        )
        tap = parts.tap
        if tap is not None:
            self._tell_beginning(tap)
        loop = self._loop(tap)

        async def carry_out() -> RunResult:
            self.control.start()
            async with (
                keeping_claim(parts.session, self.control),
                services.resources,
            ):
                end = await Driver(loop, services).drive()
            if end.stop_reason == "error" and self.live.error is not None:
                raise self.live.error
            return self._result(end, first)

        try:
            if not services.around_run:
                result = await carry_out()
            else:
                result = await within_hooks(services.around_run, self._context(sink), carry_out)
            if tap is not None:
                tap.ended(result)
            return result
        except BaseException as error:
            if getgeneratorstate(loop) == GEN_CREATED:  # by a hook, before the run began
                await Driver(loop, services).drive(error)  # noqa: ASYNC102 - of a cancellation it waits for nothing
            if tap is not None:
                tap.ended(error)
            raise
        finally:
            self.over()

    def _tell_beginning(self, tap: Tap) -> None:
        parts, ledger = self._parts, self._parts.ledger
        tap.begun(
            RunBegun(
                prompts=tuple(self._prompts),
                messages=parts.transcript.messages,
                for_model=parts.transcript.for_model,
                left_open=parts.transcript.left_open,
                spent=ledger.spent,
                limits=ledger.limits,
            )
        )

    def _loop(self, tap: Tap | None) -> Loop:
        parts, ledger = self._parts, self._parts.ledger
        price, waiting = ledger.price, parts.inbox.anything_waits
        return agent_loop(
            parts.transcript,
            self._prompts,
            limits=ledger.limits,
            spent=ledger.spent,
            price=price if tap is None else partial(_priced, price, tap),
            waiting=waiting if tap is None else partial(_waiting, waiting, tap),
        )

    def _context(self, sink: EventSink[Event]) -> RunContext:
        parts, prompts = self._parts, tuple(self._prompts)
        settings = parts.settings()
        said: Sequence[Message] = (*parts.transcript.messages[:1], *prompts)
        return RunContext(
            agent=parts.agent,
            model=settings.model,
            system=settings.system,
            prompts=prompts,
            conversation_id=said[0].id if said else "",
            depth=parts.depth,
            call_id=parts.call_id,
            session=parts.session,
            hooks=parts.hooks,
            spent=self.spent,
            tools=lambda: tuple(parts.settings().tools.values()),
            unread=lambda: sink.unread,
            held_up=lambda: sink.waited,
        )

    def over(self) -> None:
        """Note that it is over; a second time it does nothing."""
        if not self._is_over:
            self._is_over = True
            self._on_over(self)

    def _result(self, end: End, first: int) -> RunResult:
        """Make the result; what the run added to the transcript begins at `first`."""
        parts, output = self._parts, self._parts.output
        if output is not None and not output.given:
            raise output.error(end)
        kind = RunResult if output is None else OutputResult[Any]
        return kind(
            output=None if output is None else output.value,
            stop_reason=end.stop_reason,
            limit=end.limit,
            messages=parts.transcript.messages[first:],
            usage=self.spent.usage,
            cost=self.spent.cost,
            undelivered=parts.inbox.clear(),
        )


def _priced(price: Callable[[AssistantMessage], float], tap: Tap, reply: AssistantMessage) -> float:
    try:
        answer = price(reply)
    except Exception as error:
        tap.priced(reply, error)
        raise
    tap.priced(reply, answer)
    return answer


def _waiting(waiting: Callable[[], bool], tap: Tap) -> bool:
    answer = waiting()
    tap.waiting(answer)
    return answer


class RunStart:
    """A run that was asked for: from then until it is over. It may have to wait in line.

    Args:
        place: its place in the agent's line.
        begin: makes the run, once it is first.
    """

    __slots__ = ("_active", "_begin", "_place")

    def __init__(self, place: Place, begin: Callable[[], ActiveRun]) -> None:
        self._place = place
        self._begin = begin
        self._active: ActiveRun | None = None
        if place.is_first:
            self._begin_now()

    async def begun(self) -> ActiveRun:
        """Wait until it is first in line, and begin it.

        Cancellation:
            At once; `over` then leaves the line.
        """
        await self._place.wait_first()
        return self._active or self._begin_now()

    async def produce(self, sink: EventSink[Event]) -> RunResult:
        """Be the producer of the run's stream, from the waiting on; see `ActiveRun.produce`."""
        return await (await self.begun()).produce(sink)

    def over(self) -> None:
        """Note that it is over, or will never begin."""
        if self._active is not None:
            self._active.over()
        self._place.leave()

    def _begin_now(self) -> ActiveRun:
        try:
            self._active = self._begin()
        except BaseException:
            self._place.leave()
            raise
        return self._active
