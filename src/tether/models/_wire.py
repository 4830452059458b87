"""What a wire API is: how a request is written, and how a reply is read. No I/O."""

import json
import math
import re
import zlib
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from itertools import chain, count
from typing import Any, Final, Protocol, TypeAlias, TypeVar

import msgspec
from attrs import frozen

from tether.deltas import Delta
from tether.errors import ModelError
from tether.messages import AssistantMessage, ToolCall
from tether.model import ModelRequest
from tether.models._sse import ServerSentEvent

__all__ = (
    "AFRESH",
    "LONGEST_ID",
    "MAX_DEPTH",
    "Decoder",
    "Encode",
    "WireApi",
    "Write",
    "Written",
    "at",
    "count_in",
    "cut_short",
    "finished_call",
    "json_text",
    "last_settled",
    "lenient",
    "malformed",
    "tried",
    "unique_call_ids",
    "valid_call_id",
    "word",
)

Decoder: TypeAlias = Generator[Sequence[Delta], ServerSentEvent | None, Sequence[Delta]]
"""Started with `next`; is sent server-sent events one at a time, and None when the stream ends; yields the
deltas that follow from each, and returns the last ones: a `ReplyEnd` with the finished message, and what comes
before it. It returns as soon as the reply is whole, since a server may keep the stream open. Raises `ModelError`, with
what had arrived as its `partial`; one that is thrown in, since the connection was lost, it raises like its own."""

MAX_DEPTH = 64
"""How deep the arguments of a call may be nested."""

LONGEST_ID: Final = 64
"""Characters. Some servers give out longer ids, and take none back."""

_T = TypeVar("_T")


class Write:
    """Writes messages as JSON values, whatever was written before. It keeps nothing."""

    __slots__ = ()

    def __call__(
        self, message: object, about: object, make: Callable[[], Iterable[Any]], /
    ) -> Sequence[Any]:
        """Write a message.

        Args:
            message: the message.
            about: what else the writing depends on.
            make: makes the items of JSON that stand for it.

        Returns:
            The items, each as JSON values or as JSON text.
        """
        return list(make())

    def settle(self, items: Sequence[Any]) -> Sequence[Any]:
        """Write items of JSON that will not change any more."""
        return items

    def begun(self, messages: tuple[Any, ...]) -> tuple[int, list[Any], Any]:
        """Say how many of the first messages were written before, as what, and what was noted of them."""
        return 0, [], None

    def remember(self, messages: tuple[Any, ...], items: Sequence[Any], note: Any) -> None:
        """Keep what the first messages of a conversation were written as."""


class Written(Write):
    """Writes each message once, however often it is sent: as JSON text, which is kept.

    Messages are told apart by identity; they are kept too, so that it is theirs alone.
    """

    __slots__ = ("_begun", "_known")

    def __init__(self) -> None:
        self._known: dict[int, tuple[object, object, Sequence[Any]]] = {}
        self._begun: tuple[tuple[Any, ...], Sequence[Any], Any] = ((), (), None)

    def __call__(
        self, message: object, about: object, make: Callable[[], Iterable[Any]], /
    ) -> Sequence[Any]:
        """Write a message; see `Write`."""
        known = self._known.get(id(message))
        if known is not None and known[0] is message and known[1] == about:
            return known[2]
        made = self.settle(list(make()))
        self._known[id(message)] = (message, about, made)
        return made

    def settle(self, items: Sequence[Any]) -> Sequence[Any]:
        """Write items of JSON as text."""
        return [msgspec.Raw(json_text(item)) for item in items]

    def begun(self, messages: tuple[Any, ...]) -> tuple[int, list[Any], Any]:
        """Say how many of the first messages were written before; see `Write`."""
        before, items, note = self._begun
        # Tuples of the same objects are compared in no time.
        if messages[: len(before)] != before:
            return 0, [], None
        return len(before), list(items), note

    def remember(self, messages: tuple[Any, ...], items: Sequence[Any], note: Any) -> None:
        """Keep what the first messages of a conversation were written as."""
        self._begun = (messages, items, note)


AFRESH: Final = Write()
"""Keeps nothing, so that there need be but one."""


class Encode(Protocol):
    """Writes a request."""

    def __call__(self, request: ModelRequest, model: str, write: Write = ..., /) -> dict[str, Any]:
        """Make the body of a request; see `WireApi`."""
        ...


def last_settled(messages: Sequence[Any], start: int, *, before: int) -> int:
    """Find a place behind which nothing changes how what stands before it is written.

    That is before a reply that makes calls and follows no other reply: neither can be left out, or merged.

    Args:
        messages: a valid conversation.
        start: where to begin to look.
        before: how many such replies are to follow.

    Returns:
        The place; `start` where there is none.
    """
    found = [
        place
        for place in range(max(start, 1), len(messages))
        if isinstance(messages[place], AssistantMessage)
        and messages[place].tool_calls
        and not isinstance(messages[place - 1], AssistantMessage)
    ]
    return found[-before] if len(found) >= before else start


def json_text(value: Any) -> bytes:
    """Write JSON, also where a text holds half a surrogate pair, which no JSON text can hold."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(value, ensure_ascii=False).encode(errors="replace")


@frozen
class WireApi:
    """One way of speaking to models over HTTP."""

    name: str
    encode: "Encode"
    """A request and the model's name, to the JSON body; with what was written of its messages before."""
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
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and _depth_within(value, MAX_DEPTH):
            return ToolCall(id_, name, value, None, details)
    return ToolCall(id_, name, {}, arguments, details)


def valid_call_id(call_id: str, *, longest: int = LONGEST_ID) -> str:
    """Make the id of a call one that any server takes: letters, digits, _ and -.

    Args:
        call_id: the id, perhaps another vendor's.
        longest: how many characters it may have.

    Returns:
        The id itself where it will do. Else always the same one for the same id, and another for another, so that
        a call and its result stay together.
    """
    clean = re.sub(r"[^a-zA-Z0-9_-]", "_", call_id)
    if clean == call_id and 0 < len(call_id) <= longest:
        return call_id
    return f"{clean[: longest - 9]}_{zlib.crc32(call_id.encode(errors='replace')):08x}"


def unique_call_ids(message: AssistantMessage, taken: set[str], *, own: bool) -> dict[str, str]:
    """Choose the ids of a reply's calls, each for one call of the conversation: some servers begin anew each time.

    Args:
        message: the reply.
        taken: the ids chosen so far; the new ones are added.
        own: whether the reply came over the API that the ids are for, which then takes them as they are.

    Returns:
        The ids as they were, and as they are to be sent.
    """
    chosen: dict[str, str] = {}
    for call in message.tool_calls:
        fits = own and 0 < len(call.id) <= LONGEST_ID
        wanted = call.id if fits else valid_call_id(call.id)
        names = (valid_call_id(f"{wanted}-{number}") for number in count(2))
        name = next(name for name in chain([wanted], names) if name not in taken)
        taken.add(name)
        chosen[call.id] = name
    return chosen


def at(base_url: str, path: str) -> str:
    """Put a path behind a base URL, and before what it asks for, if it does (`?api-version=...`)."""
    base, question, query = base_url.partition("?")
    return f"{base.rstrip('/')}{path}{question}{query}"


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
