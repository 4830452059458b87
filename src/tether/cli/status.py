"""The line below the editor: the model, how full its context is, what was spent, and what keys do now."""

from attrs import define, field

from tether import AssistantMessage, Usage, UsageError, context_window, price_of
from tether.cli.conversation import Conversation
from tether.cli.door import printable

__all__ = ()


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

    def line(self) -> str:
        """Write it."""
        replies = [m for m in self.conversation.agent.messages if isinstance(m, AssistantMessage)]
        parts = [self.conversation.agent.model.name, *self._context(replies), *self._spent(replies)]
        if self.conversation.run is not None:
            parts.append("Enter steers, Ctrl-Q queues, Ctrl-C interrupts")
        return printable(f" {' | '.join(parts)} ")

    def _context(self, replies: list[AssistantMessage]) -> list[str]:
        counted = [reply.usage for reply in replies if reply.usage.input_tokens]
        if not counted:
            return []
        used = counted[-1].input_tokens + counted[-1].output_tokens
        window = self._window(self.conversation.agent.model.name)
        of = f" of {window:,} ({used / window:.0%})" if window else ""
        return [f"context {used:,}{of}"]

    def _window(self, model: str) -> int | None:
        if model not in self._windows:
            self._windows[model] = context_window(model) if ":" in model else None
        return self._windows[model]

    def _spent(self, replies: list[AssistantMessage]) -> list[str]:
        usage = sum((reply.usage for reply in replies), Usage())
        tokens = f"{usage.input_tokens:,} in, {usage.output_tokens:,} out"
        money = sum(map(self._price, replies))
        return [*([tokens] if usage.total_tokens else []), *([f"${money:.4f}"] if money else [])]

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
