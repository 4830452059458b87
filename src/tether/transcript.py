"""The list of messages that is valid at every instant.

Valid means: each tool call has exactly one result, the results stand right behind the reply that made
the calls, in the order of the calls, and no result lacks its call.

It is kept so by construction. The moment a reply enters, a result enters for each of its calls: `skipped`
at first, `interrupted` once the tool has begun, and what the tool returned when it is done. A run that is
cut off, wherever that may be, leaves nothing to repair: what stands there is true.

No I/O.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import overload

from attrs import evolve

from tether.messages import (
    AssistantMessage,
    CustomMessage,
    Message,
    Outcome,
    ToolCall,
    ToolResultMessage,
    UserMessage,
)

__all__ = ("Transcript", "repaired", "unanswered")

_NOT_RUN = "This call was not run: the run ended before it could begin."
_CUT_OFF = "This call was interrupted: it may have run in part, and its result is not known."


class Transcript(Sequence[Message]):
    """A conversation that only grows, and is valid whenever someone looks.

    Args:
        messages: what has been said already. It is taken as it is; `repaired` makes it valid for a
            model without changing it here.
    """

    __slots__ = ("_messages", "_slots")

    def __init__(self, messages: Iterable[Message] = ()) -> None:
        self._messages = list(messages)
        self._slots: dict[str, int] = {}

    @property
    def messages(self) -> tuple[Message, ...]:
        """All messages as they stand now."""
        return tuple(self._messages)

    def append(self, message: UserMessage | AssistantMessage | CustomMessage) -> None:
        """Add what was said; a reply brings a slot for the result of each call it makes.

        Raises:
            ValueError: two calls of the reply have the same id.
        """
        if isinstance(message, AssistantMessage):
            results = unanswered(message)
            slots = {
                result.call_id: len(self._messages) + 1 + place
                for place, result in enumerate(results)
            }
            if len(slots) != len(results):
                raise ValueError("two tool calls of one reply have the same id")
            self._slots = slots
            self._messages += [message, *results]
        else:
            self._messages.append(message)

    def begin(self, call_id: str) -> None:
        """Note that a call is running: from now on, cutting it off leaves it `interrupted`."""
        slot = self._slots[call_id]
        placeholder = self._messages[slot]
        assert isinstance(placeholder, ToolResultMessage)  # noqa: S101 - what `append` put there
        self._messages[slot] = evolve(placeholder, content=_CUT_OFF, outcome="interrupted")

    def settle(self, result: ToolResultMessage) -> None:
        """Put a call's result in its place. The last result given for a call counts.

        Raises:
            KeyError: the last reply made no such call.
        """
        self._messages[self._slots[result.call_id]] = result

    def result(self, call_id: str) -> ToolResultMessage:
        """Return what is known of a call of the last reply.

        Raises:
            KeyError: the last reply made no such call.
        """
        result = self._messages[self._slots[call_id]]
        assert isinstance(result, ToolResultMessage)  # noqa: S101 - a slot holds nothing else
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
    reply: AssistantMessage, outcome: Outcome = "skipped", reason: str = _NOT_RUN
) -> tuple[ToolResultMessage, ...]:
    """Make the results of calls that have none.

    Their ids and times derive from the reply's, so that the same reply always gives the same results.

    Args:
        reply: the reply that makes the calls.
        outcome: what became of them.
        reason: what the model is told.

    Returns:
        One result for each call, in order.
    """
    return tuple(
        ToolResultMessage(
            call.id,
            call.name,
            reason,
            outcome=outcome,
            id=f"{reply.id}.{place}",
            timestamp=reply.timestamp,
        )
        for place, call in enumerate(reply.tool_calls, 1)
    )


def repaired(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Make any list of messages valid for a model, without touching the list.

    Calls without a result are answered as interrupted, results without a call are left out, results are
    put in the order of the calls behind the reply that made them, of several results for one call
    the first counts, and a message that came between waits until after them. Cut-off replies
    that hold nothing are left out.

    Args:
        messages: a conversation that someone else may have written.

    Returns:
        The valid conversation; a valid one comes back as it was, less its empty cut-off replies.
    """
    out: list[Message] = []
    waiting: dict[str, ToolCall] = {}
    answers: dict[str, ToolResultMessage] = {}
    reply: AssistantMessage | None = None
    between: list[Message] = []

    def close() -> None:
        if reply is not None:
            lost = unanswered(reply, "interrupted", _CUT_OFF)
            out.extend(answers.get(result.call_id, result) for result in lost)
        out.extend(between)
        waiting.clear()
        answers.clear()
        between.clear()

    for message in messages:
        match message:
            case AssistantMessage(content=()) if message.cut_off:
                continue
            case AssistantMessage():
                close()
                reply = message
                waiting.update({call.id: call for call in message.tool_calls})
                out.append(message)
            case ToolResultMessage(call_id=call_id):
                if call_id in waiting:
                    del waiting[call_id]
                    answers[call_id] = message
            case _ if waiting:
                between.append(message)
            case _:
                close()
                reply = None
                out.append(message)
    close()
    return tuple(out)
