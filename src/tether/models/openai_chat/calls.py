"""Tool calls of chat completions, put together of their fragments.

OpenAI numbers the calls of a reply, gives the id and the name in the first fragment of each, and cuts the arguments
anywhere. Those who speak its API do not all do so: the number is missing, or the same for all; the id is missing,
comes late, is repeated in every fragment, or two calls share one; a whole call comes at once, or is sent once more
at the end. What belongs together is decided here; what the arguments then are, in `finished_call`.

No I/O.
"""

from collections.abc import Callable, Iterator

import msgspec
from attrs import define, field

from tether.deltas import BlockEnd, Delta, ToolCallDelta, ToolCallStart
from tether.models._wire.leniency import finished_call

__all__ = ("CallAssembly",)


@define
class _Call:
    place: int
    number: int | None
    given_id: str = ""
    name: str = ""
    fragments: list[str] = field(factory=list[str])
    id: str = ""
    """As it was announced; "" until then."""

    @property
    def arguments(self) -> str:
        return "".join(self.fragments)

    def may_have(self, number: int | None) -> bool:
        return number is None or self.number is None or self.number == number


class CallAssembly:
    """The calls of one reply.

    Args:
        new_place: gives the next free place among the blocks of the reply.
    """

    __slots__ = ("_calls", "_new_place", "_taken")

    def __init__(self, new_place: Callable[[], int]) -> None:
        self._new_place = new_place
        self._calls: list[_Call] = []
        self._taken: set[str] = set()

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, number: int | None, id_: str, name: str, arguments: str) -> Iterator[Delta]:
        """Take in a fragment.

        Args:
            number: the server's number for the call, if it gave one.
            id_: the call's id, or "".
            name: the tool's name, or "".
            arguments: more of the arguments, or "".

        Returns:
            What follows from it; to be iterated to the end.
        """
        if not (id_ or name or arguments):
            return
        call = self._find(number, id_, name, arguments)
        if call is None:
            call = _Call(self._new_place(), number)
            self._calls.append(call)
        call.given_id = call.given_id or id_
        call.name = call.name or name
        if arguments:
            call.fragments.append(arguments)
        if call.id:
            if arguments:
                yield ToolCallDelta(arguments, call.place)
        elif call.name and (call.given_id or call.fragments):
            # Not before: an id may come after the name, and cannot be changed once it was told.
            yield from self._announced(call)

    def close(self) -> Iterator[Delta]:
        """Finish the calls, in the order in which they began.

        Returns:
            What was still to be told of each, its end last.
        """
        for call in self._calls:
            if not call.id:
                yield from self._announced(call)
            yield BlockEnd(finished_call(call.id, call.name, call.arguments), call.place)

    def unfinished(self) -> Iterator[Delta]:
        """Say once more what has been told of calls that are not finished."""
        for call in self._calls:
            if call.id:
                yield ToolCallStart(call.id, call.name, call.place)
                yield ToolCallDelta(call.arguments, call.place)

    def _find(self, number: int | None, id_: str, name: str, arguments: str) -> _Call | None:
        """Find the call a fragment continues, if it does not begin another."""
        if (
            number is not None
            and not (id_ or name)
            and self._calls
            and self._calls[-1].number == number
        ):
            return self._calls[-1]  # more of the arguments, as most fragments bring
        near = [call for call in self._calls if call.may_have(number)]
        if id_:
            known = [call for call in near if call.given_id == id_]
            # Where the id is new, it may still be that of a call which had none.
            near = known or [call for call in near[-1:] if not call.given_id]
        if not near:
            return None
        last = near[-1]
        return None if _begins_another(last, name, arguments, numbered=number is not None) else last

    def _announced(self, call: _Call) -> Iterator[Delta]:
        call.id = self._unique(call.given_id or f"call_{self._calls.index(call) + 1}")
        yield ToolCallStart(call.id, call.name, call.place)
        if call.fragments:
            yield ToolCallDelta(call.arguments, call.place)

    def _unique(self, wanted: str) -> str:
        name, count = wanted, 1
        while name in self._taken:
            count += 1
            name = f"{wanted}-{count}"
        self._taken.add(name)
        return name


def _begins_another(call: _Call, name: str, arguments: str, *, numbered: bool) -> bool:
    """Tell the next call from more of this one, where neither number nor id does."""
    if not name or not call.name:
        return False
    if name != call.name:
        return True
    so_far = call.arguments
    if not arguments.strip() or not _is_whole(so_far):
        return False
    # The same once more: a server that numbers its calls has repeated itself.
    return not (numbered and arguments == so_far)


def _is_whole(arguments: str) -> bool:
    """True for a JSON object; not for an empty one, which some servers send before the real one."""
    if not arguments.rstrip().endswith("}"):
        return False
    try:
        return bool(msgspec.json.decode(arguments))
    except (ValueError, RecursionError):
        return False
