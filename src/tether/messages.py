"""What a conversation is made of: blocks, messages, usage, stop reasons.

Everything here is a frozen attrs class. Messages are told apart by `role`, blocks by `type`; both are
class attributes and the tags of the JSON form (see `tether.serialize`). A message made by a person
has no `id` and no `timestamp` until a run takes it in: the run stamps both. Blocks that hold no text are in `media`.

No I/O, but for a `Path` in a message, which is read when the message is made.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, TypeAlias, cast, get_args

from attrs import field, frozen

from tether.media import Audio, Document, Image, Video, media_or_text

__all__ = (
    "NO_USAGE",
    "AssistantBlock",
    "AssistantMessage",
    "Block",
    "CustomMessage",
    "Failure",
    "FailureKind",
    "JsonObject",
    "Message",
    "Outcome",
    "Prompt",
    "ProviderItem",
    "QueueMode",
    "QueueName",
    "Queued",
    "StopReason",
    "Text",
    "Thinking",
    "ToolCall",
    "ToolResultMessage",
    "Usage",
    "UserBlock",
    "UserContent",
    "UserMessage",
    "as_message",
    "as_user_blocks",
    "unique",
)

JsonObject: TypeAlias = Mapping[str, Any]
"""A JSON object: string keys; values are null, booleans, numbers, strings, lists and objects."""

StopReason: TypeAlias = Literal[
    "stop", "length", "tool_calls", "pause", "error", "aborted", "refusal"
]
"""Why a reply ended. `error` and `aborted` mark an incomplete one; after `pause` the model goes on when asked."""

Outcome: TypeAlias = Literal["ok", "error", "timeout", "denied", "skipped", "interrupted"]
"""How a tool call ended. `denied` and `skipped` never ran; `interrupted` may have run in part."""

FailureKind: TypeAlias = Literal[
    "authentication",
    "permission",
    "quota",
    "not_found",
    "rate_limit",
    "overloaded",
    "context_overflow",
    "content_filter",
    "invalid_request",
    "server",
    "timeout",
    "connection",
    "malformed",
    "internal",
]
"""What kind of thing went wrong between us and a model; `internal` is a fault on our side."""


@frozen
class Text:
    """Text that a person or a model wrote."""

    type: ClassVar[Literal["text"]] = "text"

    text: str
    details: JsonObject | None = None
    """What the provider said about it: citations, signatures. Sent back to the same provider."""


@frozen
class Thinking:
    """Reasoning that a model shows, or shows only in sealed form."""

    type: ClassVar[Literal["thinking"]] = "thinking"

    text: str
    signature: str | None = None
    """The provider's proof that the text is its own; sent back unchanged."""
    redacted: bool = False
    """True when the text is withheld and `signature` holds the sealed reasoning."""
    details: JsonObject | None = None


@frozen
class ToolCall:
    """A model's request to run a tool."""

    type: ClassVar[Literal["tool_call"]] = "tool_call"

    id: str
    name: str
    arguments: JsonObject = field(factory=dict[str, Any])
    malformed: str | None = None
    """The arguments as they came, where they were not a JSON object; `arguments` is empty then, the
    tool does not run, and the model reads why."""
    details: JsonObject | None = None


@frozen
class ProviderItem:
    """Something only its provider understands: a search it ran, a compaction. Kept and sent back."""

    type: ClassVar[Literal["provider_item"]] = "provider_item"

    api: str
    """The wire API it belongs to, such as `"anthropic"`."""
    data: JsonObject


UserBlock: TypeAlias = Text | Image | Document | Audio | Video
AssistantBlock: TypeAlias = Text | Thinking | ToolCall | ProviderItem | Image
Block: TypeAlias = Text | Thinking | ToolCall | ProviderItem | Image | Document | Audio | Video

UserContent: TypeAlias = str | Path | UserBlock | Iterable[str | Path | UserBlock]
"""What a message can be made of: a text, a file, a block, or several of them."""

_USER_BLOCKS: Final = frozenset(get_args(UserBlock))
_ASSISTANT_BLOCKS: Final = frozenset(get_args(AssistantBlock))
# A mapping is not a block, but to iterate over it would take its keys for texts.
_SINGLE: Final = (str, Path, *get_args(Block), Mapping)


