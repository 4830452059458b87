"""Server-sent events, as they are written (WHATWG HTML, 9.2). No I/O."""

__all__ = ("COMMENT", "frame")

COMMENT = b":\n\n"
"""What is sent to keep a connection open; readers ignore it."""


def frame(data: bytes, *, event: str = "", id: str = "") -> bytes:
    """Write one event.

    Args:
        data: one line, such as `to_json` writes.
        event: its type; readers take an event without one for a `message`.
        id: what a reader that comes back sends as `Last-Event-ID`.

    Returns:
        The bytes of the event.
    """
    head = (f"event: {event}\n" if event else "") + (f"id: {id}\n" if id else "")
    return b"%bdata: %b\n\n" % (head.encode(), data)
