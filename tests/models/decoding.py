"""Decoding streams in tests: what comes out, with the laws that hold for every decoder checked on the way."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from attrs import frozen

from tether import AssistantMessage, ModelError
from tether.deltas import Delta, PartialReply, ReplyEnd
from tether.models._wire.protocol import Decoder
from tether.models._wire.sse import frame_events


@frozen
class Decoding:
    """A decoder under test."""

    api: str
    decode: Callable[[str], Decoder]

    def deltas_of(self, *events: Any) -> Iterator[Delta]:
        """Decode events, given as JSON values or as bytes, then the end of the stream."""
        decoder = self.decode("asked")
        next(decoder)
        try:
            for event in events:
                data = event if isinstance(event, bytes) else json.dumps(event).encode()
                yield from decoder.send(("", data))
            decoder.send(None)
        except StopIteration as stop:
            yield from stop.value
            return
        raise AssertionError("the decoder did not end")

    def decoded(self, *events: Any) -> AssistantMessage:
        """Decode events; check on the way that the deltas fold to the message."""
        partial = PartialReply(api=self.api, model="asked")
        for delta in self.deltas_of(*events):
            if isinstance(delta, ReplyEnd):
                seen, told = partial.preview(), delta.message
                assert (seen.content, seen.model, seen.response_id, seen.usage) == (
                    told.content,
                    told.model,
                    told.response_id,
                    told.usage,
                )
            partial.add(delta)
        assert partial.complete is not None
        return partial.complete

    def failing(self, *events: Any) -> ModelError:
        """Decode events that end badly; check that what had arrived is in the error."""
        partial = PartialReply(api=self.api, model="asked")
        with pytest.raises(ModelError) as caught:
            for delta in self.deltas_of(*events):
                partial.add(delta)
        error = caught.value
        assert error.partial == partial.incomplete("error", error.failure)
        return error

    def read(self, chunks: Sequence[bytes]) -> PartialReply:
        """Read pieces of a body, as far as they go; the end of the stream then says what is missing."""
        partial, frames, decoder = PartialReply(), frame_events(), self.decode("asked")
        next(frames)
        next(decoder)
        try:
            for chunk in chunks:
                for event in frames.send(chunk):
                    for delta in decoder.send(event):
                        partial.add(delta)
            decoder.send(None)
        except StopIteration as over:
            for delta in over.value:
                partial.add(delta)
        return partial
