"""Ask a person before a tool changes anything."""

import sys
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import anyio

from tether import Deny, Invocation, Tool, ToolResult, Verdict
from tether.advice.approval import verdict_of
from tether.approvals import Approve, AskAbout, approval
from tether.cli.keyboard import forget_typed
from tether.cli.permission.modes import Mode
from tether.cli.permission.policy import Decided, Policy
from tether.cli.permission.suggestion import suggested_rules
from tether.cli.question import Question, question_about, room_on_screen
from tether.cli.streams import warn
from tether.hooks import AroundTool, ProceedTool

__all__ = ()

Ask: TypeAlias = Callable[[Question], Awaitable[str]]
"""Puts a question to the person, and returns the answer."""


def permission(tools: AskAbout, ask: Ask | None, policy: Policy | None = None) -> AroundTool:
    """Make the hook around tools that decides which calls may run, and asks a person about the others.

    Args:
        tools: the names of the tools to ask about, or a function that says so of a tool.
        ask: puts a question to the person; None where there is nobody to ask, which denies the calls.
        policy: the mode, and the rules; those that a person adds at a question are kept there.

    Returns:
        The hook. It asks one question at a time, in the order of the calls.
    """
    policy = policy or Policy()
    if ask is None:
        return guarded(tools, lambda _: Deny(_nobody(policy)), policy)

    async def person(invocation: Invocation) -> Verdict:
        call = invocation.call
        if _decided(policy, invocation, tools=tools) == "run":
            return "once"  # by an answer to the question before this one
        suggested = suggested_rules(call, policy.rules.all)
        answer = await ask(question_about(call, suggested=suggested, room=room_on_screen()))
        while answer.strip().lower() in {"d", "diff"}:
            answer = await ask(question_about(call, suggested=suggested, room=None))
        if suggested and answer.strip().lower() == "p":
            for rule in suggested:
                try:
                    policy.rules.here.add(rule)
                except OSError as error:
                    warn(f"{error}; the rule holds until you leave")
            return "once"
        return verdict_of(answer)

    return guarded(tools, person, policy, one_at_a_time=True)


def guarded(
    tools: AskAbout | None, approve: Approve, policy: Policy, *, one_at_a_time: bool = False
) -> AroundTool:
    """Make the hook around tools that decides by a mode and rules, and has the rest approved.

    Args:
        tools: the names of the tools to ask about, or a function that says so of a tool; all if None.
        approve: is asked.
        policy: the mode, and the rules.
        one_at_a_time: whether calls are asked about one after the other, in their order.
    """
    asking = approval(approve, one_at_a_time=one_at_a_time)

    async def waited_for(invocation: Invocation, proceed: ProceedTool) -> ToolResult:
        async def go_on(invocation: Invocation) -> ToolResult:
            policy.waiting.discard(invocation.call.id)
            return await proceed(invocation)

        policy.waiting.add(invocation.call.id)
        try:
            return await asking(invocation, go_on)
        finally:
            policy.waiting.discard(invocation.call.id)

    async def permission(invocation: Invocation, proceed: ProceedTool) -> ToolResult:
        match _decided(policy, invocation, tools=tools):
            case "run":
                return await proceed(invocation)
            case "ask":
                return await waited_for(invocation, proceed)
            case Deny() as denied:
                return denied.result()

    return permission


def _decided(policy: Policy, invocation: Invocation, *, tools: AskAbout | None) -> Decided:
    tool = invocation.tool
    asked = tools is None or (tools(tool) if callable(tools) else tool.name in tools)
    return policy.decide(invocation.call, tool, is_asked_about=asked)


def _nobody(policy: Policy) -> str:
    if policy.modes.current is Mode.ALL:
        return "a rule may deny a part of it, which cannot be known, and there is nobody to ask"
    return "there is no terminal to ask for permission at; the option --yes allows the call"


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
