"""What a wire API is: how a request is written, and how a reply is read. No I/O."""

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
from attrs import frozen

from tether.deltas import Delta
from tether.errors import ModelError
from tether.messages import ToolCall
from tether.model import ModelRequest
from tether.models._sse import ServerSentEvent

__all__ = ("MAX_DEPTH", "Decoder", "WireApi", "cut_short", "finished_call", "malformed")

Decoder: TypeAlias = Generator[Sequence[Delta], ServerSentEvent | None, Sequence[Delta]]
"""Started with `next`; is sent server-sent events one at a time, and None when the stream ends; yields the
deltas that follow from each, and returns the last ones: a `ReplyEnd` with the finished message, and what comes
before it. It returns as soon as the reply is whole, since a server may keep the stream open. Raises `ModelError`, with
what had arrived as its `partial`; one that is thrown in, since the connection was lost, it raises like its own."""

MAX_DEPTH = 64
"""How deep the arguments of a call may be nested."""


@frozen
class WireApi:
    """One way of speaking to models over HTTP."""

    name: str
    encode: Callable[[ModelRequest, str], dict[str, Any]]
    """A request and the model's name, to the JSON body."""
    decode: Callable[[str], Decoder]
    """The model's name, to a decoder for one reply."""
    url: Callable[[str, str], str]
    """The base URL and the model's name, to the URL to post to."""
    headers: Callable[[str], Mapping[str, str]]
    """The key, to the headers that carry it."""


def finished_call(id_: str, name: str, arguments: str, details: Any = None) -> ToolCall:
    """Make a call of its arguments as they came.

    Args:
        id_: its id.
        name: the tool.
        arguments: JSON text; nothing stands for no arguments. What some servers make of it is put right: an empty
            object before the real one, or the whole sent twice.
        details: what its vendor wants back.

    Returns:
        The call; where its arguments are not a JSON object, `malformed` holds them.
    """
    if not arguments.strip():
        return ToolCall(id_, name, {}, None, details)
    for candidate in _readings(arguments):
        try:
            value = msgspec.json.decode(candidate)
        except (msgspec.DecodeError, RecursionError):
            continue
        if isinstance(value, dict) and _depth_within(value, MAX_DEPTH):
            return ToolCall(id_, name, value, None, details)
    return ToolCall(id_, name, {}, arguments, details)


def malformed(problem: str, data: bytes) -> ModelError:
    """Say that a server sent what cannot be understood."""
    excerpt = data[:200].decode(errors="replace")
    return ModelError(f"{problem}: {excerpt!r}", kind="malformed")


def cut_short() -> ModelError:
    """Say that a stream ended before its reply did."""
    return ModelError("the connection ended before the reply was finished", kind="connection")


def _readings(arguments: str) -> Sequence[str]:
    text = arguments.strip()
    half = len(text) // 2
    readings = [text]
    if text.startswith("{}"):
        readings.append(text[2:])
    if text[:half].strip() == text[half:].strip():
        readings.append(text[:half])
    return readings


def _depth_within(value: object, depth: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    if depth == 0:
        return False
    inner = value.values() if isinstance(value, dict) else value
    return all(_depth_within(item, depth - 1) for item in inner)
