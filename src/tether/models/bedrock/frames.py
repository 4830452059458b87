"""Bytes to the events of Amazon's event streams (`application/vnd.amazon.eventstream`).

Each message has its length, headers, a payload and checksums; botocore reads one of them. What it is stands in the
headers: `{"messageStop": payload}` is made of it, so that the decoder reads JSON as from any other server. An exception
becomes an `error`.

No I/O.
"""

from typing import Any, Final

import msgspec
from botocore.eventstream import EventStreamBuffer, ParserError

from tether.errors import ModelError
from tether.models._wire.body import frame_body
from tether.models._wire.protocol import Frames
from tether.models._wire.sse import MAX_EVENT_SIZE, ServerSentEvent

__all__ = ("frame_messages",)

_LENGTH: Final = 4
"""Bytes at the beginning of a message that hold its length, as an unsigned number."""
_SHORTEST: Final = 16
"""Bytes of a message without headers and payload."""

_STATUSES: Final = {
    "internalServerException": 500,
    "modelStreamErrorException": 424,
    "modelTimeoutException": 408,
    "serviceUnavailableException": 503,
    "throttlingException": 429,
    "validationException": 400,
}
"""Of the exceptions that a stream may hold, as the API reference has them."""


def frame_messages() -> Frames:
    """Cut a body into events.

    Returns:
        A generator; see `Frames`. A body that is not an event stream, such as a reply in one piece, is read by
        `frame_body`.

    Raises:
        ModelError: a message is damaged or too large; the kind is `malformed`.
    """
    chunk = yield ()
    while chunk is not None and not chunk:
        chunk = yield ()
    if chunk is None:
        yield ()
    elif chunk[0] != 0:
        # The first byte of a length is not zero from 16 MiB on; no event of the API is that large.
        yield from _other(chunk)
    else:
        yield from _messages(chunk)


def _other(chunk: bytes) -> Frames:
    frames = frame_body()
    next(frames)
    received: bytes | None = chunk
    while True:
        received = yield frames.send(received)


def _messages(chunk: bytes | None) -> Frames:
    pending = bytearray()
    while chunk is not None:
        pending += chunk
        events: list[ServerSentEvent] = []
        while (size := _size(pending)) is not None and len(pending) >= size:
            events.append(_event(bytes(pending[:size])))
            del pending[:size]
        chunk = yield events
    yield ()


def _size(pending: bytearray) -> int | None:
    if len(pending) < _LENGTH:
        return None
    size = int.from_bytes(pending[:_LENGTH], "big")
    if not _SHORTEST <= size <= MAX_EVENT_SIZE:
        raise _damaged(f"a message of {size:,} bytes")
    return size


def _event(message: bytes) -> ServerSentEvent:
    buffer: Any = EventStreamBuffer()
    buffer.add_data(message)
    try:
        read: Any = next(buffer)
    except (ParserError, ValueError, KeyError, StopIteration) as error:
        raise _damaged(f"a damaged message ({error or type(error).__name__})") from None
    headers, payload = read.headers, bytes(read.payload)
    if headers.get(":message-type") == "event":
        name = msgspec.json.encode(str(headers.get(":event-type", "")))
        return "", b"{%b:%b}" % (name, payload or b"{}")
    return "", msgspec.json.encode({"error": _error(headers, payload)})


def _error(headers: Any, payload: bytes) -> dict[str, Any]:
    """Write an exception as most servers write errors."""
    code = str(headers.get(":exception-type") or headers.get(":error-code") or "")
    words: Any = headers.get(":error-message") or payload.decode(errors="replace")
    try:
        told = msgspec.json.decode(payload)
    except (ValueError, RecursionError):
        told = None
    if isinstance(told, dict):
        words = told.get("originalMessage") or told.get("message") or told.get("Message") or words
    status = {"status_code": _STATUSES[code]} if code in _STATUSES else {}
    return {"type": code, "message": str(words) or code, **status}


def _damaged(what: str) -> ModelError:
    return ModelError(f"the server sent {what} in its event stream", kind="malformed")
