"""The line below the editor: the mode, the model, how full its context is, what was spent, and what keys do now.

As the terminal narrows, what matters least is shortened or left out first.
"""

from collections.abc import Iterator

from attrs import define, field, frozen

from tether import AssistantMessage, Usage, UsageError, context_window, price_of
from tether.cli.conversation import Conversation
from tether.cli.door import printable
from tether.cli.screen.fitting import cut, width_of

__all__ = ()


@frozen
class _Part:
    """A part of the line.

    Attributes:
        texts: how it may be written, from the longest to the shortest; an empty one leaves it out.
        worth: of each text but the last, when it gives way to the next: the lowest of the line first.
    """

    texts: tuple[str, ...]
    worth: tuple[int, ...] = ()

    def shorter(self) -> "_Part":
        return _Part(self.texts[1:], self.worth[1:])


@define(eq=False)
class Status:
    """The state of a conversation in a line. It is drawn often, so what was looked up once is kept.

    Args:
        conversation: the conversation.
    """

    conversation: Conversation
    _windows: dict[str, int | None] = field(factory=dict)
    _prices: dict[str, float] = field(factory=dict)
    """Of replies, by their ids."""

    def line(self, width: int = 1_000) -> str:
        """Write it.

        Args:
            width: columns there are.
        """
        parts = list(self._parts())
        while width_of(_joined(parts)) > width and any(part.worth for part in parts):
            least = min((p for p in parts if p.worth), key=lambda part: part.worth[0])
            parts[parts.index(least)] = least.shorter()
        return cut(_joined(parts), width)

    def _parts(self) -> Iterator[_Part]:
        replies = [
            message
            for message in self.conversation.agent.messages
            # What the offline model counts as tokens means nothing to a person.
            if isinstance(message, AssistantMessage) and message.model != "offline"
        ]
        if self.conversation.has_mode:
            yield _Part((self.conversation.mode.current.value,))
        name = self.conversation.agent.model.name
        yield _Part((name, name.rpartition(":")[2]), (5,))
        yield from self._context(replies)
        yield from self._spent(replies)
        if self.conversation.run is not None:
            yield _Part(("Esc stops", ""), (9,))
            yield _Part(("Enter steers, Ctrl-Q queues", ""), (1,))

    def _context(self, replies: list[AssistantMessage]) -> Iterator[_Part]:
        counted = [reply.usage for reply in replies if reply.usage.input_tokens]
        if not counted:
            return
        used = counted[-1].input_tokens + counted[-1].output_tokens
        window = self._window(self.conversation.agent.model.name)
        if window:
            share = f"{used / window:.0%}"
            texts = (f"context {used:,} of {window:,} ({share})", f"context {share}", share, "")
            yield _Part(texts, (2, 6, 8))
        else:
            yield _Part((f"context {used:,}", ""), (8,))

    def _window(self, model: str) -> int | None:
        if model not in self._windows:
            self._windows[model] = context_window(model) if ":" in model else None
        return self._windows[model]

    def _spent(self, replies: list[AssistantMessage]) -> Iterator[_Part]:
        usage = sum((reply.usage for reply in replies), Usage())
        money = sum(map(self._price, replies))
        if money:
            yield _Part((f"${money:.4f}", f"${money:.2f}", ""), (3, 7))
        if usage.total_tokens:
            yield _Part((f"{usage.input_tokens:,} in, {usage.output_tokens:,} out", ""), (0,))

    def _price(self, reply: AssistantMessage) -> float:
        if reply.id not in self._prices:
            try:
                # A reply that no provider made costs nothing, and need not be looked up.
                self._prices[reply.id] = (
                    price_of(reply) if ":" in self.conversation.agent.model.name else 0
                )
            except UsageError:
                self._prices[reply.id] = 0.0
        return self._prices[reply.id]


def _joined(parts: list[_Part]) -> str:
    return printable(f" {' | '.join(part.texts[0] for part in parts if part.texts[0])} ")
