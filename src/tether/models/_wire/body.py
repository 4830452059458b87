"""What a body is: an event stream, or an answer in one piece, whatever its content type says. No I/O.

Servers send event streams as `application/json`, and one JSON object where a stream was asked for. So the first byte
decides: none of the lines of an event stream begins with a bracket.
"""

from collections.abc import Callable, Generator, Sequence
from typing import Final

import msgspec

from tether.deltas import Delta
from tether.errors import ModelError
from tether.models._wire.holdings import refuse_dense
from tether.models._wire.protocol import Decoder
from tether.models._wire.sse import MAX_EVENT_SIZE, ServerSentEvent, frame_events

__all__ = ("IN_ONE_PIECE", "decode_unasked", "frame_body")

IN_ONE_PIECE: Final = "in_one_piece"
"""The name of the event that a body of JSON or HTML is taken for."""

_BRACKETS: Final = (b"{", b"[", b"<")
_BLANK: Final = b" \t\r\n\xef\xbb\xbf"
_LONGEST_BLANK: Final = 1024


def frame_body(
    max_size: int = MAX_EVENT_SIZE,
) -> Generator[Sequence[ServerSentEvent], bytes | None, None]:
    """Cut a body into events.

    Args:
        max_size: the most bytes of an event, or of an answer in one piece.

    Returns:
        A generator like that of `frame_events`. An answer in one piece is an event of the name `IN_ONE_PIECE`, which
        comes at the end of the body; of a list of answers, each is one.

    Raises:
        ModelError: an event is larger; the kind is `malformed`.
    """
    beginning = b""
    while not beginning.strip(_BLANK) and len(beginning) < _LONGEST_BLANK:
        received = yield ()
        if received is None:
            yield ()
            return
        beginning += received
    if beginning.lstrip(_BLANK).startswith(_BRACKETS):
        events = _in_one_piece(beginning, max_size)
    else:
        events = frame_events(max_size, beginning=beginning)
    beginning = received = b""  # often 24 KiB, which would be held as long as the reply lasts
    yield from events


def _in_one_piece(
    beginning: bytes, max_size: int
) -> Generator[Sequence[ServerSentEvent], bytes | None, None]:
    body = bytearray(beginning)
    while (chunk := (yield ())) is not None:
        body += chunk
        if len(body) > max_size:
            raise ModelError(
                f"the server sent an answer of more than {max_size:,} bytes", kind="malformed"
            )
    whole = bytes(body).strip(_BLANK)
    refuse_dense(whole)
    try:
        answers = [bytes(one) for one in msgspec.json.decode(whole, type=list[msgspec.Raw])]
    except (ValueError, RecursionError):
        answers = [whole]
    yield [(IN_ONE_PIECE, answer) for answer in answers or [whole]]


def decode_unasked(decoder: Decoder, describe: Callable[[bytes], ModelError]) -> Decoder:
    """Read an answer of another content type than that of an event stream.

    Args:
        decoder: reads the reply, if it is one.
        describe: makes an error of an answer in one piece that is not a reply.

    Returns:
        A decoder; see `Decoder`.
    """
    deltas = next(decoder)
    answer: bytes | None = b""
    try:
        while True:
            try:
                event = yield deltas
            except ModelError as lost:
                answer = None
                decoder.throw(lost)
            else:
                if event is not None:
                    answer = event[1] if event[0] == IN_ONE_PIECE else None
                deltas = decoder.send(event)
    except StopIteration as end:
        last: Sequence[Delta] = end.value
        return last
    except ModelError as error:
        if answer is None:
            raise
        failure = describe(answer)
        failure.partial = error.partial
    raise failure