@frozen(kw_only=True)
class Usage:
    """Tokens spent, counted the same way for every provider; two of them add, and subtract."""

    input_tokens: int = 0
    """All tokens of the request, those read from and written to a cache included."""
    output_tokens: int = 0
    """All tokens of the reply, reasoning included."""
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False
    """Whether some of it is an estimate, since a reply ended before its provider had counted."""

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: "Usage") -> "Usage":
        if other is NO_USAGE:
            return self  # as after most calls
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            estimated=self.estimated or other.estimated,
        )

    def __sub__(self, earlier: "Usage") -> "Usage":
        return Usage(
            input_tokens=self.input_tokens - earlier.input_tokens,
            output_tokens=self.output_tokens - earlier.output_tokens,
            cache_read_tokens=self.cache_read_tokens - earlier.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens - earlier.cache_write_tokens,
            reasoning_tokens=self.reasoning_tokens - earlier.reasoning_tokens,
            estimated=self.estimated,
        )


NO_USAGE: Final = Usage()
"""None: what is shared where nothing was spent."""


@frozen
class Failure:
    """What went wrong, as data: the part of a `ModelError` that a transcript keeps."""

    kind: FailureKind
    message: str
    status: int | None = None
    """The HTTP status, where there was one."""
    request_id: str | None = None


def as_user_blocks(content: UserContent) -> tuple[UserBlock, ...]:
    """Take content in any form a person would write it.

    Args:
        content: a string, a path or a block, or several of them. A path is that of a regular file, of at most
            32 MiB, or 1 MiB of text. It is read at once.

    Returns:
        The blocks, in order. A string is a text block. A file becomes the block that its bytes show it to be; a text
        stands in a text block under its name.

    Raises:
        TypeError: something in it is none of these.
        ValueError: a file cannot be sent; the message says why.
        OSError: a file cannot be read.
    """
    if type(content) is tuple and _USER_BLOCKS.issuperset(map(type, content)):
        return content  # as it mostly comes: it was converted before
    if isinstance(content, str):
        return (Text(content),)
    return tuple(_as_user_block(item) for item in _items(content))


def _items(content: Any) -> Iterable[object]:
    is_row = isinstance(content, Iterable) and not isinstance(content, _SINGLE)
    return content if is_row else (content,)


def _as_user_block(item: object) -> UserBlock:
    if isinstance(item, str):
        return Text(item)
    if isinstance(item, UserBlock):
        return item
    if isinstance(item, Path):
        read = media_or_text(item)
        return Text(read) if isinstance(read, str) else read
    raise TypeError(
        f"expected a string, a Path, Text, Image, Document, Audio or Video; got {type(item).__name__}"
    )


def _as_assistant_blocks(
    content: str | AssistantBlock | Iterable[str | AssistantBlock],
) -> tuple[AssistantBlock, ...]:
    if isinstance(content, (tuple, list)) and _ASSISTANT_BLOCKS.issuperset(map(type, content)):
        return tuple(cast("Sequence[AssistantBlock]", content))
    return tuple(_as_assistant_block(item) for item in _items(content))


def _as_assistant_block(item: object) -> AssistantBlock:
    if isinstance(item, str):
        return Text(item)
    if isinstance(item, AssistantBlock):
        return item
    raise TypeError(f"expected a string or a block, got {type(item).__name__}")


def _text_of(content: Iterable[Block]) -> str:
    return "".join(block.text for block in content if isinstance(block, Text))


@frozen
class UserMessage:
    """What a person says; `content` may be given as a string, a `Path` or a block, or several of them."""

    role: ClassVar[Literal["user"]] = "user"

    content: tuple[UserBlock, ...] = field(converter=as_user_blocks)
    id: str = field(default="", kw_only=True)
    timestamp: float = field(default=0.0, kw_only=True)
    """Seconds since the epoch."""

    @property
    def text(self) -> str:
        """The text blocks, joined."""
        return _text_of(self.content)


