"""Publish the events of a run: to its listeners, in order, then to its consumers."""

from contextlib import suppress

import anyio

from tether._engine.interruption import RunControl
from tether.events import Event
from tether.hooks import Hooks, call_hook
from tether.stream import EventSink
from tether.taps import Tap

__all__ = ("Publisher",)


class Publisher:
    """Where the events of one run go.

    Args:
        sink: the run's consumers.
        hooks: the listeners are those at `on_event`.
        control: its `interrupt` waits for listeners.
        tap: sees the events in their order.
    """

    __slots__ = (
        "_control",
        "_held",
        "_hooks",
        "_is_closing",
        "_is_cut",
        "_line",
        "_outbox",
        "_sent",
        "_sink",
        "_tap",
    )

    def __init__(
        self, sink: EventSink[Event], hooks: Hooks, control: RunControl, tap: Tap | None = None
    ) -> None:
        self._tap = tap
        self._sink = sink
        self._hooks = hooks
        self._control = control
        # What has not been sent, in order; the first one is being sent, or a cancellation has kept it from that.
        self._outbox: list[Event] = []
        # How many events have left it.
        self._sent = 0
        # Calls that run at once publish at once: one of them sends, the others wait.
        self._line: anyio.Lock | None = None
        # What is not said before the store has taken it; None where everything is said at once.
        self._held: list[Event] | None = None
        self._is_cut = False
        # Whether the events that end the run have begun to be published.
        self._is_closing = False

    def offer(self, event: Event) -> bool:
        """Publish an event if nobody has to be waited for: the short way of `publish`.

        Returns:
            Whether it was published. If not, nothing has happened.
        """
        if self._outbox or self._hooks.at("on_event"):
            return False
        # The short way of `send` is for the publisher alone: what it refuses has to be sent.
        taken = self._sink._offer(event)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        if taken and self._tap is not None:
            self._tap.published(event)
        return taken

    async def publish(self, event: Event) -> None:
        """Publish an event.

        Raises:
            Exception: what a listener raised. The event is sent before the next one.

        A task that outlives the run may still be here when the run is closed. Its event comes too late then, and is
        dropped.

        Cancellation:
            While a consumer is slow, or inside a listener. The event is then sent before the next one: of a run that
            ends in order, nothing is missing.
        """
        if self.offer(event):
            return
        try:
            if listeners := self._hooks.at("on_event"):
                with self._control.listening():
                    for hook in listeners:
                        await call_hook(hook, event)
            else:
                # Out of the line, in which all calls that publish meanwhile would have to wait.
                await self._sink._rest()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        except BaseException:
            # What happened is told also where a listener has failed, or was cut off.
            if not self._is_closing:
                self._put(event)
            raise
        if not self._is_closing and not self.offer(event):
            self._put(event)
            await self.send_waiting()

    def _put(self, event: Event) -> None:
        self._outbox.append(event)
        if self._tap is not None:
            self._tap.published(event)

    async def send_waiting(self) -> None:
        """Send consumers what they have not got yet.

        Cancellation:
            While a consumer is slow; what is left is sent before the next event.
        """
        last = self._sent + len(self._outbox)
        while self._sent < last:
            self._line = self._line or anyio.Lock(fast_acquire=True)
            async with self._line:
                if self._sent < last:
                    await self._send_first()

    async def _send_first(self) -> None:
        """Send the first event of the outbox, unless it is sent at the checkpoint, by a run that is being closed."""
        sink, sent = self._sink, self._sent
        if not sink._offer(self._outbox[0]):  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            await sink._rest()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            if self._sent > sent:
                return
            await sink._deliver(self._outbox[0])  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        self._has_sent()

    async def caught_up(self) -> None:
        """Let consumers take what was published; see `EventSink.caught_up`.

        Cancellation:
            At once.
        """
        await self._sink.caught_up()

    def hold(self) -> None:
        """Keep what `publish_nowait` is given, until it is released: it is not certain yet."""
        self._held = []

    def release(self) -> None:
        """Publish what was held."""
        held, self._held = self._held or [], None
        for event in held:
            self.publish_nowait(event)

    def cut(self) -> None:
        """Publish nothing more: the next event says what is not true, such as that a message is kept."""
        self._is_cut = True
        self._held = None

    def publish_nowait(self, event: Event) -> None:
        """Publish to consumers alone, for a run that is being closed and may not wait.

        Where one has no room, it gets neither this event nor a later one: what consumers get has no gaps.
        """
        if self._is_cut:
            return
        if self._held is not None:
            self._held.append(event)
            return
        self._is_closing = True
        if event not in self._outbox:
            self._put(event)
        with suppress(anyio.WouldBlock, anyio.BrokenResourceError, anyio.ClosedResourceError):
            while self._outbox:
                self._sink.send_nowait(self._outbox[0])
                self._has_sent()

    def _has_sent(self) -> None:
        self._outbox.pop(0)
        self._sent += 1
