"""A check of one reply in the events of a run: what its updates made of it against what it ended as. No I/O."""

import json
from collections.abc import Sequence

from tether import AssistantMessage, Text, TextDelta, Thinking, ThinkingDelta, ToolCall
from tether.deltas import BlockDelta, BlockEnd, PartialReply, ToolCallDelta, ToolCallStart
from tether.messages import AssistantBlock

__all__ = ("Reply", "require")


class Reply:
    """What the updates of a reply have made of it."""

    def __init__(self) -> None:
        self.message: AssistantMessage | None = None
        self._partial = PartialReply()
        self._fragments: dict[int, list[str]] = {}
        self._begun_calls: set[int] = set()
        self._closed: set[int] = set()

    def add(self, delta: BlockDelta) -> None:
        """Take in an update; an AssertionError says why it cannot come here."""
        try:
            self._partial.add(delta)
        except ValueError as error:
            raise AssertionError(str(error)) from None
        index = delta.index
        require(index not in self._closed, f"block {index} goes on after its end")
        fragments = self._fragments.setdefault(index, [])
        match delta:
            case TextDelta(text) | ThinkingDelta(text) | ToolCallDelta(text):
                fragments.append(text)
            case ToolCallStart():
                self._begun_calls.add(index)
            case BlockEnd(block):
                begun = not isinstance(block, ToolCall) or index in self._begun_calls
                require(begun, f"block {index} ends as {block!r}, which did not begin")
                fault = _mismatch(block, "".join(fragments))
                require(fault is None, f"block {index} ends as {block!r}, but its deltas {fault}")
                self._closed.add(index)

    def end(self, message: AssistantMessage, *, edited: bool) -> None:
        """Compare the reply as it ended with what was shown of it, unless it was edited."""
        self.message = message
        if edited:
            return
        shown = self._partial.preview()
        if message.incomplete:
            kept = message.text.startswith(shown.text) and message.thinking.startswith(
                shown.thinking
            )
            require(
                kept, f"the cut-off reply keeps {message.text!r} of {shown.text!r}, which was shown"
            )
            return
        still_open = sorted(self._fragments.keys() - self._closed)
        require(not still_open, f"the reply ends while its blocks {still_open} are open")
        same = _gist(message) == _gist(shown)
        require(same, f"the reply ends as {message.content}, but its updates made {shown.content}")


def _gist(message: AssistantMessage) -> Sequence[object]:
    """What a reply says; ids may be made unique when it ends."""
    calls = [(call.name, call.arguments) for call in message.tool_calls]
    return (message.text, message.thinking, calls)


def _mismatch(block: AssistantBlock, streamed: str) -> str | None:
    """Say how a whole block differs from what its deltas brought."""
    match block:
        case Text(text) | Thinking(text, redacted=False) if text != streamed:
            return f"made {streamed!r}"
        case ToolCall(malformed=None, arguments=arguments) if streamed:
            try:
                return None if json.loads(streamed) == arguments else f"made {streamed}"
            except ValueError:
                return f"are not JSON: {streamed!r}"
        case _:
            return None


def require(condition: bool, fault: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Raise an AssertionError that says what is wrong, where a condition does not hold."""
    if not condition:
        raise AssertionError(fault)