@frozen
class AssistantMessage:
    """A model's reply, complete or incomplete."""

    role: ClassVar[Literal["assistant"]] = "assistant"

    content: tuple[AssistantBlock, ...] = field(converter=_as_assistant_blocks)
    model: str = field(default="", kw_only=True)
    """The model as its provider reported it, else as it was asked for."""
    api: str = field(default="", kw_only=True)
    """The wire API it came over; what only that API understands is sent back to it alone."""
    stop_reason: StopReason | None = field(default="stop", kw_only=True)
    """None until it is known: in a reply that is still arriving."""
    usage: Usage = field(default=NO_USAGE, kw_only=True)
    error: Failure | None = field(default=None, kw_only=True)
    response_id: str | None = field(default=None, kw_only=True)
    details: JsonObject | None = field(default=None, kw_only=True)
    """What else the provider said, and the tool calls that an incomplete reply had begun to make."""
    id: str = field(default="", kw_only=True)
    timestamp: float = field(default=0.0, kw_only=True)

    @property
    def text(self) -> str:
        """The text blocks, joined."""
        return _text_of(self.content)

    @property
    def thinking(self) -> str:
        """The thinking blocks, joined."""
        return "".join(block.text for block in self.content if isinstance(block, Thinking))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls this reply makes, in order."""
        return tuple([block for block in self.content if isinstance(block, ToolCall)])

    @property
    def incomplete(self) -> bool:
        """True when the reply ended before the model did."""
        return self.stop_reason in {"error", "aborted"}

    @property
    def paused(self) -> bool:
        """True when the model goes on with this reply as soon as it is asked again, and should be before all else."""
        return self.stop_reason == "pause" and not self.tool_calls


@frozen
class ToolResultMessage:
    """The answer to one tool call."""

    role: ClassVar[Literal["tool"]] = "tool"

    call_id: str
    name: str
    content: tuple[UserBlock, ...] = field(converter=as_user_blocks)
    details: Any = None
    """For programs, not for the model; whatever JSON can hold."""
    outcome: Outcome = "ok"
    id: str = field(default="", kw_only=True)
    timestamp: float = field(default=0.0, kw_only=True)

    @property
    def is_error(self) -> bool:
        """True for every outcome but `ok`."""
        return self.outcome != "ok"

    @property
    def text(self) -> str:
        """The text blocks, joined."""
        return _text_of(self.content)


@frozen
class CustomMessage:
    """An application's own: kept in the transcript, sent to a model only through the hook `convert`."""

    role: ClassVar[Literal["custom"]] = "custom"

    kind: str
    data: Any = None
    id: str = field(default="", kw_only=True)
    timestamp: float = field(default=0.0, kw_only=True)

    @property
    def text(self) -> str:
        """No text: so that every message can be asked for its text."""
        return ""


Message: TypeAlias = UserMessage | AssistantMessage | ToolResultMessage | CustomMessage

Prompt: TypeAlias = UserContent | UserMessage | CustomMessage
"""What can be said to an agent: text, files, blocks, or a message."""

Queued: TypeAlias = UserMessage | CustomMessage
"""What can wait to enter a conversation."""

QueueName: TypeAlias = Literal["steering", "follow_up"]
"""Where it waits: `steering` for the next turn, `follow_up` for when the run would stop."""

QueueMode: TypeAlias = Literal["one_at_a_time", "all"]
"""How many of the waiting messages enter the conversation at each opportunity."""


def as_message(prompt: Prompt) -> Queued:
    """Make a message of what is to be said; a message is returned as it is.

    Raises:
        TypeError: something in it is nothing that can be said; see `as_user_blocks`.
        ValueError: a file cannot be sent.
        OSError: a file cannot be read.
    """
    return prompt if isinstance(prompt, UserMessage | CustomMessage) else UserMessage(prompt)


def unique(
    wanted: str, taken: Collection[str], numbered: Callable[[int], str] | None = None
) -> str:
    """Choose a name or an id that is not taken: `wanted`, else `wanted-2`, `wanted-3` and so on.

    Args:
        wanted: the name.
        taken: the names that are taken.
        numbered: makes a name with a number, in another form.
    """
    if wanted not in taken:
        return wanted

    def name(number: int) -> str:
        return f"{wanted}-{number}" if numbered is None else numbered(number)

    taken_one, free = 1, 2
    while name(free) in taken:
        taken_one, free = free, 2 * free
    # One that is free lies between them; many may be taken, so they are not tried one after the other.
    while free - taken_one > 1:
        middle = (taken_one + free) // 2
        if name(middle) in taken:
            taken_one = middle
        else:
            free = middle
    return name(free)
