"""Prompts in lines: JSON objects with a `prompt`, JSON strings, or plain text. No I/O."""

import json
from collections.abc import Iterable, Iterator

from tether import UsageError

__all__ = ("read_prompts",)


def read_prompts(lines: Iterable[str]) -> Iterator[str]:
    """Read a prompt from each line that is not empty.

    Args:
        lines: `{"prompt": "..."}`, or a string in JSON, or text that begins with neither a brace nor a quotation mark.

    Yields:
        The prompts.

    Raises:
        UsageError: a line is none of these; the text names it.
    """
    for number, line in enumerate(lines, 1):
        text = line.removeprefix("\ufeff").strip()  # the mark with which some programs begin a file
        if not text:
            continue
        yield _prompt(text, number) if text.startswith(("{", '"')) else text


def _prompt(text: str, number: int) -> str:
    try:
        match json.loads(text):
            case str(prompt) | {"prompt": str(prompt)} if prompt.strip():
                return prompt
            case _:
                pass
    except ValueError as error:
        raise UsageError(f"line {number} is not JSON: {error}") from None
    raise UsageError(f'line {number} has no prompt: write {{"prompt": "..."}}, a string, or text')
