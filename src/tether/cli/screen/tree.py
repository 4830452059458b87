"""The branches of a conversation, drawn as a tree."""

from collections.abc import Iterator, Mapping

from attrs import frozen

from tether import Message, Session
from tether.cli.screen.fitting import cut
from tether.session import Entry

__all__ = ()


@frozen
class Line:
    """A message in the tree.

    Attributes:
        entry: where it stands.
        message: what it is.
        branch: the lines of the branches to the left of it.
        is_here: whether it is on the branch that the conversation is on.
    """

    entry: Entry
    message: Message
    branch: str
    is_here: bool

    def text(self, columns: int) -> str:
        """Write it, in so many columns."""
        mark = "*" if self.is_here else " "
        return cut(f"{mark} {self.entry.id[:8]}  {self.branch}{said(self.message)}", columns)


def said(message: Message) -> str:
    """Write a message in a line: who says it, and what."""
    who = {"user": "you", "assistant": "agent", "tool_result": "tool"}.get(
        message.role, message.role
    )
    calls = [f"{call.name}(...)" for call in getattr(message, "tool_calls", ())]
    return f"{who}: {' '.join([*message.text.split(), *calls])}"


def tree_of(session: Session) -> Iterator[Line]:
    """Give the messages of all branches, each after the one that it follows.

    A branch begins a step to the right of where it leaves; what follows in it stays below its beginning.

    Args:
        session: what is kept of the conversation.
    """
    here = {entry.id for entry in session.branch}
    following = _following(session)
    # The line of a message that begins a branch, and those of the messages below it.
    waiting = [
        (entry, first, below) for entry, first, below in _branches(following.get(None, []), "")
    ]
    while waiting:
        entry, first, below = waiting.pop()
        if (message := entry.message) is not None:
            yield Line(entry, message, first, entry.id in here)
            first = below
        after = following.get(entry.id, [])
        if len(after) == 1:
            waiting.append((after[0], first, below))
        else:
            waiting += _branches(after, below)


def _branches(entries: list[Entry], below: str) -> list[tuple[Entry, str, str]]:
    """Begin a branch with each entry; the first of them is the last of the list."""
    if len(entries) == 1:
        return [(entries[0], below, below)]
    last = len(entries) - 1
    return [
        (
            entry,
            f"{below}{'└─ ' if place == last else '├─ '}",
            f"{below}{'   ' if place == last else '│  '}",
        )
        for place, entry in reversed(list(enumerate(entries)))
    ]


def _following(session: Session) -> Mapping[str | None, list[Entry]]:
    """List the entries that follow each; of one that has no message and nothing after it, none."""
    following: dict[str | None, list[Entry]] = {}
    leads_on: set[str] = set()
    for entry in reversed(list(session.entries.values())):
        if entry.message is not None or entry.id in leads_on:
            following.setdefault(entry.parent, []).insert(0, entry)
            if entry.parent is not None:
                leads_on.add(entry.parent)
    return following
