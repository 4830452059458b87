"""Approval of tool calls, by a person or by a program. No I/O of its own.

Approval is a hook around tools, which runs in the task of the call: several calls can wait for approval at the same
time, in any order, or one after the other, and the rest of the run goes on. The time that a person thinks is not part
of a call's duration and timeout, and a cancellation ends the wait at once.

Each question is an `ApprovalRequested` in the events of the run, and its end an `ApprovalAnswered`.
"""

import reprlib
from bisect import insort
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from itertools import count
from typing import Literal, TypeAlias

import anyio
import anyio.to_thread
from anyio.lowlevel import checkpoint
from attrs import field, frozen

from tether._scopes.threads import run_in_thread
from tether.events import ApprovalAnswered, ApprovalRequested
from tether.hooks import AroundTool, Deny, Invocation, ProceedTool, call_maybe_async
from tether.tools import Tool, ToolResult

__all__ = ("Approve", "AskAbout", "Verdict", "approval", "asked_in_thread", "may_change")

Verdict: TypeAlias = Literal["once", "always"] | Deny | bool
"""`once` or True lets the call run, `always` also those to come of the same tool; `Deny(reason)` or False do not."""

Approve: TypeAlias = Callable[[Invocation], Verdict | Awaitable[Verdict]]
"""Is asked about a call."""

AskAbout: TypeAlias = Collection[str] | Callable[[Tool], bool]
"""Which tools are asked about: their names, or a function that says so of a tool, such as `may_change`."""

_REFUSED = Deny("the user does not want it")


def approval(
    ask: Approve, *, tools: AskAbout | None = None, one_at_a_time: bool = False
) -> AroundTool:
    """Make an `around_tool` hook that asks before a call runs.

    Args:
        ask: plain or async. What it raises ends the run. Consumers of the run's events that keep up have got the call's
            `ToolExecutionStart` and `ApprovalRequested` before.
        tools: whose calls are asked about; all, if None. With `may_change`, tools that are `read_only` run unasked.
        one_at_a_time: whether calls that run at once are asked about one after the other, in the order of the calls;
            else all at once.

    Returns:
        The hook, for `agent.around_tool`. It remembers for which tools the answer was `always`.

    Cancellation:
        Ends the wait; the question is withdrawn, which the events say.
    """
    is_asked_about = _asking(tools)
    allowed: set[str] = set()
    turns = _Turns()

    async def approval(invocation: Invocation, proceed: ProceedTool) -> ToolResult:
        name = invocation.call.name
        if name in allowed or not is_asked_about(invocation.tool):
            return await proceed(invocation)
        with invocation.context.paused():
            async with turns.turn(invocation.context.order) if one_at_a_time else _AT_ONCE:
                # It may have been allowed while this call waited for its turn.
                verdict = "always" if name in allowed else await _asked(ask, invocation)
                if verdict == "always":
                    allowed.add(name)
        return verdict.result() if isinstance(verdict, Deny) else await proceed(invocation)

    return approval


def may_change(tool: Tool) -> bool:
    """Say whether a tool may change something: whether it is not marked as `read_only`."""
    return not tool.read_only


async def asked_in_thread(ask: Callable[[str], str], question: str) -> str:
    """Ask with a plain function, which waits for a person in a worker thread.

    Args:
        ask: puts the question and returns the answer, such as `input`.
        question: the question.

    Returns:
        The answer.

    Cancellation:
        Stops waiting, and leaves the thread; the process can end without it.
    """
    limiter = anyio.to_thread.current_default_thread_limiter()
    return await run_in_thread(partial(ask, question), limiter=limiter)


def _asking(tools: AskAbout | None) -> Callable[[Tool], bool]:
    if tools is None:
        return lambda _: True
    return tools if callable(tools) else lambda tool: tool.name in tools


async def _asked(ask: Approve, invocation: Invocation) -> Literal["once", "always"] | Deny:
    """Ask about a call, and announce the question and its answer."""
    call, context = invocation.call, invocation.context
    await context.announce(ApprovalRequested(context.call_id, call.name, call.arguments))
    verdict = _checked(await call_maybe_async(ask, invocation))
    match verdict:
        case Deny(reason):
            answered = ApprovalAnswered(context.call_id, call.name, "denied", reason)
        case _:
            answered = ApprovalAnswered(context.call_id, call.name, verdict)
    await context.announce(answered)
    return verdict


def _checked(answer: object) -> Literal["once", "always"] | Deny:
    match answer:
        case "always":
            return "always"
        case "once" | True:
            return "once"
        case False:
            return _REFUSED
        case Deny():
            return answer
        case other:
            raise TypeError(
                "approve must answer 'once', 'always', True, False or Deny(reason), "
                f"not {reprlib.repr(other)}"
            )


_AT_ONCE: AbstractAsyncContextManager[None] = nullcontext()


@frozen(order=True)
class _Place:
    """A place in the line, by the order of the calls; where that is the same, first come, first served."""

    order: tuple[int, ...]
    arrival: int
    reached: anyio.Event = field(factory=anyio.Event, order=False, eq=False)


class _Turns:
    """Lets in one at a time: of those who wait, the one whose call comes first."""

    __slots__ = ("_arrivals", "_line", "_taken")

    def __init__(self) -> None:
        self._arrivals = count()
        self._line: list[_Place] = []
        self._taken = False

    @asynccontextmanager
    async def turn(self, order: tuple[int, ...]) -> AsyncIterator[None]:
        """Wait for a turn, which the block then is.

        Cancellation:
            While it waits; whose turn it is then goes on to the next.
        """
        place = _Place(order, next(self._arrivals))
        insort(self._line, place)
        try:
            # Calls that start at once come here in any order: by now, all of them have.
            await checkpoint()
            self._go_on()
            await place.reached.wait()
            yield
        finally:
            if place in self._line:
                self._line.remove(place)
            else:
                self._taken = False
            self._go_on()

    def _go_on(self) -> None:
        """Let the first in line in, if nobody is."""
        if self._line and not self._taken:
            self._taken = True
            self._line.pop(0).reached.set()
