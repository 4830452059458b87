"""A plain model of an event stream: the table of a consumer's states, with lists in place of pairs and tasks."""

import math
from collections.abc import Iterator

from attrs import define, field

from tether.stream import WhenFull

__all__ = ("Consumer", "Model")

Answer = str | int | None


@define(eq=False)
class Consumer:
    size: float
    when_full: WhenFull
    only_odd: bool
    """Whether `drop_oldest` may drop odd events alone."""
    state: str = "open"
    buffer: list[int] = field(factory=list)
    dropped: int = 0
    heard: bool = False
    """Whether the failure was raised here."""
    waiting: bool = False
    answers: list[Answer] = field(factory=list)
    """What its receives have given: an event, `end`, `failed`, `closed`, `too slow`."""
    asked: int = 0
    """How many wait for the result."""

    def has_room(self) -> bool:
        return self.waiting or len(self.buffer) < self.size

    def victim(self, event: int) -> int | None:
        return next(
            (e for e in (*self.buffer, event) if not self.only_odd or e % 2),
            None,
        )

    def can_take(self, event: int) -> bool:
        match self.when_full:
            case "wait":
                return self.has_room()
            case "fail":
                return True
            case "drop_oldest":
                return self.has_room() or self.victim(event) is not None

    def take(self, event: int) -> None:
        if self.waiting:
            self.waiting = False
            self.answers.append(event)
        elif self.has_room():
            self.buffer.append(event)
        elif self.when_full == "fail":
            self.state = "too slow"
        else:
            victim = self.victim(event)
            assert victim is not None
            self.buffer = [e for e in (*self.buffer, event) if e != victim]
            self.dropped += 1


@define(eq=False)
class Model:
    consumers: list[Consumer] = field(factory=list)
    line: int | None = None
    """The event of the one sender that waits."""
    sends: dict[int, str] = field(factory=dict)
    """What became of each event: `sent`, `waits`, `cancelled`, `closed`, `broken`, `full`."""
    ended: bool = False
    failed: bool = False
    finished: bool = False

    def following(self) -> Iterator[Consumer]:
        return (c for c in self.consumers if c.state != "closed")

    def _attempt(self, event: int) -> str:
        if self.ended:
            return "closed"
        if not any(self.following()):
            return "broken"
        takers = [c for c in self.consumers if c.state == "open"]
        if not all(c.can_take(event) for c in takers):
            return "waits"
        for consumer in takers:
            consumer.take(event)
        return "sent"

    def _advance(self) -> None:
        if self.line is not None:
            self.sends[self.line] = self._attempt(self.line)
            if self.sends[self.line] != "waits":
                self.line = None

    def send(self, event: int) -> None:
        assert self.line is None
        self.line = event
        self._advance()

    def send_nowait(self, event: int) -> None:
        if self.line is not None and not self.ended and any(self.following()):
            self.sends[event] = "full"
        else:
            answer = self._attempt(event)
            self.sends[event] = "full" if answer == "waits" else answer

    def cancel_send(self) -> None:
        if self.line is not None:
            self.sends[self.line] = "cancelled"
            self.line = None

    def receive(self, consumer: Consumer) -> None:
        if consumer.waiting:
            return  # busy
        if consumer.state == "discarding":
            consumer.state = "open"
        if consumer.buffer:
            consumer.answers.append(consumer.buffer.pop(0))
        elif consumer.state == "open":
            consumer.waiting = True
        else:
            consumer.answers.append(self._end_of(consumer))
        self._advance()

    def _end_of(self, consumer: Consumer) -> str:
        match consumer.state:
            case "closed":
                return "closed"
            case "too slow":
                consumer.state = "closed"
                return "too slow"
            case _ if self.failed and not consumer.heard:
                consumer.heard = True
                return "failed"
            case _:
                return "end"

    def cancel_receive(self, consumer: Consumer) -> None:
        consumer.waiting = False

    def result(self, consumer: Consumer) -> None:
        if not self.ended and not consumer.waiting:
            consumer.buffer.clear()
            if consumer.state == "open":
                consumer.state = "discarding"
            self._advance()
        if self.finished:
            consumer.heard = consumer.heard or self.failed
        else:
            consumer.asked += 1

    def branch(self, size: float, when_full: WhenFull, *, only_odd: bool) -> None:
        state = "ended" if self.ended else "open"
        self.consumers.append(Consumer(size, when_full, only_odd, state))

    def close(self, consumer: Consumer) -> None:
        consumer.state = "closed"
        consumer.buffer.clear()
        if consumer.waiting:
            consumer.waiting = False
            consumer.answers.append("closed")
        self._advance()

    def finish(self, *, failed: bool) -> None:
        if self.ended:
            return
        self.ended = self.finished = True
        self.failed = failed
        for consumer in self.consumers:
            if consumer.state in {"open", "discarding"}:
                consumer.state = "ended"
            if consumer.waiting:
                consumer.waiting = False
                # Who hears of it first, it or those who wait for the result there, is open.
                either = failed and consumer.asked > 0
                consumer.answers.append("either" if either else self._end_of(consumer))
            if failed and consumer.asked:
                consumer.heard = True
            consumer.asked = 0
        self._advance()


SIZES = (0, 1, 2, 3, math.inf)
