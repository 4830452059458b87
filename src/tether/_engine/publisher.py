"""Publish the events of a run: to its listeners, in order, then to its consumers."""

from contextlib import suppress

import anyio

from tether._engine.interruption import RunControl
from tether.events import Event
from tether.hooks import Hooks, call_hook
from tether.stream import EventSink

__all__ = ("Publisher",)


class Publisher:
    """Where the events of one run go.

    Args:
        sink: the run's consumers.
        hooks: the listeners are those at `on_event`.
        control: its `interrupt` waits for listeners.
    """

    __slots__ = ("_control", "_hooks", "_is_cut", "_outbox", "_sink")

    def __init__(self, sink: EventSink[Event], hooks: Hooks, control: RunControl) -> None:
        self._sink = sink
        self._hooks = hooks
        self._control = control
        # What a cancellation kept from being sent: it goes before the next event.
        self._outbox: list[Event] = []
        self._is_cut = False

    def offer(self, event: Event) -> bool:
        """Publish an event if nobody has to be waited for: the short way of `publish`.

        Returns:
            Whether it was published. If not, nothing has happened.
        """
        if self._outbox or self._hooks.at("on_event"):
            return False
        # The short way of `send` is for the publisher alone: what it refuses has to be sent.
        return self._sink._offer(event)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    async def publish(self, event: Event) -> None:
        """Publish an event.

        Raises:
            Exception: what a listener raised. The event is sent before the next one.

        Cancellation:
            While a consumer is slow, or inside a listener. The event is then sent before the next one: of a run that
            ends in order, nothing is missing.
        """
        if listeners := self._hooks.at("on_event"):
            try:
                with self._control.listening():
                    for hook in listeners:
                        await call_hook(hook, event)
            except BaseException:
                # What happened is told also where a listener has failed, or was cut off.
                self._outbox.append(event)
                raise
        self._outbox.append(event)
        await self.send_waiting()

    async def send_waiting(self) -> None:
        """Send consumers what they have not got yet.

        Cancellation:
            While a consumer is slow; what is left is sent before the next event.
        """
        while self._outbox:
            # Taken out before it is sent, since calls that run at once publish at once.
            event = self._outbox.pop(0)
            try:
                await self._sink.send(event)  # which passes checkpoints
            except anyio.get_cancelled_exc_class():
                self._outbox.insert(0, event)
                raise

    async def caught_up(self) -> None:
        """Let consumers take what was published; see `EventSink.caught_up`.

        Cancellation:
            At once.
        """
        await self._sink.caught_up()

    def cut(self) -> None:
        """Publish nothing more: the next event says what is not true, such as that a message is kept."""
        self._is_cut = True

    def publish_nowait(self, event: Event) -> None:
        """Publish to consumers alone, for a run that is being closed and may not wait.

        Where one has no room, it gets neither this event nor a later one: what consumers get has no gaps.
        """
        if self._is_cut:
            return
        if event not in self._outbox:
            self._outbox.append(event)
        with suppress(anyio.WouldBlock, anyio.BrokenResourceError, anyio.ClosedResourceError):
            while self._outbox:
                self._sink.send_nowait(self._outbox[0])
                self._outbox.pop(0)
