"""What stands on a recording, as JSON and back: what a run is given, asks, is answered, and ends with.

No I/O.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import attrs
import msgspec

from tether.calls import CallAsked, CallEnded, OpenCalls
from tether.errors import UsageError
from tether.limits import Limits, Spent
from tether.loop import (
    AskModel,
    AskWhetherToStop,
    End,
    Request,
    RunTools,
    TakeMessages,
    ToolOutcome,
)
from tether.messages import (
    AssistantMessage,
    Failure,
    Message,
    Queued,
    ToolResultMessage,
    Usage,
)
from tether.serialize import from_builtins, to_builtins

__all__ = (
    "encoded",
    "free",
    "read_end",
    "read_limits",
    "read_messages",
    "read_open",
    "read_outcome",
    "read_spent",
    "written",
    "written_end",
    "written_limits",
    "written_messages",
    "written_open",
    "written_outcome",
    "written_spent",
)


def free(value: Any) -> Any:
    """Write any value; what JSON cannot hold is written as its `repr`."""
    try:
        return msgspec.json.decode(msgspec.json.encode(value, enc_hook=repr))
    except (TypeError, ValueError, RecursionError):
        return repr(value)


def encoded(value: Any, *, order: Literal["deterministic"] | None = None) -> bytes:
    """Write as JSON; half of a surrogate pair becomes U+FFFD, as in `tether.serialize`."""
    try:
        return msgspec.json.encode(value, order=order)
    except UnicodeEncodeError:
        return msgspec.json.encode(_legal(value), order=order)


def _legal(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        case dict():
            return {_legal(key): _legal(one) for key, one in value.items()}
        case list() | tuple():
            return [_legal(one) for one in value]
        case _:
            return value


def written(value: Any) -> dict[str, Any]:
    """Write a message, an event or a delta; details in it that JSON cannot hold become their text for people."""
    made: dict[str, Any]
    try:
        made = to_builtins(value)
    except UsageError:
        made = to_builtins(_with_free_details(value))
    return made


def _with_free_details(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_with_free_details, value))
    if not attrs.has(type(value)):
        return value
    changes: dict[str, Any] = {}
    for field in attrs.fields(type(value)):
        one = getattr(value, field.name)
        if field.name != "details":
            changes[field.alias] = _with_free_details(one)
        elif one is not None:
            made = free(one)
            # Where details are an object, they stay one.
            changes["details"] = made if field.type is Any or type(made) is dict else {"text": made}
    return attrs.evolve(value, **changes)


def written_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Write messages."""
    return [written(message) for message in messages]


def read_messages(value: Any) -> tuple[Message, ...]:
    """Read what `written_messages` wrote."""
    return tuple(from_builtins(value, Sequence[Message]))


def written_spent(spent: Spent) -> list[Any]:
    """Write what is spent, as it is now."""
    return [spent.turns, spent.tool_calls, to_builtins(spent.usage), spent.cost]


def read_spent(value: Any, spent: Spent) -> None:
    """Put what `written_spent` wrote in the place of what is there."""
    spent.turns, spent.tool_calls, usage, spent.cost = value
    spent.usage = from_builtins(usage, Usage)


def written_limits(limits: Limits) -> dict[str, Any]:
    """Write limits."""
    return {name: value for name, value in attrs.asdict(limits).items() if value is not None}


def read_limits(value: Mapping[str, Any]) -> Limits:
    """Read what `written_limits` wrote."""
    return Limits(**value)


def written_end(end: End | None) -> list[Any] | None:
    """Write how a run ends, if that is known."""
    if end is None:
        return None
    return [end.stop_reason, end.limit, None if end.error is None else to_builtins(end.error)]


def read_end(value: Any) -> End | None:
    """Read what `written_end` wrote."""
    if value is None:
        return None
    reason, limit, error = value
    return End(reason, limit, None if error is None else from_builtins(error, Failure))


def written_outcome(step: Request, outcome: Any) -> Any:
    """Write what became of a request of the loop."""
    match step:
        case AskModel():
            return written(outcome)
        case RunTools():
            return [_written_result(one) for one in outcome]
        case TakeMessages():
            return written_messages(outcome)
        case AskWhetherToStop():
            return bool(outcome)


def _written_result(one: ToolOutcome) -> list[Any]:
    return [written(one.result), one.terminate, to_builtins(one.usage), one.cost]


def read_outcome(step: Request, value: Any) -> Any:
    """Read what `written_outcome` wrote."""
    match step:
        case AskModel():
            return from_builtins(value, AssistantMessage)
        case RunTools():
            return [_read_result(*one) for one in value]
        case TakeMessages():
            return from_builtins(value, Sequence[Queued])
        case AskWhetherToStop():
            return bool(value)


def _read_result(result: Any, terminate: bool, usage: Any, cost: float) -> ToolOutcome:  # noqa: FBT001 - a field
    return ToolOutcome(
        from_builtins(result, ToolResultMessage), terminate, from_builtins(usage, Usage), cost
    )


def written_open(left: OpenCalls | None) -> dict[str, Any] | None:
    """Write the calls that a run takes up, if there are any."""
    if left is None:
        return None
    return {
        "reply": written(left.reply),
        "calls": [call.id for call in left.calls],
        "begun": sorted(left.begun),
        "ended": {id_: [written(one.result), one.terminate] for id_, one in left.ended.items()},
        "asked": {id_: [one.name, one.arguments] for id_, one in left.asked.items()},
    }


def read_open(value: Any) -> OpenCalls | None:
    """Read what `written_open` wrote."""
    if value is None:
        return None
    reply = from_builtins(value["reply"], AssistantMessage)
    return OpenCalls(
        reply=reply,
        calls=tuple(call for call in reply.tool_calls if call.id in value["calls"]),
        begun=frozenset(value["begun"]),
        ended={
            id_: CallEnded(from_builtins(result, ToolResultMessage), terminate)
            for id_, (result, terminate) in value["ended"].items()
        },
        asked={id_: CallAsked(id_, *one) for id_, one in value["asked"].items()},
    )
