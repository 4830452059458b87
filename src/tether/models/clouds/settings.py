"""What a cloud needs to know of its user: an argument, or else an environment variable. No I/O."""

import os
from collections.abc import Callable
from typing import Any

from tether.errors import ModelError, UsageError

__all__ = ("Given", "chosen", "key_from", "needed")

Given = str | Callable[[], Any] | None
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
            f"{cloud} needs {argument}: set {' or '.join(variables)}, or pass {argument}="
        )
    return found


def key_from(given: Given, *variables: str) -> Callable[[], Any] | str:
    """Return the key that was given, or a function that reads it from the environment at each request."""
    if given is not None:
        return given

    def key() -> str:
        found = chosen(None, *variables)
        if found is None:
            raise ModelError(
                f"no key: set {' or '.join(variables)}, or pass api_key", kind="authentication"
            )
        return found

    return key
