"""A run at a terminal with a line editor.

What no longer changes is printed once, and the editor keeps it above the line that is being typed. What still changes
(the block of the reply that is arriving, the running tools, their last lines of output and their times) is drawn by the
editor together with that line, at any time, from another thread.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from attrs import define, field

from tether import (
    AgentEnd,
    AgentStart,
    ApprovalAnswered,
    ApprovalRequested,
    Event,
    MessageEnd,
    MessageUpdate,
    ModelRetry,
    TextDelta,
    ThinkingDelta,
    ToolExecutionEnd,
    ToolExecutionStart,
    ToolExecutionUpdate,
)
from tether.cli.changes.drawing import drawn_change
from tether.cli.display import (
    call_line,
    end_line,
    progress_lines,
    result_line,
    retry_line,
)
from tether.cli.door import DIM, Door, Drawn, as_drawing_door, joined, printable, styled
from tether.cli.markdown import GrowingMarkdown, Piece, rendered

__all__ = ()

_LINES_KEPT: Final = 5
"""The lines of a tool's output to show; the model gets what the tool returns."""
_SPINNER: Final = "|/-\\"


@define
class _Call:
    """A running call."""

    title: str
    started: float
    asked: float | None = None
    """Since when the person is asked about it: that time does not count."""
    last: deque[str] = field(factory=lambda: deque(maxlen=_LINES_KEPT))
    lines: int = 0

    def seconds(self, now: float) -> float:
        return (now if self.asked is None else self.asked) - self.started

    def ask(self, event: ApprovalRequested | ApprovalAnswered, now: float) -> None:
        if isinstance(event, ApprovalRequested):
            self.asked = now
        elif self.asked is not None:
            self.started += now - self.asked
            self.asked = None

    def hear(self, lines: list[str]) -> None:
        self.last.extend(lines)
        self.lines += len(lines)


@define(eq=False)
class Live:
    """Shows a run.

    Args:
        out: where finished lines are printed.
        width: returns the number of columns.
        redraw: makes the editor draw again; may be called from any thread.
        now: a clock, in seconds.
    """

    out: Door = field(converter=as_drawing_door)
    width: Callable[[], int]
    redraw: Callable[[], None] = lambda: None
    now: Callable[[], float] = time.monotonic
    _calls: dict[str, _Call] = field(factory=dict)
    _reply: GrowingMarkdown = field(factory=GrowingMarkdown)
    _thinking: str = ""
    _turns: int | None = None
    """Those of the run so far; None where its start was not seen."""
    _lock: threading.Lock = field(factory=threading.Lock)

    def show(self, event: Event) -> None:
        """Show what happened."""
        with self._lock:
            settled = joined(self._settled_by(event))
            if settled:
                # In one piece, so that nothing else comes between its lines.
                self.out.write(settled)
                self.out.flush()
        self.redraw()

    def _settled_by(self, event: Event) -> Iterator[Drawn]:
        match event:
            case AgentStart():
                self._turns = 0
            case MessageUpdate(TextDelta(text)):
                yield from self._thought()
                yield from self._rendered(self._reply.add(printable(text)))
            case MessageUpdate(ThinkingDelta(text)):
                lines, newline, self._thinking = f"{self._thinking}{printable(text)}".rpartition(
                    "\n"
                )
                if newline:
                    yield _dim(lines)
            case MessageEnd(message) if message.role == "assistant":
                self._turns = None if self._turns is None else self._turns + 1
                yield from self._thought()
                yield from self._rendered(self._reply.finish())
            case ToolExecutionStart(call_id, name, arguments):
                self._calls[call_id] = _Call(printable(call_line(name, arguments)), self.now())
            case ApprovalRequested(call_id) | ApprovalAnswered(call_id):
                self._calls[call_id].ask(event, self.now())
            case ToolExecutionUpdate(call_id):
                self._calls[call_id].hear([printable(line) for line in progress_lines(event)])
            case ToolExecutionEnd(call_id):
                yield self._ended(self._calls.pop(call_id), event)
                yield from (joined([line, "\n"]) for line in drawn_change(event))
            case ModelRetry():
                yield _dim(retry_line(event))
            case AgentEnd():
                yield _dim(end_line(event, self._turns))
            case _:
                pass

    def _thought(self) -> Iterator[Drawn]:
        thinking, self._thinking = self._thinking, ""
        if thinking:
            yield _dim(thinking)

    def _rendered(self, piece: Piece | None) -> Iterator[Drawn]:
        if piece is not None and piece.text.strip():
            yield joined([rendered(piece.text, self.width()), "\n" if piece.ends_block else ""])

    def _ended(self, call: _Call, end: ToolExecutionEnd) -> Drawn:
        more = call.lines - len(call.last)
        above = [f"  ... {more:,} lines"] if more > 0 else []
        lines = [result_line(call.title, end), *above, *_indented(call.last)]
        return _dim("\n".join(lines))

    def stop(self) -> None:
        """End the display of a run; also called where its last event did not come."""
        with self._lock:
            self.out.write(joined([*self._thought(), *self._rendered(self._reply.finish())]))
            self.out.flush()
            self._calls.clear()
        self.redraw()

    def above(self, width: int, height: int) -> Drawn:
        """Draw what still changes.

        Args:
            width: columns there are.
            height: lines it may take.

        Returns:
            Lines, each with its newline, with escape sequences.
        """
        with self._lock:
            calls = list(self._calls_drawn(width, height))
            reply = list(self._reply_drawn(width, height - len(calls)))
        return joined(part for line in [*reply, *calls] for part in (line, "\n"))

    def _reply_drawn(self, width: int, height: int) -> Iterator[str]:
        lines: list[str] = []
        if self._thinking:
            lines += [styled(line, DIM) for line in _wrapped(self._thinking, width)]
        if self._reply.rest.strip():
            lines += rendered(self._reply.rest, width).lines()
        yield from lines[-height:] if height > 0 else ()

    def _calls_drawn(self, width: int, height: int) -> Iterator[str]:
        if not self._calls:
            return
        shown = list(self._calls.values())[: max(height - 1, 1)]
        # What is left of the height after a title each is shared out.
        each = min(_LINES_KEPT, max(0, height // len(shown) - 1))
        for call in shown:
            seconds = call.seconds(self.now())
            mark = _SPINNER[int(seconds * 4) % len(_SPINNER)] if call.asked is None else "?"
            yield f"{mark} {_cut(call.title, width - 12)} {seconds:.1f} s"
            last = list(call.last)[-each:] if each else []
            yield from (styled(_cut(line, width), DIM) for line in _indented(last))
        if len(self._calls) > len(shown):
            yield f"  and {len(self._calls) - len(shown)} more calls"


def _dim(lines: str) -> Drawn:
    return styled(f"{lines}\n", DIM)


def _indented(lines: "deque[str] | list[str]") -> Iterator[str]:
    return (f"  | {line.expandtabs()}" for line in lines)


def _cut(line: str, width: int) -> str:
    """Cut a line to a number of columns, of which some characters take two and some none."""
    from rich.cells import cell_len, set_cell_size  # noqa: PLC0415 - where there is a terminal

    return line if cell_len(line) <= width else set_cell_size(line, max(width, 0))


def _wrapped(text: str, width: int) -> list[str]:
    from rich.cells import chop_cells  # noqa: PLC0415 - where there is a terminal

    return chop_cells(text, max(width, 2))
