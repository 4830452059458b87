"""Read what servers send as far as it can be understood, and write what they can read. No I/O."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from tether.messages import ToolCall
from tether.models._wire.failures import error_from_event, malformed
from tether.models._wire.sse import ServerSentEvent

__all__ = (
    "DONE",
    "MAX_DEPTH",
    "count_in",
    "finished_call",
    "is_first_half",
    "json_text",
    "mended",
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

_NAMES: Final = ("message", "content_block", "response", "chat", "completion", "error")
"""How the names of events begin that may hold a part of the reply."""

_MOST_ENCODINGS: Final = 3
"""How often arguments may have been made a text of."""

_PATH: Final = re.compile(r" - at `\$(\S+)`$")
_STEP: Final = re.compile(r"\.(\w+)|\[(\d+)\]")

_HALF: Final = re.compile(r"\\u[dD][89a-fA-F]")
"""An escape of half a surrogate pair, which is not JSON unless the other half stands beside it."""

_FRAGMENTS: Final = frozenset(
    {
        *("content", "reasoning", "reasoning_content", "refusal", "arguments"),
        *("text", "thinking", "partial_json", "delta"),
    }
)
"""Fields that hold a piece of a text."""

_CONTAINERS: Final = frozenset({dict, list})

_MOST_MISFITS: Final = 32
"""Fields of one event that are left out, before the event is."""


def tolerant(*shapes: Any) -> Callable[[ServerSentEvent], Any]:
    """Make a reader of events that reads whatever can be understood.

    An event that fits a shape is read as it stands. Otherwise bytes that are not UTF-8 are replaced, as the standard
    for event streams demands, and so is half a surrogate pair, unless it stands at the edge of a fragment: some servers
    cut a text between its halves. An event without a type takes its name for it; numbers are read from texts; and
    fields that still do not fit are left out.

    Args:
        *shapes: the Structs an event may be, at most two, tried in order. The last takes any event.

    Returns:
        The reader. It returns None for an event that says nothing: the mark of the end, one without data, a
        keep-alive, JSON that is not an object, an object of which nothing fits, words under an unknown name. It
        raises `ModelError` for an event that is named an error; of the kind `malformed` for data that is not JSON.
    """
    *fast, last = (msgspec.json.Decoder(shape).decode for shape in shapes)

    def reading(event: ServerSentEvent) -> Any:
        if event[0] == "error" and not says_nothing(event):
            raise error_from_event(event[1])
        try:
            return last(event[1])
        except (ValueError, RecursionError):
            pass
        return None if says_nothing(event) else _second_reading(event, shapes)

    return _first_trying(fast[0], reading) if fast else reading


def _first_trying(
    read: Callable[[bytes], Any], otherwise: Callable[[ServerSentEvent], Any]
) -> Callable[[ServerSentEvent], Any]:
    """Try the shape that most events have before all else: the way of each piece of text."""

    def reading(event: ServerSentEvent) -> Any:
        try:
            return read(event[1])
        except (ValueError, RecursionError):
            pass
        return otherwise(event)

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
    if _is_foreign(name) and not data.lstrip().startswith((b"{", b"[")):
        return None
    value = _repaired(data)
    if isinstance(value, list) and value:
        value = value[0]  # as some servers send errors
    if not isinstance(value, dict):
        return None
    if not text_or_empty(value.get("type")):
        value["type"] = name
    return _without_misfits(value, shapes[-1])


def _is_foreign(name: str) -> bool:
    """Return True for the name of an event that no API here has."""
    return bool(name) and not name.startswith(_NAMES)


def _repaired(data: bytes) -> Any:
    """Read JSON whose text is damaged."""
    try:
        text = data.decode(errors="replace")
        return _mended_within(json.loads(text, strict=False, parse_constant=_refuse))
    except (ValueError, RecursionError) as error:
        raise malformed(f"the server sent data that cannot be read ({error})", data) from error


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _mended_within(value: Any, key: str = "") -> Any:
    """Mend the texts in a value. A half at the edge of a fragment is left: the other may be in the next one."""
    if isinstance(value, dict):
        return {mended(name): _mended_within(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_mended_within(item) for item in value]
    if not isinstance(value, str):
        return value
    if key not in _FRAGMENTS:
        return mended(value)
    first, last = value[:1], value[-1:]
    start = first if is_second_half(first) else ""
    end = last if is_first_half(last) else ""
    return f"{start}{mended(value.removeprefix(start).removesuffix(end))}{end}"


def mended(text: str) -> str:
    """Join the halves of surrogate pairs in a text, and replace those that are alone."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def is_first_half(character: str) -> bool:
    """Return True for the first half of a surrogate pair."""
    return "\ud800" <= character <= "\udbff"


def is_second_half(character: str) -> bool:
    """Return True for the second half of a surrogate pair."""
    return "\udc00" <= character <= "\udfff"


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
    """Return a number from what a server counts; 0 if there is none, or one that cannot be."""
    value: Any = counts
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    if isinstance(value, float):
        value = int(value) if math.isfinite(value) else 0
    return max(value, 0) if isinstance(value, int) and not isinstance(value, bool) else 0


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
    if _HALF.search(text):
        text = mended(json.dumps(json.loads(text), ensure_ascii=False))
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


def _depth_within(value: dict[str, Any] | list[Any], depth: int) -> bool:
    if depth == 0:
        return False
    inner = value.values() if isinstance(value, dict) else value
    return all(_depth_within(item, depth - 1) for item in inner if type(item) in _CONTAINERS)
