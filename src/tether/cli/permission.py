"""Ask a person before a tool changes anything."""

import sys
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import anyio

from tether import Deny, Invocation, Tool, Verdict
from tether.advice.approval import verdict_of
from tether.approvals import AskAbout, approval
from tether.cli.keyboard import forget_typed
from tether.cli.question import Question, question_about
from tether.hooks import AroundTool

__all__ = ()

Ask: TypeAlias = Callable[[Question], Awaitable[str]]
"""Puts a question to the person, and returns the answer."""


def permission(tools: AskAbout, ask: Ask | None) -> AroundTool:
    """Make the hook around tools that decides which calls may run.

    Args:
        tools: the names of the tools to ask about, or a function that says so of a tool.
        ask: puts a question to the person; None where there is nobody to ask, which denies the calls.

    Returns:
        The hook. It asks one question at a time, in the order of the calls.
    """
    if ask is None:
        reason = "there is no terminal to ask for permission at; the option --yes allows the call"
        return approval(lambda _: Deny(reason), tools=tools)

    async def person(invocation: Invocation) -> Verdict:
        return verdict_of(await ask(question_about(invocation.call)))

    return approval(person, tools=tools, one_at_a_time=True)


def is_asked_about(tool: Tool) -> bool:
    """Say whether a person is asked about a tool: it may destroy something, or tell others what it asks for."""
    return bool(tool.destructive) or tool.kind == "fetch"


async def ask_at_terminal(question: Question) -> str:
    """Ask, and wait for a line without a thread. What was typed before is not an answer.

    Cancellation:
        Stops waiting at once; the question stays on the screen.
    """
    forget_typed()
    print(question.drawn, end="", file=sys.stderr, flush=True)
    try:
        await anyio.wait_readable(sys.stdin)
    except anyio.get_cancelled_exc_class():
        print(file=sys.stderr)
        raise
    return sys.stdin.readline()
