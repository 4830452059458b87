"""Secrets stay here."""

import re
from collections.abc import Callable, Iterable
from typing import Any

import attrs

from tether import Invocation, ModelRequest, Text, ToolResult

__all__ = ("redaction",)


def redaction(
    secrets: Iterable[str | re.Pattern[str]], *, mark: str = "[redacted]"
) -> tuple[Callable[[ModelRequest], ModelRequest], Callable[[Invocation, ToolResult], ToolResult]]:
    """Make hooks that leave secrets out of what a model is sent, and out of what tools give.

    Args:
        secrets: texts, or patterns of texts.
        mark: what stands in their place.

    Returns:
        One hook for `before_model`, and one for `after_tool`.
    """
    parts = [s.pattern if isinstance(s, re.Pattern) else re.escape(s) for s in secrets if s]
    pattern = re.compile("|".join(f"(?:{part})" for part in parts) or r"(?!)")

    def clean(content: Iterable[Any]) -> tuple[Any, ...]:
        return tuple(
            attrs.evolve(block, text=pattern.sub(mark, block.text))
            if isinstance(block, Text)
            else block
            for block in content
        )

    def before_model(request: ModelRequest) -> ModelRequest:
        cleaned = [attrs.evolve(m, content=clean(m.content)) for m in request.messages]
        return attrs.evolve(request, messages=cleaned)

    def after_tool(_: Invocation, result: ToolResult) -> ToolResult:
        return attrs.evolve(result, content=clean(result.content))

    return before_model, after_tool
