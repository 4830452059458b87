"""Make a call inside the hooks around it."""

from tether.hooks import Deny, Hook, Hooks, Invocation, ProceedTool, call_hook
from tether.tools import ToolResult, as_tool_result

__all__ = ("called_within_hooks",)


async def called_within_hooks(
    hooks: Hooks, invocation: Invocation, innermost: ProceedTool
) -> ToolResult:
    """Make a call: through `before_tool`, inside `around_tool`, and through `after_tool`.

    Args:
        hooks: those of the agent.
        invocation: the call as the model has made it.
        innermost: what the hooks are around.

    Returns:
        The result, or why the call was denied.

    Raises:
        Exception: what a hook has raised.

    Cancellation:
        Inside a hook or the call.
    """
    for hook in hooks.at("before_tool"):
        match await call_hook(hook, invocation):
            case Deny() as denial:
                return denial.result()
            case Invocation() as changed:
                invocation = changed
    proceed = innermost
    for hook in reversed(hooks.at("around_tool")):
        proceed = _around(hook, proceed)
    result = await proceed(invocation)
    for hook in hooks.at("after_tool"):
        result = await call_hook(hook, invocation, result) or result
    return result


def _around(hook: Hook, proceed: ProceedTool) -> ProceedTool:
    async def wrapped(invocation: Invocation) -> ToolResult:
        return as_tool_result(await call_hook(hook, invocation, proceed))

    return wrapped
