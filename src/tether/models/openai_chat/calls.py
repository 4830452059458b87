"""Tool calls of chat completions, put together from their fragments.

OpenAI numbers the calls of a reply, gives the id and the name in the first fragment of each, and cuts the arguments
anywhere. Compatible servers differ: the number is missing, or the same for all; the id is missing, comes late, is
repeated in every fragment, or two calls share one; a whole call comes at once, or is sent once more at the end. What
belongs together is decided here; what the arguments are, in `finished_call`.

No I/O.
"""

from collections.abc import Sequence

import msgspec
from attrs import define, field

from tether.deltas import Delta
from tether.models._wire.ids import unique_id
from tether.models._wire.leniency import finished_call
from tether.models._wire.reply_builder import OpenBlock, ReplyBuilder

__all__ = ("CallAssembly",)


@define
class _Call:
    open: OpenBlock
    number: int | None
    given_id: str = ""
    name: str = ""

    @property
    def is_announced(self) -> bool:
        return self.open.start is not None

    def may_have(self, number: int | None) -> bool:
        return number is None or self.number is None or self.number == number


@define
class CallAssembly:
    """The calls of one reply."""

    _built: ReplyBuilder
    _calls: list[_Call] = field(factory=list[_Call])
    _taken: set[str] = field(factory=set[str])
    """The ids that are announced."""

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
        return last.open.add(arguments) if last.number == number and last.is_announced else None

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
            call = _Call(self._built.open("call"), number)
            self._calls.append(call)
        call.given_id = call.given_id or id_
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
            last = self._calls[-1]
            if last.number == number:
                return last
        near = [call for call in self._calls if call.may_have(number)]
        if id_:
            known = [call for call in near if call.given_id == id_]
            # A new id may still be that of a call which had none.
            near = known or [call for call in near[-1:] if not call.given_id]
        if not near:
            return None
        last = near[-1]
        return None if _begins_another(last, name, arguments, numbered=number is not None) else last

    def _announce(self, call: _Call) -> None:
        id_ = unique_id(call.given_id or f"call_{self._calls.index(call) + 1}", self._taken)
        self._built.announce(call.open, id_, call.name)


def _begins_another(call: _Call, name: str, arguments: str, *, numbered: bool) -> bool:
    """Distinguish the next call from more of this one, where neither number nor id does."""
    if not name or not call.name:
        return False
    if name != call.name:
        return True
    so_far = call.open.text
    if not arguments.strip() or not _is_whole(so_far):
        return False
    # The same once more: a server that numbers its calls has repeated itself.
    return not (numbered and arguments == so_far)


def _is_whole(arguments: str) -> bool:
    """Return True for a JSON object; not for an empty one, which some servers send before the real one."""
    if not arguments.rstrip().endswith("}"):
        return False
    try:
        return bool(msgspec.json.decode(arguments))
    except (ValueError, RecursionError):
        return False
