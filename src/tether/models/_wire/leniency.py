"""Read what servers send as far as it can be understood, and write what they can read. No I/O."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from tether.messages import ToolCall
from tether.models._wire.failures import malformed
from tether.models._wire.sse import ServerSentEvent

__all__ = (
    "DONE",
    "MAX_DEPTH",
    "count_in",
    "finished_call",
    "json_text",
    "text_or_empty",
    "tolerant",
)

MAX_DEPTH: Final = 64
"""How deep the arguments of a call may be nested."""

DONE: Final = b"[DONE]"
"""The data of an event that some servers end a stream with."""

_MOST_MISFITS: Final = 32
"""Fields of one event that are left out, before the event is."""


def tolerant(*shapes: Any) -> Callable[[ServerSentEvent], Any]:
    """Make a reader of events that reads whatever can be understood.

    An event that fits a shape is read as it stands. Otherwise bytes that are no UTF-8 are replaced, as the standard
    for event streams demands, and so is half a surrogate pair, which some servers send when they cut a text between
    its halves; an event without a type takes its name for it; numbers are read from texts; and fields that still do
    not fit are left out.

    Args:
        *shapes: the Structs an event may be, tried in order.

    Returns:
        The reader. It returns None for an event that says nothing, such as the mark of the end. It raises
        `ModelError` of the kind `malformed` for one that is not JSON.
    """
    first, *others = (msgspec.json.Decoder(shape).decode for shape in shapes)

    def reading(event: ServerSentEvent) -> Any:
        try:
            return first(event[1])
        except (ValueError, RecursionError):
            pass
        for read in others:
            try:
                return read(event[1])
            except (ValueError, RecursionError):
                pass
        return None if event[1] == DONE else _second_reading(event, shapes)

    return reading


def _second_reading(event: ServerSentEvent, shapes: Sequence[Any]) -> Any:
    name, data = event
    value = _repaired(data)
    if not isinstance(value, dict):
        raise malformed("the server sent data that is no JSON object", data)
    if not text_or_empty(value.get("type")):
        value["type"] = name
    for shape in shapes:
        try:
            return msgspec.convert(value, shape, strict=False)
        except msgspec.ValidationError:
            pass
    raise malformed("the server sent data that cannot be read", data)


def _repaired(data: bytes) -> Any:
    """Read JSON whose text is damaged."""
    try:
        value = json.loads(data.decode(errors="replace"), strict=False)
        text = json.dumps(value, ensure_ascii=False)
        return msgspec.json.decode(
            text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        )
    except (ValueError, RecursionError) as error:
        raise malformed(f"the server sent data that cannot be read ({error})", data) from error


def json_text(value: Any) -> bytes:
    """Write JSON, also when a text holds half a surrogate pair, which no JSON text can hold."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(value, ensure_ascii=False).encode(errors="replace")


def text_or_empty(value: object) -> str:
    """Return a text as it is, and "" for anything else."""
    return value if isinstance(value, str) else ""


def count_in(counts: object, *path: str) -> int:
    """Return a number from what a server counts; 0 if there is none."""
    value: Any = counts
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    if isinstance(value, float):
        return int(value) if math.isfinite(value) else 0
    return value if isinstance(value, int) else 0


def finished_call(id_: str, name: str, arguments: str, details: Any = None) -> ToolCall:
    """Make a call from its arguments as they arrived.

    Args:
        id_: its id.
        name: the tool.
        arguments: JSON text; an empty one means no arguments. Two habits of some servers are undone: an empty
            object before the real one, and the whole text sent twice.
        details: what its provider wants back.

    Returns:
        The call; if its arguments are not a JSON object, `malformed` holds them.
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
