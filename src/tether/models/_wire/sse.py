r"""Bytes to server-sent events, as WHATWG HTML defines them (9.2.6, "Interpreting an event stream").

Line ends are \n, \r\n and \r, and nothing else: other characters at which `splitlines` cuts occur inside JSON.
Comments, `id` and `retry` are skipped. An event that is not complete at the end of the stream is not dispatched,
unless its data is whole: some servers leave out the last blank line.

The events of one read are cut apart at once, because many come together. Bytes are searched with `find`: `in` first
tries to read its operand as a number, which takes ten times as long.

No I/O.
"""

from collections.abc import Generator, Sequence
from typing import Final, TypeAlias

import msgspec

from tether.errors import ModelError

__all__ = ("MAX_EVENT_SIZE", "ServerSentEvent", "frame_events")

ServerSentEvent: TypeAlias = tuple[str, bytes]
"""The event's name, "" where it has none, and its data without the last newline."""

MAX_EVENT_SIZE: Final = 32 * 1024 * 1024
"""Bytes. An image comes in one event; nothing larger is needed."""

_BOM: Final = b"\xef\xbb\xbf"


def frame_events(
    max_event_size: int = MAX_EVENT_SIZE, *, beginning: bytes | None = None
) -> Generator[Sequence[ServerSentEvent], bytes | None, None]:
    """Cut a body into events.

    Args:
        max_event_size: the most bytes of an event, its line ends included.
        beginning: what has been read of the body already.

    Returns:
        A generator, started with `next`. It is sent the body, cut anywhere, and yields the events that are complete.
        It is sent None at the end of the body, and yields the last event if only the blank line behind it is missing.

    Raises:
        ModelError: an event is larger; the kind is `malformed`.
    """
    pending = bytearray()
    at_start = True
    after_return = False
    chunk, beginning = (yield ()) if beginning is None else beginning, None
    ready: list[Sequence[ServerSentEvent]] = []
    while chunk is not None:
        if after_return or chunk.find(b"\r") >= 0:
            chunk, after_return = _with_newlines(chunk, after_return=after_return)
        if at_start:
            pending += chunk
            if _BOM.startswith(bytes(pending)):
                chunk = yield ()
                continue
            chunk = bytes(pending).removeprefix(_BOM)
            pending.clear()
            at_start = False
        events: Sequence[ServerSentEvent] = ()
        if not pending and chunk.endswith(b"\n\n") and len(chunk) <= max_event_size:
            # Whole events and nothing pending, like most reads.
            events = _events(chunk[:-2])
        else:
            # A blank line may be cut in two: its first half is then the last byte that is pending.
            seen = max(len(pending) - 1, 0)
            pending += chunk
            if pending.find(b"\n\n", seen) >= 0:
                whole, _, rest = bytes(pending).rpartition(b"\n\n")
                _check_sizes(whole, max_event_size)
                pending = bytearray(rest)
                events = _events(whole)
                whole = rest = b""
            if len(pending) > max_event_size:
                raise _too_large(max_event_size)
        # A reply may wait for long here: what it was read from, often 24 KiB, is not held meanwhile.
        ready.append(events)
        chunk, events = b"", ()
        chunk = yield ready.pop()
    yield _last_event(bytes(pending))


def _last_event(lines: bytes) -> Sequence[ServerSentEvent]:
    """Take what stands at the end without a blank line, unless it was cut off."""
    event = _event(lines)
    if event is None:
        return ()
    if event[1] != b"[DONE]":
        try:
            msgspec.json.decode(event[1])
        except (ValueError, RecursionError):
            return ()
    return (event,)


def _check_sizes(events: bytes, limit: int) -> None:
    if len(events) > limit and max(map(len, events.split(b"\n\n"))) > limit:
        raise _too_large(limit)


def _with_newlines(chunk: bytes, *, after_return: bool) -> tuple[bytes, bool]:
    r"""Make every line end a \n; also return whether the last byte is a \r, which may be half of one."""
    if not chunk:
        return chunk, after_return
    if after_return:
        chunk = chunk.removeprefix(b"\n")
    return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n"), chunk.endswith(b"\r")


def _events(blocks: bytes) -> Sequence[ServerSentEvent]:
    """Make events from blocks of lines, with blank lines between them."""
    if blocks.startswith(b"data: "):
        if blocks.find(b"\n") < 0:
            return (("", blocks[6:]),)
        # One line of data each, as most servers write them: no other newlines occur.
        data = blocks[6:].split(b"\n\ndata: ")
        if blocks.count(b"\n") == 2 * len(data) - 2:
            return [("", one) for one in data]
    elif blocks.find(b"\n\n") < 0:
        return () if (event := _event(blocks)) is None else (event,)
    return [event for block in blocks.split(b"\n\n") if (event := _event(block)) is not None]


def _event(block: bytes) -> ServerSentEvent | None:
    """Make an event from the lines before a blank one."""
    head, newline, data = block.partition(b"\ndata: ")
    if newline and head.startswith(b"event: ") and head.find(b"\n") < 0 and data.find(b"\n") < 0:
        return head[7:].decode(errors="replace"), data
    name = ""
    lines: list[bytes] = []
    for line in block.strip(b"\n").split(b"\n"):
        key, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if key == b"data":
            lines.append(value)
        elif key == b"event":
            name = value.decode(errors="replace")
    return (name, b"\n".join(lines)) if lines else None


def _too_large(limit: int) -> ModelError:
    return ModelError(f"the server sent an event of more than {limit:,} bytes", kind="malformed")
