"""A person at the terminal is asked before a tool runs."""

from collections.abc import Callable, Collection

import anyio
import anyio.to_thread

from tether import AroundTool, Deny, Invocation, Verdict, approval, to_json

__all__ = ("approval_by_person",)


def approval_by_person(
    *, tools: Collection[str] | None = None, ask: Callable[[str], str] = input
) -> AroundTool:
    """Make advice around tools that asks a person, one question at a time.

    Args:
        tools: whose calls are asked about; all, if None.
        ask: puts a question and returns the answer; it runs in a worker thread.

    Returns:
        The advice, for `agent.around_tool`. It takes y for yes, a for always; anything else is the reason for
        a no.
    """
    turn = anyio.Semaphore(1)

    async def person(invocation: Invocation) -> Verdict:
        call = invocation.call
        question = f"{call.name} {to_json(call).decode()}\nrun it? [y]es, [a]lways, or why not: "
        async with turn:
            said = await anyio.to_thread.run_sync(ask, question, abandon_on_cancel=True)
        match said.strip().lower():
            case "y" | "yes":
                return "once"
            case "a" | "always":
                return "always"
            case "" | "n" | "no":
                return False
        return Deny(said.strip())

    return approval(person, tools=tools)
