"""The events of Anthropic's Messages API; only the fields that are used, so that msgspec skips the rest. No I/O."""

from typing import Any, TypeAlias, final

import msgspec

__all__ = ("Event", "Fragment", "StreamEvent")


class _TextDelta(msgspec.Struct, gc=False, tag_field="type", tag="text_delta"):
    text: str


class _ThinkingDelta(
    msgspec.Struct, gc=False, tag_field="type", tag="thinking_delta", rename={"text": "thinking"}
):
    text: str


class _InputDelta(
    msgspec.Struct,
    gc=False,
    tag_field="type",
    tag="input_json_delta",
    rename={"text": "partial_json"},
):
    text: str


@final
class Fragment(msgspec.Struct, gc=False, tag_field="type", tag="content_block_delta"):
    """A fragment of a block's text, thinking or input, which is what most events bring.

    msgspec picks the class by its tags: that takes half as long as to read any event and look what it is.
    """

    delta: _TextDelta | _ThinkingDelta | _InputDelta
    index: int | None = None


class Event(msgspec.Struct, gc=False):
    """Any other event."""

    type: str
    index: int | None = None
    delta: dict[str, Any] | None = None
    content_block: dict[str, Any] | None = None
    message: dict[str, Any] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None
    request_id: Any = None
    context_management: Any = None
    # Of a message in one piece, as a server sends that does not stream it.
    id: Any = None
    model: Any = None
    content: list[Any] | None = None
    stop_reason: Any = None
    stop_sequence: Any = None
    stop_details: Any = None
    container: Any = None


StreamEvent: TypeAlias = Fragment | Event
