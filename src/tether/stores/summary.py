"""What is known of a conversation without reading it: kept beside it, and brought up to date with each entry."""

from collections.abc import Iterable
from typing import Final

from attrs import define, evolve, field

from tether import AssistantMessage, UserMessage
from tether.messages import JsonObject
from tether.session import Entry

__all__ = ("Summary", "text_of")

_LONGEST_TITLE: Final = 80


@define
class Summary:
    """A fold over the entries of a conversation. Those of agents within its agent are passed over."""

    title: str = ""
    label: str = ""
    said: str = ""
    """The beginning of what was said first."""
    model: str = ""
    messages: int = 0
    updated: float = 0.0
    _aside: set[str] = field(factory=set[str])

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "Summary":
        """Fold all entries of a conversation."""
        summary = cls()
        for entry in entries:
            summary.take(entry)
        return summary

    @property
    def shown(self) -> str:
        """The title that a list shows."""
        return self.title or self.label or self.said

    def after(self, entries: Iterable[Entry]) -> "Summary":
        """Fold further entries into a copy."""
        summary = evolve(self, aside=set(self._aside))
        for entry in entries:
            summary.take(entry)
        return summary

    def take(self, entry: Entry) -> None:
        """Take in the next entry."""
        if entry.kind == "child" or entry.parent in self._aside:
            self._aside.add(entry.id)
            return
        match entry.kind:
            case "message":
                self._take_message(entry)
            case "title":
                self.title = _text(entry.data, "text")
            case "label":
                self.label = self.label or _text(entry.data, "text")
            case "model":
                self.model = _text(entry.data, "name")
            case _:
                pass

    def _take_message(self, entry: Entry) -> None:
        self.messages += 1
        spoken = entry.data.get("timestamp")
        self.updated = spoken if isinstance(spoken, float) and spoken > 0 else entry.time
        if not self.said and isinstance(message := entry.message, UserMessage):
            self.said = " ".join(message.text.split())[:_LONGEST_TITLE]


def text_of(entry: Entry) -> str:
    """Return what a message says, by which its conversation is found; nothing for other entries."""
    message = entry.message
    return message.text if isinstance(message, UserMessage | AssistantMessage) else ""


def _text(data: JsonObject, key: str) -> str:
    text = data.get(key)
    return text if isinstance(text, str) else ""
