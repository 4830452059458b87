"""What a cloud needs to know of its user: an argument, or else an environment variable. No I/O."""

import os
from collections.abc import Callable
from typing import Any, TypeAlias

from tether.errors import ModelError, UsageError

__all__ = ("Given", "chosen", "key_fields", "needed")

Given: TypeAlias = str | Callable[[], Any] | None
"""A key or a token, or a function, plain or async, that returns it; None to read it from the environment."""


def chosen(given: str | None, *variables: str) -> str | None:
    """Return what was given, or else the first of the environment variables that is set; None if there is none."""
    return given or next((value for name in variables if (value := os.environ.get(name))), None)


def needed(given: str | None, cloud: str, argument: str, *variables: str) -> str:
    """Return what was given, or else what an environment variable holds.

    Args:
        given: what was given.
        cloud: what the provider is called, for the error.
        argument: the name of the argument of `model_from_name`.
        *variables: the environment variables; the first that is set counts.

    Raises:
        UsageError: nothing of it is set; the message names the variables and the argument.
    """
    found = chosen(given, *variables)
    if found is None:
        raise UsageError(
            f"{cloud} needs {argument}: set {' or '.join(variables)}", hint=f", or pass {argument}="
        )
    return found


def key_fields(given: Given, *variables: str) -> dict[str, Any]:
    """Return the fields of a model that hold its key: the one that was given, or one read at each request."""
    if given is not None:
        return {"key": given}

    def key() -> str:
        found = chosen(None, *variables)
        if found is None:
            raise ModelError(
                f"no key: set {' or '.join(variables)}, or pass api_key", kind="authentication"
            )
        return found

    return {"key": key, "key_from": f"read from {' or '.join(variables)}"}
