"""Tool calls of chat completions, put together from their fragments.

OpenAI numbers the calls of a reply, gives the id and the name in the first fragment of each, and cuts the arguments
anywhere. Compatible servers differ: the number is missing, or the same for all; the id is missing, comes late, is
repeated in every fragment, or two calls share one; a whole call comes at once, or is sent once more at the end. What
belongs together is decided here; what the arguments are, in `finished_call`.

No I/O.
"""

import re
from collections.abc import Sequence
from typing import Final

import msgspec
from attrs import define, field

from tether.deltas import Delta
from tether.models._wire.ids import unique_id
from tether.models._wire.leniency import finished_call
from tether.models._wire.reply_builder import OpenBlock, ReplyBuilder

__all__ = ("CallAssembly",)


_ANY: Final = "any"
_MARKS: Final = re.compile(r'\\.|["{}\[\]\\]', re.DOTALL)
"""What decides where a JSON object ends; an escaped character counts as one."""


@define(eq=False, repr=False)
class _Outline:
    """The brackets of JSON that comes in fragments, each of which is looked at once."""

    _read: int = 0
    """Fragments."""
    _depth: int = 0
    _in_text: bool = False
    _is_escaped: bool = False
    _ended: int = 0
    """How often all brackets were closed."""
    _last: str = ""
    """The last character that is not blank."""

    def closes_once(self, fragments: Sequence[str]) -> bool:
        """Say whether the fragments may be one JSON object, and nothing behind it."""
        for fragment in fragments[self._read :]:
            self._look_at(fragment)
        self._read = len(fragments)
        return self._ended == 1 and self._depth == 0 and self._last == "}"

    def _look_at(self, fragment: str) -> None:
        # A backslash that is the last character escapes the first one of the next fragment.
        marks = _MARKS.findall(fragment, 1 if self._is_escaped else 0)
        for mark in marks:
            if mark == '"':
                self._in_text = not self._in_text
            elif mark in "{}[]" and not self._in_text:
                self._depth += 1 if mark in "{[" else -1
                self._ended += self._depth == 0
        self._is_escaped = marks[-1:] == ["\\"]
        self._last = fragment.rstrip()[-1:] or self._last


@define(eq=False, repr=False)
class _Call:
    open: OpenBlock
    place: int
    """Among the calls of the reply."""
    number: int | None
    given_id: str = ""
    name: str = ""
    outline: _Outline = field(factory=_Outline)

    @property
    def is_announced(self) -> bool:
        return self.open.start is not None


@define(eq=False, repr=False)
class CallAssembly:
    """The calls of one reply."""

    _built: ReplyBuilder
    _calls: list[_Call] = field(factory=list[_Call])
    _taken: set[str] = field(factory=set[str])
    """The ids that are announced."""
    _latest: dict[tuple[str, int | str | None], int] = field(
        factory=dict[tuple[str, "int | str | None"], int]
    )
    """The place of the last call with an id, or "" for any, and a number, or `_ANY`."""

    def more(self, number: int | None, arguments: str) -> Sequence[Delta] | None:
        """Take in more of the arguments of the last call, which is what most fragments bring.

        Args:
            number: the server's number for the call.
            arguments: the fragment, not empty.

        Returns:
            Its deltas; None if it is of another call, or the call is not announced.
        """
        if number is None or not self._calls:
            return None
        last = self._calls[-1]
        whole = last.is_announced and not last.open.half
        return last.open.add(arguments) if whole and last.number == number else None

    def add(self, number: int | None, id_: str, name: str, arguments: str) -> None:
        """Take in a fragment.

        Args:
            number: the server's number for the call, if it gave one.
            id_: the call's id, or "".
            name: the tool's name, or "".
            arguments: more of the arguments, or "".
        """
        if not (id_ or name or arguments):
            return
        call = self._find(number, id_, name, arguments)
        if call is None:
            call = _Call(self._built.open("call"), len(self._calls), number)
            self._calls.append(call)
            self._note(call, "")
        if id_ and not call.given_id:
            call.given_id = id_
            self._note(call, id_)
        call.name = call.name or name
        self._built.add(call.open, arguments)
        # Not before: an id may come after the name, and cannot be changed once it was shown.
        if not call.is_announced and call.name and (call.given_id or call.open.fragments):
            self._announce(call)

    def close(self) -> None:
        """Finish the calls, in the order in which they began."""
        for call in self._calls:
            if not call.is_announced:
                self._announce(call)
            assert call.open.start is not None
            whole = finished_call(call.open.start.id, call.name, call.open.text)
            self._built.end(call.open, whole)

    def _find(self, number: int | None, id_: str, name: str, arguments: str) -> _Call | None:
        """Find the call a fragment continues, if it does not begin another."""
        if number is not None and not (id_ or name) and self._calls:
            newest = self._calls[-1]
            if newest.number == number:
                return newest  # like most fragments
        last = self._last("", number)
        if last is None or (last is self._calls[-1] and not (id_ or name)):
            return last
        if id_:
            # A new id may still be that of a call which had none.
            last = self._last(id_, number) or (None if last.given_id else last)
        if last is None or _begins_another(last, name, arguments, numbered=number is not None):
            return None
        return last

    def _note(self, call: _Call, id_: str) -> None:
        for number in (call.number, _ANY):
            place = self._latest.get((id_, number), -1)
            self._latest[id_, number] = max(place, call.place)

    def _last(self, id_: str, number: int | None) -> _Call | None:
        """The last call of an id, or of any, that may have a number: it has that one, or none."""
        place = self._latest.get((id_, _ANY if number is None else number), -1)
        if number is not None:
            place = max(place, self._latest.get((id_, None), -1))
        return self._calls[place] if place >= 0 else None

    def _announce(self, call: _Call) -> None:
        id_ = unique_id(call.given_id or f"call_{call.place + 1}", self._taken)
        self._built.announce(call.open, id_, call.name)


def _begins_another(call: _Call, name: str, arguments: str, *, numbered: bool) -> bool:
    """Distinguish the next call from more of this one, where neither number nor id does."""
    if not name or not call.name:
        return False
    if name != call.name:
        return True
    if not arguments.strip() or not call.outline.closes_once(call.open.fragments):
        return False
    so_far = call.open.text
    # The same once more: a server that numbers its calls has repeated itself.
    return _is_whole(so_far) and not (numbered and arguments == so_far)


def _is_whole(arguments: str) -> bool:
    """Return True for a JSON object; not for an empty one, which some servers send before the real one."""
    try:
        return bool(msgspec.json.decode(arguments))
    except (ValueError, RecursionError):
        return False
