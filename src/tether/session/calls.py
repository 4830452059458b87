"""What a branch of a log says of the calls of its last reply.

    {"kind": "message", "data": {"role": "assistant", ...}, "resumable": true, ...}
    {"kind": "asked", "data": {"call_id": "c1", "name": "delete", "arguments": {...}}, ...}
    {"kind": "begun", "data": {"call_id": "c1"}, ...}
    {"kind": "result", "data": {"message": {...}, "terminate": true}, ...}
    {"kind": "message", "data": {"role": "tool", "call_id": "c1", ...}, ...}

A reply is `resumable` when its calls are noted as they begin: of others nobody can know that a call has not begun.
Programs may have entries of these kinds too, with data of their own: what is no note is passed over.

No I/O.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from attrs import define, field

from tether.calls import CallAsked, CallBegun, CallEnded, CallNote, OpenCalls
from tether.errors import DecodeError
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
    _asked: dict[str, CallAsked] = field(factory=dict[str, CallAsked])
    _ended: dict[str, JsonObject] = field(factory=dict[str, JsonObject])

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
            case _:
                self._take_note(entry.kind, entry.data)

    def _take_note(self, kind: str, data: JsonObject) -> None:
        match kind, data:
            case "asked", {"call_id": str(id_), "name": str(name), "arguments": dict(arguments)}:
                self._asked[id_] = CallAsked(id_, name, arguments)
            case "begun", {"call_id": str(id_)}:
                self._begun.add(id_)
            case "result", {"message": {"role": role, "call_id": str(id_)}} if role == _RESULT:
                # Of several results of one call the first counts, as in the conversation.
                self._ended.setdefault(id_, data)
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
        """Give the results that are noted, and not in the conversation yet."""
        for call_id, data in self._ended.items():
            if call_id not in self._answered and (ended := _ended(data)) is not None:
                yield ended.result

    @property
    def open(self) -> OpenCalls | None:
        """The calls that a run can go on with."""
        if self._reply is None or self._goes_on or self._reply.extra.get(RESUMABLE) is not True:
            return None
        reply = self._reply.message
        assert isinstance(reply, AssistantMessage)
        calls = tuple(call for call in reply.tool_calls if call.id not in self._answered)
        ids = {call.id for call in reply.tool_calls}
        if not calls or "" in ids or len(ids) < len(reply.tool_calls):
            return None
        ended = {id_: one for id_, data in self._ended.items() if (one := _ended(data)) is not None}
        known = self._begun | ended.keys()
        asked = {id_: question for id_, question in self._asked.items() if id_ not in known}
        # A result that cannot be read is one of a call that began.
        begun = frozenset(self._begun | self._ended.keys())
        return OpenCalls(reply=reply, calls=calls, begun=begun, ended=ended, asked=asked)


def _role(entry: Entry) -> Any:
    return entry.data.get("role") if entry.kind == "message" else None


def _ended(data: JsonObject) -> CallEnded | None:
    try:
        result = from_builtins(data["message"], ToolResultMessage)
    except DecodeError:
        return None
    return CallEnded(result, data.get("terminate") is True)
