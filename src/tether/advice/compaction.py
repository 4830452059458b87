"""Long conversations: where one grows too long for its model, its beginning is replaced by a summary.

    agent = Agent("anthropic:claude-sonnet-4-5", transform_context=compact())

The model itself writes the summary. The transcript keeps everything, and beside it a `CustomMessage` of the kind
`compaction` that says what the summary stands for: so a session that resumes does not ask for it again, and a fork from
before it sees the originals.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from attrs import evolve, frozen

from tether import (
    AssistantMessage,
    Audio,
    CustomMessage,
    Document,
    Image,
    Message,
    ModelError,
    ModelOptions,
    ModelRequest,
    Text,
    Thinking,
    ToolCall,
    ToolResultMessage,
    UserMessage,
    Video,
    context_window,
    to_json,
)
from tether.hooks import RequestContext
from tether.model import ModelMessage

__all__ = ("COMPACTION", "SUMMARISE", "compact")

COMPACTION: Final = "compaction"
"""The kind of the message that records a summary."""

SUMMARISE: Final = (
    "Summarise our conversation so far, for yourself: it will be all that you remember of it. Keep what I asked for "
    "and want, what was decided and why, what was done and found, names, paths, numbers and exact wording that matter, "
    "and what is still open. Write nothing but the summary."
)
"""What the model is asked for."""

_INTRODUCTION: Final = (
    "This is a summary of our conversation so far, which was left out for its length:"
)
_LONGEST: Final = 4_000
"""Characters of a tool's result that are shown to whoever writes the summary."""
_FITS_EVERYWHERE: Final = 4_000
"""Tokens that any model can be sent."""
_TOKENS_OF_AN_IMAGE: Final = 1_500
_BYTES_OF_A_TOKEN: Final = {Document: 30, Audio: 500, Video: 800}
"""As providers count the usual ones; a document by its pages, the others by their seconds."""
_CHARACTERS_OF_A_TOKEN: Final = 4

Compact: TypeAlias = Callable[[Sequence[Message], RequestContext], Awaitable[Sequence[Message]]]


def compact(
    *,
    threshold: float = 0.8,
    window: int | None = None,
    keep: int = 6,
    instructions: str = SUMMARISE,
) -> Compact:
    """Make a `transform_context` hook that keeps conversations within their model's window.

    A call is never parted from its result, and the system prompt and the last messages always stay. Where the model
    refuses a conversation for its length, it is shortened whatever was counted, once.

    Args:
        threshold: how full the window may be, from 0 to 1: by the tokens that the provider counted last, and an
            estimate for what has come since.
        window: how many tokens the model can be sent; looked up by its name if None. Where it is not known, only a
            refusal of the model shortens the conversation.
        keep: how many of the last messages stay as they are, at least.
        instructions: what the model is asked for.

    Returns:
        The hook.

    Raises:
        ValueError: the threshold is not between 0 and 1, or `keep` is less than 1.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be more than 0 and at most 1, not {threshold!r}")
    if keep < 1:
        raise ValueError(f"keep must be at least 1, not {keep!r}")

    async def compaction(messages: Sequence[Message], turn: RequestContext) -> Sequence[Message]:
        seen = _View.of(messages)
        tokens = seen.tokens()
        # Looking the window up takes a while the first time, and most conversations are short.
        limit = window or (context_window(turn.model.name) if tokens > _FITS_EVERYWHERE else None)
        full = limit is not None and tokens > threshold * limit
        if turn.reason == "turn" and not full:
            return seen.messages
        older = seen.before(keep) or (seen.before(1) if turn.reason == "overflow" else ())
        if not older:
            return seen.messages
        try:
            summary = await turn.ask(_question(older, instructions, turn))
        except ModelError:
            if turn.reason == "overflow":
                raise
            return seen.messages  # it is tried again at the next turn, which may still fit
        if not summary.text.strip():
            return seen.messages
        stands_for = seen.stands_for + len(older) - (seen.summary is not None)
        record = CustomMessage(COMPACTION, {"summary": summary.text, "stands_for": stands_for})
        await turn.record(record)
        return _View.of([*messages, record]).messages

    return compaction


def _question(older: Sequence[Message], instructions: str, turn: RequestContext) -> ModelRequest:
    told = [_brief(message) for message in older if not isinstance(message, CustomMessage)]
    # Some providers take no calls in a conversation without the tools that they were of.
    options = ModelOptions(tool_choice="none") if turn.tools else ModelOptions()
    return ModelRequest(
        messages=[*told, UserMessage(instructions)],
        system=turn.system,
        tools=turn.tools,
        options=options,
    )


@frozen
class _View:
    """A conversation as the model sees it: the last summary, and what came after what it stands for."""

    summary: str | None
    stands_for: int
    """How many messages, not counting records of summaries."""
    rest: Sequence[Message]
    new: Sequence[Message]
    """Those that came after the summary was made: only what they count is true of the conversation as it is now."""

    @classmethod
    def of(cls, messages: Sequence[Message]) -> "_View":
        told = [message for message in messages if not _is_record(message)]
        places = [place for place, message in enumerate(messages) if _is_record(message)]
        if places:
            match messages[places[-1]]:
                case CustomMessage(data={"summary": str(text), "stands_for": int(count)}):
                    return cls(text, count, told[count:], messages[places[-1] + 1 :])
        return cls(None, 0, told, told)

    @property
    def messages(self) -> Sequence[Message]:
        if self.summary is None:
            return self.rest
        return [UserMessage(f"{_INTRODUCTION}\n\n{self.summary}"), *self.rest]

    def before(self, keep: int) -> Sequence[Message]:
        """What may be replaced: all before the last messages, up to where a turn begins, if that is anything."""
        seen = self.messages
        for place in range(len(seen) - keep, 1, -1):
            if not isinstance(seen[place], ToolResultMessage):
                return seen[:place]
        return ()

    def tokens(self) -> int:
        """How long it is: as counted with the last reply, and estimated for what came since."""
        since: list[Message] = []
        for message in reversed(self.new):
            if isinstance(message, AssistantMessage) and message.usage.input_tokens:
                return message.usage.total_tokens + sum(map(_tokens, since))
            since.append(message)
        return sum(map(_tokens, self.messages))


def _is_record(message: Message) -> bool:
    return isinstance(message, CustomMessage) and message.kind == COMPACTION


def _brief(message: ModelMessage) -> ModelMessage:
    """Cut what a tool gave down to what a summary needs."""
    if not isinstance(message, ToolResultMessage) or len(message.text) <= _LONGEST:
        return message
    half = _LONGEST // 2
    cut = f"{message.text[:half]}\n[...]\n{message.text[-half:]}"
    return evolve(message, content=[cut])


def _tokens(message: Message) -> int:
    if isinstance(message, CustomMessage):
        return 0
    return sum(map(_tokens_of_block, message.content))


def _tokens_of_block(block: object) -> int:
    match block:
        case Text(text) | Thinking(text):
            return len(text) // _CHARACTERS_OF_A_TOKEN + 1
        case ToolCall():
            return len(to_json(block)) // _CHARACTERS_OF_A_TOKEN + 1
        case Image():
            return _TOKENS_OF_AN_IMAGE
        case Document(data) | Audio(data) | Video(data):
            return max(_TOKENS_OF_AN_IMAGE, len(data) // _BYTES_OF_A_TOKEN[type(block)])
        case _:
            return 1
