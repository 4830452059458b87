"""Messages for a run that is going, or about to: accepted once, delivered once or handed back.

An inbox belongs to an agent. A message that was put in is in exactly one place from then on: waiting here, in the
transcript, or handed back as undelivered.

No I/O.
"""

from collections.abc import Iterable

from tether._given import one_of
from tether.errors import UsageError
from tether.messages import Prompt, Queued, QueueMode, QueueName, as_message
from tether.taps import Tap

__all__ = ("Inbox", "message_of", "optional_message")


class Inbox:
    """Two queues: steering, for the next turn; follow-ups, for when the run would stop."""

    __slots__ = ("_queues", "modes", "tap")

    def __init__(self, steering: QueueMode, follow_up: QueueMode) -> None:
        self.modes: dict[QueueName, QueueMode] = {
            "steering": one_of(QueueMode)("steering of Agent", steering),
            "follow_up": one_of(QueueMode)("follow_up of Agent", follow_up),
        }
        # Lists: an empty deque takes ten times the room, and what people say meanwhile is little.
        self._queues: dict[QueueName, list[Queued]] = {"steering": [], "follow_up": []}
        self.tap: Tap | None = None

    def put(self, queue: QueueName, message: Queued) -> None:
        """Accept a message."""
        self._queues[queue].append(message)
        if self.tap is not None:
            self.tap.queued(queue, message)

    def take(self, queue: QueueName) -> tuple[Queued, ...]:
        """Remove what its mode lets through now; whoever takes it delivers it."""
        waiting = self._queues[queue]
        if self.modes[queue] == "all":
            return self.clear((queue,))
        return self._removed((waiting.pop(0),) if waiting else ())

    def clear(self, queues: Iterable[QueueName] = ("steering", "follow_up")) -> tuple[Queued, ...]:
        """Remove and hand back everything that waits in these queues."""
        removed: list[Queued] = []
        for queue in queues:
            removed += self._queues[queue]
            self._queues[queue].clear()
        return self._removed(tuple(removed))

    def _removed(self, messages: tuple[Queued, ...]) -> tuple[Queued, ...]:
        if messages and self.tap is not None:
            self.tap.taken(messages)
        return messages

    def anything_waits(self) -> bool:
        """Say whether a message waits in either queue."""
        return any(self._queues.values())

    def waiting(self, queue: QueueName) -> tuple[Queued, ...]:
        """What waits, in order; nothing is removed."""
        return tuple(self._queues[queue])


def message_of(prompt: Prompt) -> Queued:
    """Make a message of what is to be said.

    Raises:
        UsageError: it is nothing that can be said.
    """
    try:
        return as_message(prompt)
    except TypeError as error:
        raise UsageError(f"{prompt!r} is not a prompt: {error}") from error


def optional_message(prompt: Prompt | None) -> Queued | None:
    """Make a message of what is to be said, if there is something."""
    return None if prompt is None else message_of(prompt)
