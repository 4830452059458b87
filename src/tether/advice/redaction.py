"""Secrets are removed from requests and from tool results."""

import re
from collections.abc import Callable, Iterable
from typing import Any

import attrs

from tether import Invocation, ModelRequest, Text, ToolResult

__all__ = ("redaction",)


def redaction(
    secrets: Iterable[str | re.Pattern[str]], *, mark: str = "[redacted]"
) -> tuple[Callable[[ModelRequest], ModelRequest], Callable[[Invocation, ToolResult], ToolResult]]:
    """Make hooks that replace secrets in what the model is sent, and in the results of tools.

    Args:
        secrets: texts, or patterns of texts.
        mark: the replacement.

    Returns:
        One hook for `before_model`, and one for `after_tool`.
    """
    parts = [s.pattern if isinstance(s, re.Pattern) else re.escape(s) for s in secrets if s]
    pattern = re.compile("|".join(f"(?:{part})" for part in parts) or r"(?!)")

    def clean(content: Iterable[Any]) -> Any:
        return tuple(
            attrs.evolve(block, text=pattern.sub(mark, block.text))
            if isinstance(block, Text)
            else block
            for block in content
        )

    def redact_request(request: ModelRequest) -> ModelRequest:
        cleaned = [attrs.evolve(m, content=clean(m.content)) for m in request.messages]
        return attrs.evolve(request, messages=cleaned)

    def redact_result(_: Invocation, result: ToolResult) -> ToolResult:
        return attrs.evolve(result, content=clean(result.content))

    return redact_request, redact_result
