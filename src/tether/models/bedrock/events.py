"""The events of Bedrock's Converse API; only the fields that are used, so that msgspec skips the rest. No I/O."""

from typing import Any

import msgspec

__all__ = ("BlockPart", "Event", "Metadata", "Stop")


class BlockPart(msgspec.Struct, gc=False, rename="camel"):
    """The beginning of a block, a piece of it, or its end."""

    content_block_index: int | None = None
    start: dict[str, Any] | None = None
    delta: dict[str, Any] | None = None


class Stop(msgspec.Struct, gc=False, rename="camel"):
    """Why the reply ended."""

    stop_reason: str | None = None
    additional_model_response_fields: Any = None


class Metadata(msgspec.Struct, gc=False):
    """What comes last."""

    usage: dict[str, Any] | None = None
    trace: Any = None


class Event(msgspec.Struct, gc=False, rename="camel"):
    """An event, of which one field is set; or a reply in one piece, which has the last ones."""

    message_start: Any = None
    content_block_start: BlockPart | None = None
    content_block_delta: BlockPart | None = None
    content_block_stop: BlockPart | None = None
    message_stop: Stop | None = None
    metadata: Metadata | None = None
    error: Any = None
    output: dict[str, Any] | None = None
    stop_reason: str | None = None
    additional_model_response_fields: Any = None
    usage: dict[str, Any] | None = None
    trace: Any = None
