"""An entry: one line of the log."""

import json

from attrs import field, frozen

from tether.errors import UsageError
from tether.messages import JsonObject, Message
from tether.serialize import from_builtins

__all__ = ("Entry",)


@frozen
class Entry:
    """One line of the log."""

    id: str
    parent: str | None
    kind: str
    data: JsonObject
    time: float = 0.0
    """Seconds since the epoch."""
    extra: JsonObject = field(factory=dict)
    """Whatever else the line says, kept for whoever wrote it."""

    def line(self) -> bytes:
        """Write it as it stands in the log, with its newline.

        Raises:
            UsageError: JSON cannot hold its data.
        """
        fields = {
            "id": self.id,
            "parent": self.parent,
            "kind": self.kind,
            "time": self.time,
            "data": self.data,
        }
        try:
            return json.dumps({**fields, **self.extra}, separators=(",", ":")).encode() + b"\n"
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(
                f"JSON cannot hold this entry of kind {self.kind!r}: {error}"
            ) from None

    @property
    def message(self) -> Message | None:
        """The message it holds, if it holds one.

        Raises:
            DecodeError: it says it holds one, and does not.
        """
        return from_builtins(self.data, Message) if self.kind == "message" else None
