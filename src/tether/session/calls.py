"""What a branch of a log says of the calls of its last reply.

    {"kind": "message", "data": {"role": "assistant", ...}, "resumable": true, ...}
    {"kind": "asked", "data": {"call_id": "c1", "name": "delete", "arguments": {...}}, ...}
    {"kind": "begun", "data": {"call_id": "c1"}, ...}
    {"kind": "result", "data": {"message": {...}, "terminate": true}, ...}
    {"kind": "message", "data": {"role": "tool", "call_id": "c1", ...}, ...}

A reply is `resumable` when its calls are noted as they begin: of others nobody can know that a call has not begun.

No I/O.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from attrs import define, field

from tether.calls import CallAsked, CallBegun, CallEnded, CallNote, OpenCalls
from tether.messages import AssistantMessage, JsonObject, ToolResultMessage
from tether.serialize import from_builtins, to_builtins
from tether.session.entries import Entry

__all__ = ("RESUMABLE", "NotedCalls", "noted")

RESUMABLE: Final = "resumable"
_REPLY: Final = AssistantMessage.role
_RESULT: Final = ToolResultMessage.role


def noted(note: CallNote) -> tuple[str, JsonObject]:
    """Return the kind of an entry, and its data, that say what is noted."""
    match note:
        case CallAsked(call_id, name, arguments):
            return "asked", {"call_id": call_id, "name": name, "arguments": arguments}
        case CallBegun(call_id):
            return "begun", {"call_id": call_id}
        case CallEnded(result, terminate):
            ends = {"terminate": True} if terminate else {}
            return "result", {"message": to_builtins(result), **ends}


@define
class NotedCalls:
    """A fold over the entries of a branch."""

    _reply: Entry | None = None
    _goes_on: bool = False
    """Whether something else was said behind the results."""
    _answered: set[str] = field(factory=set[str])
    _begun: set[str] = field(factory=set[str])
    _asked: dict[str, Entry] = field(factory=dict[str, Entry])
    _ended: dict[str, Entry] = field(factory=dict[str, Entry])

    @classmethod
    def of(cls, towards_root: Iterable[Entry]) -> "NotedCalls":
        """Fold the entries of a branch, given from its end."""
        entries: list[Entry] = []
        for entry in towards_root:
            entries.append(entry)
            if _role(entry) == _REPLY:
                break
        calls = cls()
        for entry in reversed(entries):
            calls.take(entry)
        return calls

    def take(self, entry: Entry) -> None:
        """Take in the next entry."""
        match entry.kind, _role(entry):
            case "message", role if role == _REPLY:
                self._begin(entry)
            case "message", role if role == _RESULT:
                self._answered.add(str(entry.data.get("call_id")))
            case "message", _:
                self._goes_on = True
            case "asked", _:
                self._asked[str(entry.data.get("call_id"))] = entry
            case "begun", _:
                self._begun.add(str(entry.data.get("call_id")))
            case "result", _:
                # Of several results of one call the first counts, as in the conversation.
                self._ended.setdefault(_call_of(entry), entry)
            case _:
                pass

    def _begin(self, reply: Entry) -> None:
        self._reply, self._goes_on = reply, False
        self._answered.clear()
        self._begun.clear()
        self._asked.clear()
        self._ended.clear()

    def has_ended(self, call_id: str) -> bool:
        """Say whether the result of a call of the last reply is noted."""
        return call_id in self._ended

    def results(self) -> Iterator[ToolResultMessage]:
        """Give the results that are noted, and not in the conversation yet.

        Raises:
            DecodeError: what is noted is no result.
        """
        for call_id, entry in self._ended.items():
            if call_id not in self._answered:
                yield _ended(entry).result

    @property
    def open(self) -> OpenCalls | None:
        """The calls that a run can go on with.

        Raises:
            DecodeError: what is noted is no result.
        """
        if self._reply is None or self._goes_on or self._reply.extra.get(RESUMABLE) is not True:
            return None
        reply = self._reply.message
        assert isinstance(reply, AssistantMessage)
        calls = tuple(call for call in reply.tool_calls if call.id not in self._answered)
        ids = {call.id for call in reply.tool_calls}
        if not calls or len(ids) < len(reply.tool_calls):
            return None
        ended = {id_: _ended(entry) for id_, entry in self._ended.items()}
        asked = {
            id_: CallAsked(id_, str(entry.data.get("name")), entry.data.get("arguments") or {})
            for id_, entry in self._asked.items()
            if id_ not in self._begun and id_ not in ended
        }
        begun = frozenset(self._begun)
        return OpenCalls(reply=reply, calls=calls, begun=begun, ended=ended, asked=asked)


def _role(entry: Entry) -> Any:
    return entry.data.get("role") if entry.kind == "message" else None


def _call_of(entry: Entry) -> str:
    message: Any = entry.data.get("message")
    return str(message.get("call_id")) if isinstance(message, dict) else ""


def _ended(entry: Entry) -> CallEnded:
    result = from_builtins(entry.data.get("message"), ToolResultMessage)
    return CallEnded(result, entry.data.get("terminate") is True)
