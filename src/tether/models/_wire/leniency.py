"""Read what servers send as far as it can be understood, and write what they can read. No I/O."""

import json
import math
import re
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
    "says_nothing",
    "text_or_empty",
    "tolerant",
)

MAX_DEPTH: Final = 64
"""How deep the arguments of a call may be nested."""

DONE: Final = b"[DONE]"
"""The data of an event that some servers end a stream with."""

_KEEP_ALIVE: Final = frozenset({b"ping", b"pong", b"keep-alive", b"keepalive", b"heartbeat"})
"""Names and data of events that only keep a connection open."""

_MOST_ENCODINGS: Final = 3
"""How often arguments may have been made a text of."""

_PATH: Final = re.compile(r" - at `\$(\S+)`$")
_STEP: Final = re.compile(r"\.(\w+)|\[(\d+)\]")

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
        The reader. It returns None for an event that says nothing: the mark of the end, one without data, a
        keep-alive, JSON that is no object, an object of which nothing fits. It raises `ModelError` of the kind
        `malformed` for data that is not JSON.
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
        return None if says_nothing(event) else _second_reading(event, shapes)

    return reading


def says_nothing(event: ServerSentEvent) -> bool:
    """Return True for an event without data, a keep-alive, and the mark of the end."""
    name, data = event
    words = data.strip().lower()
    return (
        not words or words == DONE.lower() or words in _KEEP_ALIVE or name.encode() in _KEEP_ALIVE
    )


def _second_reading(event: ServerSentEvent, shapes: Sequence[Any]) -> Any:
    name, data = event
    value = _repaired(data)
    if isinstance(value, list) and value:
        value = value[0]  # as some servers send errors
    if not isinstance(value, dict):
        return None
    if not text_or_empty(value.get("type")):
        value["type"] = name
    for shape in shapes:
        try:
            return msgspec.convert(value, shape, strict=False)
        except msgspec.ValidationError:
            pass
    return _without_misfits(value, shapes[-1])


def _repaired(data: bytes) -> Any:
    """Read JSON whose text is damaged."""
    try:
        value = json.loads(data.decode(errors="replace"), strict=False)
        text = json.dumps(value, ensure_ascii=False)
        repaired = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return msgspec.json.decode(repaired)
    except (ValueError, RecursionError) as error:
        raise malformed(f"the server sent data that cannot be read ({error})", data) from error


def _without_misfits(value: dict[str, Any], shape: Any) -> Any:
    """Read an object without the fields that do not fit; None if nothing of it does."""
    for _ in range(_MOST_MISFITS):
        try:
            return msgspec.convert(value, shape, strict=False)
        except msgspec.ValidationError as misfit:
            if not _leave_out(value, str(misfit)):
                return None
    return None


def _leave_out(value: Any, misfit: str) -> bool:
    """Leave out what msgspec complains of, by the path at the end of its message (`$.choices[0].index`)."""
    found = _PATH.search(misfit)
    steps = [name or int(number) for name, number in _STEP.findall(found[1])] if found else []
    if not steps:
        return False
    for step in steps[:-1]:
        value = value[step]
    del value[steps[-1]]
    return True


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
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def finished_call(id_: str, name: str, arguments: str, details: Any = None) -> ToolCall:
    """Make a call from its arguments as they arrived.

    Args:
        id_: its id.
        name: the tool.
        arguments: JSON text; an empty one means no arguments. Three habits of some servers are undone: an empty
            object before the real one, the whole text sent twice, and the whole text encoded twice.
        details: what its provider wants back.

    Returns:
        The call; if its arguments are not a JSON object, `malformed` holds them.
    """
    if not arguments.strip():
        return ToolCall(id_, name, {}, None, details)
    for candidate in _readings(arguments):
        try:
            value = _decoded(candidate)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and _depth_within(value, MAX_DEPTH):
            return ToolCall(id_, name, value, None, details)
    return ToolCall(id_, name, {}, arguments, details)


def _decoded(text: str) -> Any:
    """Read JSON, also where it was made a text of, perhaps more than once."""
    value = msgspec.json.decode(text)
    for _ in range(_MOST_ENCODINGS):
        if not isinstance(value, str):
            break
        value = msgspec.json.decode(value)
    return value


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
