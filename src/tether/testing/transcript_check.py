"""Checks of a conversation: what holds of every valid one, and what a strict provider asks of a request.

No I/O.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from tether import (
    AssistantMessage,
    Message,
    ModelRequest,
    ToolCall,
    ToolResultMessage,
    UserMessage,
)

__all__ = ("check_request", "check_transcript", "describe")


def check_transcript(messages: Iterable[Message]) -> None:
    """Check that each tool call has its one result, in its place.

    Valid means: each call is answered once, the answers stand right behind the reply that makes the calls,
    in the order of the calls, and there is no answer without its call.

    Args:
        messages: a conversation, such as `agent.messages`.

    Raises:
        AssertionError: it is not valid; the text shows where.
    """
    shown = tuple(messages)
    for place, message in enumerate(shown):
        if not _is_message(message):
            raise AssertionError(f"message {place}: {message!r} is not a message")
    owed: deque[ToolCall] = deque()
    for place, message in enumerate(shown):
        fault = _fault(message, owed)
        if fault is not None:
            raise AssertionError(f"message {place}: {fault}{_around(shown, place)}")
        if isinstance(message, ToolResultMessage):
            owed.popleft()
        elif isinstance(message, AssistantMessage):
            owed.extend(message.tool_calls)
    if owed:
        raise AssertionError(f"the end: {_missing(owed)}{_around(shown, len(shown))}")


def check_request(request: ModelRequest) -> None:
    """Check that a strict provider would take a request.

    Its history is valid, has something that can be answered at its end, and nothing in it is empty but a
    reply; tools have different names, and the tool that must be called is one of them.

    Args:
        request: the request.

    Raises:
        AssertionError: the provider would refuse it; the text says why.
    """
    messages = request.messages
    for place, fault in _request_faults(messages):
        raise AssertionError(f"bad request: message {place}: {fault}{_around(messages, place)}")
    try:
        check_transcript(messages)
    except AssertionError as error:
        raise AssertionError(f"bad request: {error}") from None
    last = messages[-1] if messages else None
    if last is None or (isinstance(last, AssistantMessage) and not last.paused):
        it_is = "missing" if last is None else describe(last)
        raise AssertionError(
            f"bad request: the last message must be a user's or a result; it is {it_is}"
        )
    _check_tools(request)


def describe(message: Message) -> str:
    """Say in a few words what a message is, for people who look for one in a list."""
    match message:
        case AssistantMessage(tool_calls=calls, stop_reason=stop_reason):
            made = "".join(f" [{call.name} {call.id!r}]" for call in calls)
            cut = f" ({stop_reason})" if message.incomplete else ""
            return f"assistant{cut}: {_short(message.text)}{made}"
        case ToolResultMessage(call_id=call_id, name=name, outcome=outcome):
            return f"result of [{name} {call_id!r}] ({outcome}): {_short(message.text)}"
        case UserMessage():
            return f"user: {_short(message.text)}"
        case _:
            return f"custom: {message.kind}"


def _fault(message: Message, owed: Sequence[ToolCall]) -> str | None:
    match message:
        case ToolResultMessage(call_id=call_id, name=name):
            if not owed:
                return f"a result for {call_id!r}, which no call before it waits for"
            if call_id != owed[0].id:
                return f"a result for {call_id!r}, where that of {owed[0].id!r} is due"
            if name != owed[0].name:
                return f"the result of {call_id!r} names {name!r}, its call {owed[0].name!r}"
        case _ if owed:
            return _missing(owed)
        case AssistantMessage(tool_calls=calls):
            ids = [call.id for call in calls]
            twice = next((id_ for id_ in ids if ids.count(id_) > 1), None)
            if twice is not None:
                return f"two calls have the id {twice!r}"
        case _:
            pass
    return None


def _is_message(value: object) -> bool:
    return isinstance(value, Message)


def _missing(owed: Iterable[ToolCall]) -> str:
    return f"no result yet for {', '.join(repr(call.id) for call in owed)}"


def _request_faults(messages: Sequence[Message]) -> Iterator[tuple[int, str]]:
    for place, message in enumerate(messages):
        if not isinstance(message, UserMessage | AssistantMessage | ToolResultMessage):
            yield place, f"a model cannot be sent a {type(message).__name__}"
        elif not message.content and (isinstance(message, UserMessage) or _is_remains(message)):
            yield place, "it is empty"
        elif isinstance(message, AssistantMessage) and not all(
            call.id for call in message.tool_calls
        ):
            yield place, "a tool call has no id"


def _is_remains(message: Message) -> bool:
    return isinstance(message, AssistantMessage) and message.incomplete


def _check_tools(request: ModelRequest) -> None:
    names = [tool.name for tool in request.tools]
    if len(set(names)) < len(names):
        raise AssertionError(f"bad request: two tools have the same name: {', '.join(names)}")
    choice = request.options.tool_choice
    if isinstance(choice, tuple) and choice[1] not in names:
        raise AssertionError(
            f"bad request: it must call {choice[1]!r}, which is not offered: {names}"
        )


def _around(messages: Sequence[Message], place: int, before: int = 4, after: int = 2) -> str:
    """Show the messages round a place, that one marked."""
    lines = [
        f"\n  {'>' if number == place else ' '} {number}: {describe(message)}"
        for number, message in enumerate(messages)
        if place - before <= number <= place + after
    ]
    return "".join(lines) + (f"\n  > {place}: the end" if place == len(messages) else "")


def _short(text: str, width: int = 60) -> str:
    return repr(text if len(text) <= width else f"{text[: width - 3]}...")
