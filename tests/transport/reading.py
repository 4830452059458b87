"""An answer read from bytes that were cut anywhere: by our readers, and by h11 as httpx uses it."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import h11
import httpx
from attrs import frozen

from tether.transport._bodies import body_of
from tether.transport._heads import MAX_INCOMPLETE, Head, read_head


@frozen
class Read:
    """What became of an answer."""

    head: tuple[Any, ...] | None = None
    body: bytes = b""
    end: str = ""
    """`over`, `waiting`, or what is wrong."""
    rest: bytes = b""
    may_go_on: bool = False
    """Whether the connection may carry another request."""


def cut(data: bytes, places: Iterable[int]) -> Sequence[bytes]:
    ends = [0, *sorted({place for place in places if 0 < place < len(data)}), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(ends) if a < b]


def by_h11(method: str, pieces: Sequence[bytes], *, closes: bool) -> Read:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_INCOMPLETE)
    connection.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
    connection.send(h11.EndOfMessage())
    head: tuple[Any, ...] | None = None
    body = b""
    coming = iter([*pieces, b""] if closes else pieces)
    while True:
        try:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                more = next(coming, None)
                if more is None:
                    return Read(head, body, "waiting")
                if not more and connection.their_state is h11.SEND_RESPONSE:
                    raise h11.RemoteProtocolError("Server disconnected without sending a response.")
                connection.receive_data(more)
        except h11.RemoteProtocolError as error:
            return Read(head, body, str(error))
        match event:
            case h11.Response():
                fields = [(bytes(n), bytes(v)) for n, v in event.headers.raw_items()]
                version = b"HTTP/" + bytes(event.http_version)
                head = (version, event.status_code, bytes(event.reason), fields)
            case h11.Data():
                body += event.data
            case h11.EndOfMessage():
                rest, has_ended = connection.trailing_data
                may_go_on = connection.their_state is h11.DONE and not has_ended
                return Read(head, body, "over", rest, may_go_on)


def by_ours(method: str, pieces: Sequence[bytes], *, closes: bool) -> Read:
    coming = iter([*pieces, b""] if closes else pieces)
    try:
        found = _final_head(coming)
    except httpx.RemoteProtocolError as error:
        return Read(end=str(error))
    if found is None:
        return Read(end="waiting")
    head, data = found
    seen = (head.version, head.status, head.reason, list(head.headers))
    body, has_ended = body_of(head, method), False
    whole = body.feed(data)
    while not (body.is_over or body.failure):
        more = next(coming, None)
        if more is None:
            return Read(seen, whole, "waiting")
        if more:
            whole += body.feed(more)
        else:
            has_ended = True
            body.end()
    if body.failure:
        return Read(seen, whole, body.failure)
    return Read(seen, whole, "over", body.rest, head.framing.keeps_alive and not has_ended)


def _final_head(coming: Iterator[bytes]) -> tuple[Head, bytes] | None:
    data = b""
    while True:
        found = read_head(data)
        if found is None:
            more = next(coming, None)
            if more is None:
                return None
            if not more:
                raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
            data += more
            continue
        head, end = found
        data = data[end:]
        if head.status >= 200:
            return head, data
        if head.status == 101:
            raise httpx.RemoteProtocolError(
                "Received server _SWITCH_UPGRADE event without a pending proposal"
            )
