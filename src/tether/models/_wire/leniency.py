"""Reading what servers send as far as something can be made of it, and writing what they can read. No I/O."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from tether.messages import ToolCall
from tether.models._wire.failures import malformed

__all__ = (
    "MAX_DEPTH",
    "count_in",
    "finished_call",
    "json_text",
    "lenient",
    "tried",
    "word",
)

MAX_DEPTH = 64
"""How deep the arguments of a call may be nested."""

_T = TypeVar("_T")


def json_text(value: Any) -> bytes:
    """Write JSON, also where a text holds half a surrogate pair, which no JSON text can hold."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(value, ensure_ascii=False).encode(errors="replace")


def lenient(read: Callable[[bytes], _T]) -> Callable[[bytes], _T]:
    """Make of a strict reader of JSON one that reads as far as something can be made of it.

    Bytes that are no UTF-8 are replaced, as the standard for event streams has it, and so is half a surrogate
    pair, which some servers send where they cut a text between the halves.

    Args:
        read: the strict reader.

    Returns:
        The reader. It raises `ModelError` of the kind `malformed` where nothing can be made of it.
    """

    def reading(data: bytes) -> _T:
        try:
            return read(data)
        except (ValueError, RecursionError) as error:
            return _second_reading(read, data, error)

    return reading


def tried(read: Callable[[bytes], _T]) -> Callable[[bytes], _T | None]:
    """Make of a strict reader of JSON one that returns None for what it does not read."""

    def reading(data: bytes) -> _T | None:
        try:
            return read(data)
        except ValueError:
            return None

    return reading


def _second_reading(read: Callable[[bytes], _T], data: bytes, error: Exception) -> _T:
    try:
        value = json.loads(data.decode(errors="replace"), strict=False)
        text = json.dumps(value, ensure_ascii=False)
        return read(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode())
    except (ValueError, RecursionError):
        problem = f"the server sent data that cannot be read ({error})"
        raise malformed(problem, data) from error


def word(value: object) -> str:
    """Take a text where one should be; "" where something else is."""
    return value if isinstance(value, str) else ""


def count_in(counts: object, *path: str) -> int:
    """Take a number out of what a server counts; 0 where there is none."""
    value: Any = counts
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    if isinstance(value, float):
        return int(value) if math.isfinite(value) else 0
    return value if isinstance(value, int) else 0


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
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and _depth_within(value, MAX_DEPTH):
            return ToolCall(id_, name, value, None, details)
    return ToolCall(id_, name, {}, arguments, details)


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
