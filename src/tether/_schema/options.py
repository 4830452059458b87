"""Check what a tool is made of, beside its signature. No I/O."""

import inspect
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from tether._schema.callables import is_kind
from tether.errors import ToolDefinitionError

__all__ = ("check_definition", "check_options")

_VALID_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""What every provider accepts."""


def check_definition(function: Callable[..., Any], name: str) -> None:
    """Refuse a name that models cannot call, and a function that cannot be called as a tool.

    Raises:
        ToolDefinitionError: the text says what would be right.
    """
    if not _VALID_NAME.fullmatch(name):
        raise ToolDefinitionError(
            f"{name!r} cannot be the name of a tool: use 1 to 64 letters, digits, _ and -; "
            'give it one with @tool(name="...")'
        )
    if is_kind(inspect.isasyncgenfunction, function) or is_kind(
        inspect.isgeneratorfunction, function
    ):
        raise ToolDefinitionError(
            f"{name}: a generator cannot be a tool; report progress with ToolContext.update "
            "and return the result"
        )


def check_options(name: str, options: Mapping[str, Any], kinds: Collection[str]) -> None:
    """Refuse options that are not what they must be, whatever a type checker has let through.

    Args:
        name: the tool's name.
        options: the options by their names.
        kinds: what `kind` may be.

    Raises:
        ToolDefinitionError: the text names the option and what would be right.
    """
    for option, given in options.items():
        fits, right = _MUST_BE[option]
        if not fits(given):
            raise ToolDefinitionError(f"{name}: {option} must be {right}, not {given!r}")
    if options["kind"] not in kinds:
        raise ToolDefinitionError(
            f"{name}: kind must be one of {', '.join(kinds)}, not {options['kind']!r}"
        )
    if options["read_only"] and options["destructive"]:
        raise ToolDefinitionError(
            f"{name}: a tool that is read_only changes nothing, so it cannot be destructive"
        )


def _is_bool(given: object) -> bool:
    return isinstance(given, bool)


_MUST_BE: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "timeout": (
        lambda given: given is None or (isinstance(given, int | float) and given > 0),
        "more than 0 seconds",
    ),
    "sequential": (_is_bool, "True or False"),
    "max_concurrency": (
        lambda given: given is None or (isinstance(given, int) and given >= 1),
        "at least 1",
    ),
    "title": (lambda given: isinstance(given, str | None), "a string or None"),
    "kind": (lambda given: isinstance(given, str), "a string"),
    "read_only": (_is_bool, "True or False"),
    "destructive": (lambda given: given is None or _is_bool(given), "True, False or None"),
    "idempotent": (_is_bool, "True or False"),
}
