"""Hypothesis strategies for all that tether's data can be."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, get_args

from attrs import evolve, field, frozen
from hypothesis import strategies as st

from tether.deltas import (
    BlockDelta,
    BlockEnd,
    Delta,
    ReplyEnd,
    ReplyInfo,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
)
from tether.events import (
    AgentEnd,
    AgentStart,
    ApprovalAnswered,
    ApprovalRequested,
    ApprovalVerdict,
    Event,
    MessageEnd,
    MessageStart,
    MessageUpdate,
    ModelRetry,
    RunStopReason,
    ToolExecutionEnd,
    ToolExecutionStart,
    ToolExecutionUpdate,
    TurnEnd,
    TurnStart,
)
from tether.limits import LimitName
from tether.media import Audio, Document, Image, Video
from tether.messages import (
    AssistantBlock,
    AssistantMessage,
    Block,
    CustomMessage,
    Failure,
    FailureKind,
    Message,
    Outcome,
    ProviderItem,
    StopReason,
    Text,
    Thinking,
    ToolCall,
    ToolResultMessage,
    Usage,
    UserBlock,
    UserMessage,
)

T = TypeVar("T")

# Plain values

texts = st.text(max_size=12)
"""Any text that can be written as UTF-8."""

names = st.text(st.characters(codec="ascii", categories=["Ll", "Nd"]), min_size=1, max_size=4)
counts = st.integers(0, 2**70)
indexes = st.integers(0, 5)
seconds = st.floats(allow_nan=False, allow_infinity=False)

json_leaves = st.none() | st.booleans() | st.integers() | seconds | texts
json_values: st.SearchStrategy[Any] = st.recursive(
    json_leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
json_objects: st.SearchStrategy[dict[str, Any]] = st.dictionaries(texts, json_values, max_size=3)
details = st.none() | json_objects


def words(literal: Any) -> st.SearchStrategy[Any]:
    """One of the words of a `Literal`."""
    return st.sampled_from(get_args(literal))


def tuples_of(items: st.SearchStrategy[T], max_size: int = 3) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(items, max_size=max_size).map(tuple)


# Blocks

text_blocks = st.builds(Text, texts, details)
thinking_blocks = st.builds(Thinking, texts, st.none() | texts, st.booleans(), details)
_contents = st.binary(max_size=20).map(b"a file of no known type: ".__add__)
_places: st.SearchStrategy[dict[str, Any]] = (
    names.map(lambda name: {"url": f"https://host/{name}"})
    | names.map(lambda name: {"file_id": name})
    | _contents.map(lambda data: {"data": data})
)


def media_of(made: Callable[..., T], *types: str) -> st.SearchStrategy[T]:
    """Blocks of a class, given in each way."""
    named = st.fixed_dictionaries({"media_type": st.sampled_from(types)})
    return st.builds(lambda place, type_: made(**place, **type_), _places, named)


images = media_of(Image, "image/png", "image/webp")
documents = media_of(Document, "application/pdf", "text/csv")
sounds = media_of(Audio, "audio/mpeg", "audio/wav")
videos = media_of(Video, "video/mp4", "video/webm")
media = images | documents | sounds | videos
tool_calls = st.builds(ToolCall, names, names, json_objects, st.none() | texts, details)
provider_items = st.builds(ProviderItem, names, json_objects)

user_blocks: st.SearchStrategy[UserBlock] = text_blocks | media
assistant_blocks: st.SearchStrategy[AssistantBlock] = (
    text_blocks | thinking_blocks | tool_calls | provider_items | images
)
blocks: st.SearchStrategy[Block] = assistant_blocks | media

# Messages

usages = st.builds(
    Usage,
    input_tokens=counts,
    output_tokens=counts,
    cache_read_tokens=counts,
    cache_write_tokens=counts,
    reasoning_tokens=counts,
    estimated=st.booleans(),
)
failures = st.builds(
    Failure, words(FailureKind), texts, st.none() | st.integers(100, 599), st.none() | texts
)

user_messages = st.builds(UserMessage, tuples_of(user_blocks), id=texts, timestamp=seconds)
assistant_messages = st.builds(
    AssistantMessage,
    tuples_of(assistant_blocks),
    model=texts,
    api=texts,
    stop_reason=words(StopReason),
    usage=usages,
    error=st.none() | failures,
    response_id=st.none() | texts,
    details=details,
    id=texts,
    timestamp=seconds,
)
tool_results = st.builds(
    ToolResultMessage,
    names,
    names,
    tuples_of(user_blocks),
    json_values,
    words(Outcome),
    id=texts,
    timestamp=seconds,
)
custom_messages = st.builds(CustomMessage, names, json_values, id=texts, timestamp=seconds)

messages: st.SearchStrategy[Message] = (
    user_messages | assistant_messages | tool_results | custom_messages
)

# Deltas, each for itself

block_deltas: st.SearchStrategy[BlockDelta] = (
    st.builds(TextDelta, texts, indexes)
    | st.builds(ThinkingDelta, texts, indexes)
    | st.builds(ToolCallStart, names, names, indexes)
    | st.builds(ToolCallDelta, texts, indexes)
    | st.builds(BlockEnd, assistant_blocks, indexes)
)
reply_infos = st.builds(
    ReplyInfo,
    model=st.none() | texts,
    api=st.none() | texts,
    response_id=st.none() | texts,
    usage=st.none() | usages,
)
deltas: st.SearchStrategy[Delta] = (
    block_deltas | reply_infos | st.builds(ReplyEnd, assistant_messages)
)

# Events, each for itself

events: st.SearchStrategy[Event] = st.deferred(
    lambda: (
        st.just(AgentStart())
        | st.builds(TurnStart, counts)
        | st.builds(MessageStart, messages)
        | st.builds(MessageUpdate, block_deltas)
        | st.builds(MessageEnd, messages)
        | st.builds(ModelRetry, counts, seconds, failures)
        | st.builds(ToolExecutionStart, names, names, json_objects)
        | st.builds(ApprovalRequested, names, names, json_objects)
        | st.builds(ApprovalAnswered, names, names, words(ApprovalVerdict), texts)
        | tool_updates
        | st.builds(ToolExecutionEnd, names, names, tool_results, seconds)
        | st.builds(TurnEnd, counts, assistant_messages, tuples_of(tool_results, max_size=2))
        | st.builds(
            AgentEnd,
            words(RunStopReason),
            limit=st.none() | words(LimitName),
            error=st.none() | failures,
            usage=usages,
        )
    )
)
tool_updates: st.SearchStrategy[ToolExecutionUpdate] = st.builds(
    ToolExecutionUpdate,
    names,
    names,
    tuples_of(user_blocks, max_size=2),
    json_values,
    st.none() | events,
    tuples_of(names),
)

# Conversations


@st.composite
def replies(draw: st.DrawFn) -> AssistantMessage:
    """A reply whose calls have different ids, and which holds something."""
    reply = draw(assistant_messages.filter(lambda reply: bool(reply.content)))
    numbered = (
        evolve(block, id=f"{place}{block.id}") if isinstance(block, ToolCall) else block
        for place, block in enumerate(reply.content)
    )
    return evolve(reply, content=tuple(numbered))


@st.composite
def exchanges(draw: st.DrawFn) -> tuple[Message, ...]:
    """A reply and the results of its calls."""
    reply = draw(replies())
    results = [
        evolve(draw(tool_results), call_id=call.id, name=call.name) for call in reply.tool_calls
    ]
    return (reply, *results)


valid_transcripts: st.SearchStrategy[tuple[Message, ...]] = st.lists(
    exchanges() | st.tuples(user_messages) | st.tuples(custom_messages), max_size=5
).map(lambda parts: tuple(message for part in parts for message in part))
"""Conversations in which each call has its one result, in its place."""

few_ids = st.sampled_from(["a", "b", "c"])
any_conversations: st.SearchStrategy[Sequence[Message]] = st.lists(
    user_messages
    | custom_messages
    | assistant_messages
    | st.builds(evolve, tool_results, call_id=few_ids)
    | st.builds(
        AssistantMessage,
        tuples_of(text_blocks | st.builds(evolve, tool_calls, id=few_ids), max_size=4),
        stop_reason=words(StopReason),
    ),
    max_size=8,
)
"""Any messages in any order, ids that match and clash among them."""

# Replies as they arrive


@frozen
class ArrivingReply:
    """A reply, and deltas that a model might send for it."""

    message: AssistantMessage
    deltas: Sequence[Delta]
    by_block: Mapping[int, Sequence[BlockDelta]] = field(repr=False)
    """The deltas of each block, before they were interleaved."""


def json_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


@st.composite
def pieces(draw: st.DrawFn, whole: str) -> Sequence[str]:
    """A text cut into pieces, some of them empty."""
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=4)))
    return [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


@st.composite
def _arriving_block(draw: st.DrawFn, block: AssistantBlock, index: int) -> Sequence[BlockDelta]:
    match block:
        case Text(text):
            begun: list[BlockDelta] = [TextDelta(p, index) for p in draw(pieces(text))]
        case Thinking(text):
            begun = [ThinkingDelta(p, index) for p in draw(pieces(text))]
        case ToolCall(id_, name, arguments):
            fragments = draw(pieces(json_text(arguments)))
            begun = [
                ToolCallStart(id_, name, index),
                *(ToolCallDelta(piece, index) for piece in fragments),
            ]
        case _:
            begun = []
    return [*begun, BlockEnd(block, index)]


@st.composite
def interleavings(draw: st.DrawFn, queues: Sequence[Sequence[T]]) -> Sequence[T]:
    """All items of several queues, those of each in their order."""
    turns = [number for number, queue in enumerate(queues) for _ in queue]
    sources: Sequence[Iterator[T]] = [iter(queue) for queue in queues]
    return [next(sources[number]) for number in draw(st.permutations(turns))]


@st.composite
def arriving_replies(draw: st.DrawFn) -> ArrivingReply:
    """A reply that arrives in any way the grammar of deltas allows."""
    message = evolve(draw(replies()), stop_reason="stop", error=None)
    by_block = {
        index: draw(_arriving_block(block, index)) for index, block in enumerate(message.content)
    }
    infos = draw(st.lists(reply_infos, max_size=2))
    order = draw(interleavings([*by_block.values(), infos]))
    return ArrivingReply(message, [*order, ReplyEnd(message)], by_block)
