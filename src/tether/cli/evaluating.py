"""Python that a person types in a conversation, run in the process of the conversation."""

import ast
import inspect
import traceback
from typing import Any, Final

import tether
from tether import TetherError
from tether.cli.conversation import Conversation

__all__ = ()

_FILE: Final = "<eval>"


async def evaluate(conversation: Conversation, code: str) -> Any:
    """Run code, which may await.

    Args:
        conversation: what goes on, which the code is given the parts of. Its variables stay there for the next time.
            What the code raises is told there, without the frames above the code.
        code: statements.

    Returns:
        The value of the last statement, if that is an expression.

    Raises:
        TetherError: the code has raised it, and what it says is enough.

    Cancellation:
        Inside the code, where that awaits.
    """
    names = conversation.names
    names.update(
        conversation=conversation,
        app=conversation.app,
        agent=conversation.agent,
        session=conversation.agent.session,
        run=conversation.run,
        tether=tether,
    )
    try:
        return await _value(code, names)
    except TetherError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the person's code raises
        conversation.tell(_told(error))
        return None


async def _value(code: str, names: dict[str, Any]) -> Any:
    body = ast.parse(code, _FILE).body
    match body:
        case [*before, ast.Expr(value)]:
            await _run(ast.Module(before, type_ignores=[]), names)
            return await _run(ast.Expression(value), names)
        case _:
            return await _run(ast.Module(body, type_ignores=[]), names)


async def _run(code: ast.Module | ast.Expression, names: dict[str, Any]) -> Any:
    mode = "exec" if isinstance(code, ast.Module) else "eval"
    value = eval(compile(code, _FILE, mode, flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    return await value if inspect.isawaitable(value) else value


def _told(error: Exception) -> str:
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_code.co_filename != _FILE:
        frame = frame.tb_next
    return "".join(traceback.format_exception(error.with_traceback(frame))).rstrip()
