"""What a host refuses.

UsageError
|-- NotFoundError       no conversation, message or question of that name; of another owner's it says the same
|-- LimitReachedError   a limit of the host is reached: `limit` says which
`-- EndedError          the conversation was deleted or let go of, or its host was closed
"""

from typing import Literal, TypeAlias

from tether import UsageError

__all__ = ("EndedError", "HostLimit", "LimitReachedError", "NotFoundError")

HostLimit: TypeAlias = Literal["conversations", "runs", "log"]
"""What a host limits."""


class NotFoundError(UsageError):
    """There is nothing of that name, or it belongs to another owner."""


class EndedError(UsageError):
    """This conversation is no longer held by its host; ask the host for it again."""


class LimitReachedError(UsageError):
    """A limit of the host is reached.

    Attributes:
        limit: which.
    """

    def __init__(self, message: str, *, limit: HostLimit, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.limit: HostLimit = limit
