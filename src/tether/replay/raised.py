"""Exceptions on a recording, and what is raised in their place when it is replayed.

No I/O.
"""

import builtins
from collections.abc import Mapping
from typing import Any

import tether.errors
from tether.errors import ModelError, TetherError

__all__ = ("RecordedError", "RunCancelledError", "described", "read_error", "written_error")


class RecordedError(TetherError):
    """What a recorded run raised, where its class is not known here.

    Attributes:
        name: the name of its class.
    """

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


class RunCancelledError(TetherError):
    """The recorded run was cancelled from outside. A replay, which nobody cancels, raises this there."""


def written_error(error: BaseException) -> dict[str, Any]:
    """Write an exception: its class, its text, and what it holds."""
    kind, text = type(error).__name__, str(error)
    if isinstance(error, BaseExceptionGroup):
        inner = [written_error(one) for one in error.exceptions]
        return {"kind": kind, "text": error.message, "exceptions": inner}
    if not isinstance(error, Exception) and not isinstance(error, KeyboardInterrupt | SystemExit):
        return {"kind": "cancelled", "text": ""}
    if type(error) is ModelError:
        held = ("message", "kind", "status", "request_id", "retry_after", "hint")
        fields = {name: getattr(error, name) for name in held} | {"closest": [*error.closest]}
        return {"kind": kind, "text": text, "fields": fields}
    return {"kind": kind, "text": text}


def read_error(value: Mapping[str, Any]) -> Exception:
    """Make what a replay raises."""
    kind, text = value["kind"], value["text"]
    if kind == "cancelled":
        return RunCancelledError("the recorded run was cancelled here")
    if "exceptions" in value:
        return ExceptionGroup(text, [read_error(one) for one in value["exceptions"]])
    if "fields" in value:
        fields = dict(value["fields"])
        return ModelError(fields.pop("message"), **fields)
    known = getattr(builtins, kind, None) or getattr(tether.errors, kind, None)
    if isinstance(known, type) and issubclass(known, Exception):
        try:
            made = known(text)
        except TypeError:
            return RecordedError(kind, text)
        if str(made) == text:
            return made
    return RecordedError(kind, text)


def described(error: BaseException) -> str:
    """Name an exception in one line, the same for a recorded one and for what is raised in its place."""
    match error:
        case BaseExceptionGroup():
            inner = ", ".join(described(one) for one in error.exceptions)
            return f"{error.message}: [{inner}]"
        case RecordedError():
            return f"{error.name}: {error}"
        case RunCancelledError():
            return "cancelled"
        case _ if not isinstance(error, Exception | KeyboardInterrupt | SystemExit):
            return "cancelled"
        case _:
            return f"{type(error).__name__}: {error}"
