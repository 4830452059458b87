"""The events of OpenAI Responses; only the fields that are used, so that msgspec skips the rest. No I/O."""

from typing import Any, ClassVar, Final, Literal, TypeAlias, final

import msgspec

__all__ = (
    "ENDS",
    "ITEM_OF_PART",
    "PARTS",
    "Event",
    "Fragment",
    "Fragments",
    "PartKind",
    "Response",
)

PartKind: TypeAlias = Literal[
    "output_text", "refusal", "summary_text", "reasoning_text", "arguments"
]
"""The texts that items are made of."""

ITEM_OF_PART: Final[dict[str, str]] = {
    "output_text": "message",
    "refusal": "message",
    "summary_text": "reasoning",
    "reasoning_text": "reasoning",
    "arguments": "function_call",
}
"""The type of item that each of them is a part of."""

PARTS: Final[dict[str, PartKind]] = {
    "response.output_text": "output_text",
    "response.refusal": "refusal",
    "response.reasoning_summary_text": "summary_text",
    "response.reasoning_text": "reasoning_text",
    "response.reasoning": "reasoning_text",
    "response.function_call_arguments": "arguments",
}
"""Events that bring a text, and the part it is of; each comes as `.delta` and as `.done`."""

ENDS: Final = frozenset(
    {
        "response.completed",
        "response.incomplete",
        "response.failed",
        "response.cancelled",
        "response.done",
    }
)


class Fragment(msgspec.Struct, gc=False, tag_field="type", rename={"number": "content_index"}):
    """A fragment of a text, which is what most events bring.

    msgspec picks the class by its tag: that takes half as long as to read any event and look what it is.
    """

    part: ClassVar[PartKind]

    delta: str
    item_id: str | None = None
    output_index: int | None = None
    number: int | None = None
    """Of the part in its item."""


class _OutputText(Fragment, gc=False, tag="response.output_text.delta"):
    part: ClassVar[PartKind] = "output_text"


class _Refusal(Fragment, gc=False, tag="response.refusal.delta"):
    part: ClassVar[PartKind] = "refusal"


class _Summary(
    Fragment,
    gc=False,
    tag="response.reasoning_summary_text.delta",
    rename={"number": "summary_index"},
):
    part: ClassVar[PartKind] = "summary_text"


class _ReasoningText(Fragment, gc=False, tag="response.reasoning_text.delta"):
    part: ClassVar[PartKind] = "reasoning_text"


class _Reasoning(Fragment, gc=False, tag="response.reasoning.delta"):
    part: ClassVar[PartKind] = "reasoning_text"


class _Arguments(Fragment, gc=False, tag="response.function_call_arguments.delta"):
    part: ClassVar[PartKind] = "arguments"


Fragments: TypeAlias = _OutputText | _Refusal | _Summary | _ReasoningText | _Reasoning | _Arguments


class Response(msgspec.Struct, gc=False):
    """The response as far as the server reports it."""

    id: str | None = None
    model: str | None = None
    status: str | None = None
    output: list[dict[str, Any]] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None
    incomplete_details: dict[str, Any] | None = None


@final
class Event(msgspec.Struct, gc=False):
    """Any other event."""

    type: str
    item_id: str | None = None
    output_index: int | None = None
    content_index: int | None = None
    summary_index: int | None = None
    item: dict[str, Any] | None = None
    part: dict[str, Any] | None = None
    annotation: Any = None
    delta: Any = None
    text: Any = None
    refusal: Any = None
    arguments: Any = None
    response: Response | None = None
    error: Any = None
    code: Any = None
    message: Any = None
    # Of a response in one piece, as a server sends that does not stream it.
    object: Any = None
    id: str | None = None
    model: str | None = None
    status: str | None = None
    output: list[dict[str, Any]] | None = None
    usage: dict[str, Any] | None = None
    incomplete_details: dict[str, Any] | None = None

    @property
    def whole(self) -> Response | None:
        """The response, if the event is one itself."""
        if self.output is None:
            return None
        return Response(
            self.id,
            self.model,
            self.status,
            self.output,
            self.usage,
            self.error,
            self.incomplete_details,
        )

    def number_of(self, part: str) -> int | None:
        """The number of the part in its item."""
        return self.summary_index if part == "summary_text" else self.content_index
