"""The inbox of an agent whose run may be on a worker."""

from collections.abc import Callable, Iterable

from tether._engine.inbox import Inbox
from tether.messages import Queued, QueueName

__all__ = ("ForwardingInbox",)


class ForwardingInbox(Inbox):
    """Holds messages until they are in the conversation, also those that a worker has been given."""

    __slots__ = ("forward",)

    def __init__(self, inbox: Inbox) -> None:
        super().__init__(inbox.modes["steering"], inbox.modes["follow_up"])
        self.forward: Callable[[QueueName, Queued], None] | None = None
        """Gives a message to the worker of the run that is going."""

    def put(self, queue: QueueName, message: Queued) -> None:
        """Pass a message on, and accept it.

        Raises:
            UsageError: it cannot be sent to a worker.
        """
        if self.forward is not None:
            self.forward(queue, message)
        super().put(queue, message)

    def put_back(self, queue: QueueName, messages: Iterable[Queued]) -> None:
        """Let messages wait again, before the others."""
        self._queues[queue][:0] = messages

    def delivered(self, message_id: str) -> None:
        """Note that a message is in the conversation."""
        for waiting in self._queues.values():
            waiting[:] = [message for message in waiting if message.id != message_id]
