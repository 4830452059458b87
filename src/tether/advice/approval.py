"""Ask a person before a tool runs."""

import inspect
from collections.abc import Awaitable, Callable
from typing import TypeAlias, cast

from tether import Deny, Invocation, Verdict
from tether.approvals import AskAbout, approval, asked_in_thread
from tether.hooks import AroundTool

__all__ = ("Ask", "approval_by_person", "verdict_of")

Ask: TypeAlias = Callable[[str], str] | Callable[[str], Awaitable[str]]
"""Puts a question to a person and returns the answer: an `async def`, or a function that runs in a worker thread."""


def approval_by_person(*, tools: AskAbout | None = None, ask: Ask = input) -> AroundTool:
    """Make a hook around tools that asks a person, one question at a time, in the order of the calls.

    Args:
        tools: the names of the tools to ask about, or a function that says so of a tool, such as
            `tether.approvals.may_change`; all tools if None.
        ask: plain or async; puts the question and returns the answer.

    Returns:
        The hook, for `agent.around_tool`. The answer `y` or `yes` lets the call run, `a` or `always` also
        later calls of the same tool. `n`, `no` or an empty answer denies it; any other text denies it and is
        the reason that the model gets.

    Cancellation:
        Stops waiting. An async `ask` is cancelled; a plain one is left to its thread.
    """

    async def person(invocation: Invocation) -> Verdict:
        call = invocation.call
        question = (
            f"{call.name} {dict(call.arguments)!r}\n"
            f"(always: every later call of {call.name} runs without a question, whatever its arguments)\n"
            "run it? [y]es, [a]lways, [n]o, or why not: "
        )
        return verdict_of(await _answer(ask, question))

    return approval(person, tools=tools, one_at_a_time=True)


async def _answer(ask: Ask, question: str) -> str:
    if inspect.iscoroutinefunction(ask):
        return str(await ask(question))
    return str(await asked_in_thread(cast("Callable[[str], str]", ask), question))


def verdict_of(answer: str) -> Verdict:
    """Read a person's answer; see `approval_by_person`."""
    match answer.strip().lower():
        case "y" | "yes":
            return "once"
        case "a" | "always":
            return "always"
        case "" | "n" | "no":
            return False
        case _:
            return Deny(answer.strip())
