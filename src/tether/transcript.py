"""The list of messages that is valid at every instant.

Valid means: each tool call has exactly one result, the results stand right behind the reply that made
the calls, in the order of the calls, and no result lacks its call.

It is kept so by construction. The moment a reply enters, a result enters for each of its calls: `skipped`
at first, `interrupted` once the tool has begun, and what the tool returned when it is done. A run that is
cut off, wherever that may be, leaves nothing to repair: what stands there is true.

No I/O.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, ForwardRef, overload

from attrs import evolve

from tether.messages import (
    AssistantBlock,
    AssistantMessage,
    CustomMessage,
    Message,
    Outcome,
    Text,
    ToolCall,
    ToolResultMessage,
    UserMessage,
    unique,
)

if TYPE_CHECKING:
    from tether.calls import OpenCalls
else:  # `typing.get_type_hints` imports it
    OpenCalls = ForwardRef("import_module('tether.calls').OpenCalls", module="importlib")

__all__ = ("Repaired", "Transcript", "repaired", "unanswered", "with_unique_calls")

_NOT_RUN: Final = (Text("This call was not run: the run ended before it could begin."),)
_CUT_OFF: Final = (
    Text("This call was interrupted: it may have run in part, and its result is not known."),
)


class Repaired(tuple[Message, ...]):
    """Messages that are known to be valid for a model, so that nobody repairs them again."""

    __slots__ = ()


class Transcript(Sequence[Message]):
    """A conversation that only grows, and is valid whenever someone looks.

    Args:
        messages: what has been said already. It is taken as it is; `repaired` makes it valid for a
            model without changing it here.
        left_open: the calls of the last reply that a run is to take up with `reopen`, if there are any. The messages
            then end with the results of that reply, real ones or not.
    """

    __slots__ = (
        "_last_reply",
        "_left_open",
        "_messages",
        "_open",
        "_repaired",
        "_repaired_until",
        "_slots",
    )

    def __init__(
        self, messages: Iterable[Message] = (), left_open: OpenCalls | None = None
    ) -> None:
        self._messages = list(messages)
        self._left_open = left_open
        # Where the results of the last reply's calls stand, and which calls still have none.
        self._slots: dict[str, int] = {}
        self._open: set[str] = set()
        self._last_reply = 0
        # What `for_model` made of all before that reply, which cannot change any more.
        self._repaired: list[Message] = []
        self._repaired_until = 0

    @property
    def messages(self) -> tuple[Message, ...]:
        """All messages as they stand now."""
        return tuple(self._messages)

    @property
    def settled(self) -> int:
        """How many messages stand before what the next run adds or completes."""
        if self._left_open is None:
            return len(self._messages)
        calls = self._left_open.reply.tool_calls
        return len(self._messages) - len(calls) + calls.index(self._left_open.calls[0])

    def append(self, message: UserMessage | AssistantMessage | CustomMessage) -> None:
        """Add what was said; a reply brings a slot for the result of each call it makes.

        Raises:
            ValueError: two calls of the reply have the same id.
        """
        if isinstance(message, AssistantMessage):
            results = unanswered(message)
            self._take_slots(results, len(self._messages))
            self._messages += [message, *results]
        else:
            self._messages.append(message)

    @property
    def left_open(self) -> OpenCalls | None:
        """The calls that a run is to take up with `reopen`, if there are any."""
        return self._left_open

    def reopen(self) -> OpenCalls | None:
        """Take up the calls that an earlier run has left open, as if this were that run.

        Those that never began are `skipped` from now on, and those that began `interrupted`, until they are resolved.

        Returns:
            The calls, once; None if none are open.
        """
        left, self._left_open = self._left_open, None
        if left is None:
            return None
        results = unanswered(left.reply)
        self._take_slots(results, len(self._messages) - len(results) - 1)
        self._open &= {call.id for call in left.calls}
        for result in results:
            if result.call_id in self._open:
                self._messages[self._slots[result.call_id]] = result
        for call_id in self._open & left.begun:
            self.begin(call_id)
        for call_id in self._open & left.ended.keys():
            self.resolve(left.ended[call_id].result)
        return left

    def is_open(self, call_id: str) -> bool:
        """Say whether a call of the last reply has no result yet."""
        return call_id in self._open

    def _take_slots(self, results: Sequence[ToolResultMessage], reply: int) -> None:
        """Note where the results of a reply stand, given its own place."""
        slots = {result.call_id: reply + place for place, result in enumerate(results, 1)}
        if len(slots) != len(results):
            raise ValueError("two tool calls of one reply have the same id")
        self._slots = slots
        self._open = set(slots)
        self._last_reply = reply

    def for_model(self) -> Repaired:
        """Return the same as `repaired(self)`, at the cost of what is new since the last time."""
        done, last = self._repaired_until, self._last_reply
        if done < last:
            self._repaired += repaired(self._messages[done:last])
            self._repaired_until = last
        return Repaired([*self._repaired, *repaired(self._messages[last:])])

    def begin(self, call_id: str) -> None:
        """Note that a call is running: from now on, cutting it off leaves it `interrupted`.

        A call that has its result keeps it.

        Raises:
            KeyError: the last reply made no such call.
        """
        placeholder = self.result(call_id)
        if call_id in self._open:
            self._messages[self._slots[call_id]] = ToolResultMessage(
                call_id,
                placeholder.name,
                _CUT_OFF,
                outcome="interrupted",
                id=placeholder.id,
                timestamp=placeholder.timestamp,
            )

    def resolve(self, result: ToolResultMessage) -> None:
        """Put a call's result in its place. The last result given for a call counts.

        Raises:
            KeyError: the last reply made no such call.
        """
        self._messages[self._slots[result.call_id]] = result
        self._open.discard(result.call_id)

    def result(self, call_id: str) -> ToolResultMessage:
        """Return what is known of a call of the last reply.

        Raises:
            KeyError: the last reply made no such call.
        """
        result = self._messages[self._slots[call_id]]
        assert isinstance(result, ToolResultMessage)
        return result

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Message]: ...
    def __getitem__(self, index: int | slice) -> Message | Sequence[Message]:
        return self._messages[index]

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[Message]:
        return iter(self.messages)

    def __repr__(self) -> str:
        return f"<Transcript of {len(self)} messages>"


def unanswered(
    reply: AssistantMessage, outcome: Outcome = "skipped", reason: str | tuple[Text, ...] = _NOT_RUN
) -> tuple[ToolResultMessage, ...]:
    """Make the results of calls that have none.

    Their ids and times derive from the reply's, so that the same reply always gives the same results.

    Args:
        reply: the reply that makes the calls.
        outcome: what became of them.
        reason: what the model reads.

    Returns:
        One result for each call, in order.
    """
    return tuple(
        _unanswered(reply, place, call, outcome, reason)
        for place, call in enumerate(reply.tool_calls, 1)
    )


def _unanswered(
    reply: AssistantMessage,
    place: int,
    call: ToolCall,
    outcome: Outcome,
    reason: str | tuple[Text, ...],
) -> ToolResultMessage:
    return ToolResultMessage(
        call.id,
        call.name,
        reason,
        outcome=outcome,
        id=f"{reply.id}.{place}",
        timestamp=reply.timestamp,
    )


def repaired(messages: Iterable[Message]) -> Repaired:
    """Make any list of messages valid for a model, without touching the list.

    Calls without a result are answered as interrupted, results without a call are left out, results are
    put in the order of the calls behind the reply that made them, of several results for one call
    the first counts, and a message that came between waits until after them. Calls of one reply that
    share an id get one each, and their results in the order in which they came. Cut-off replies
    that hold nothing are left out.

    Args:
        messages: a conversation that someone else may have written.

    Returns:
        The valid conversation; a valid one comes back as it was, less its empty cut-off replies.
    """
    if isinstance(messages, Repaired):
        return messages
    kept = (message for message in messages if not _holds_nothing(message))
    return Repaired(message for part in _by_reply(kept) for message in _answered(part))


def _holds_nothing(message: Message) -> bool:
    return isinstance(message, AssistantMessage) and message.incomplete and not message.content


def _by_reply(messages: Iterable[Message]) -> Iterator[Sequence[Message]]:
    """Divide a conversation before each reply."""
    part: list[Message] = []
    for message in messages:
        if isinstance(message, AssistantMessage):
            yield part
            part = []
        part.append(message)
    yield part


def _answered(part: Sequence[Message]) -> Iterator[Message]:
    """Put the results right behind the reply that begins the part, and what else was said behind them."""
    results = [message for message in part if isinstance(message, ToolResultMessage)]
    for message in part:
        if isinstance(message, AssistantMessage):
            reply = with_unique_calls(message)
            yield reply
            yield from _results(message, reply, results)
        elif not isinstance(message, ToolResultMessage):
            yield message


def _results(
    reply: AssistantMessage, renamed: AssistantMessage, given: list[ToolResultMessage]
) -> Iterator[ToolResultMessage]:
    """Pair the calls of a reply, renamed to have ids of their own, with the results given for them."""
    for place, (call, named) in enumerate(
        zip(reply.tool_calls, renamed.tool_calls, strict=True), 1
    ):
        found = next((n for n, result in enumerate(given) if result.call_id == call.id), None)
        if found is None:
            yield _unanswered(renamed, place, named, "interrupted", _CUT_OFF)
        else:
            yield _answering(given.pop(found), named)


def _answering(result: ToolResultMessage, call: ToolCall) -> ToolResultMessage:
    """The result as that of a call; itself, where it is that already."""
    if (result.call_id, result.name) == (call.id, call.name):
        return result
    return evolve(result, call_id=call.id, name=call.name)


def with_unique_calls(reply: AssistantMessage) -> AssistantMessage:
    """Give each call of a reply an id of its own, also those that came without one.

    Returns:
        The reply; itself, where nothing is to be changed.
    """
    calls = reply.tool_calls
    taken = {call.id for call in calls}
    if len(taken) == len(calls) and "" not in taken:
        return reply
    seen: set[str] = set()
    blocks: list[AssistantBlock] = []
    for index, block in enumerate(reply.content):
        if isinstance(block, ToolCall):
            wanted = block.id or f"{reply.id}-{index}"
            if wanted in seen or not block.id:
                block = evolve(block, id=unique(wanted, taken))
                taken.add(block.id)
            seen.add(block.id)
        blocks.append(block)
    return evolve(reply, content=blocks)
