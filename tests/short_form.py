"""Events as a late viewer of a conversation gets them."""

from collections.abc import Sequence

from tether import Event
from tether.host.fragments import fragment_of

__all__ = ("short",)


def short(events: Sequence[Event]) -> Sequence[object]:
    """The same with neighbouring fragments of one block as one."""
    merged: list[list[object]] = []
    for event in events:
        fragment = fragment_of(event)
        if fragment is None:
            merged.append([event])
        elif merged and merged[-1][0] == fragment[0]:
            merged[-1][1] = f"{merged[-1][1]}{fragment[1]}"
        else:
            merged.append([*fragment])
    return merged
