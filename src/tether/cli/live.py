"""A run at a terminal with a line editor.

What no longer changes is printed once, and the editor keeps it above the line that is being typed. What still changes
(the block of the reply that is arriving, the running tools, their last lines of output and their times) is drawn by the
editor together with that line, at any time, from another thread.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
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
    Waiting,
    call_line,
    end_line,
    progress_lines,
    reply_end_line,
    result_line,
    retry_line,
    said_line,
    todo_lines,
)
from tether.cli.door import Door, Drawn, as_drawing_door, joined, printable, styled
from tether.cli.markdown import GrowingMarkdown, Piece, rendered
from tether.cli.screen.fitting import cut, fitted
from tether.cli.screen.output import LINES_SHOWN, Output
from tether.cli.screen.theme import DARK, Theme

__all__ = ()

_SPINNER: Final = "|/-\\"
_WAITS: Final = "  (waits for your answer)"
_LONGEST_THOUGHT: Final = 2_000
"""Characters of a line of thinking that is still growing; beyond, it is broken, so that it need not be read again."""


@define
class _Call:
    """A running call."""

    title: str
    started: float
    asked: float | None = None
    """Since when the person is asked about it: that time does not count."""
    output: Output = field(factory=Output)

    def seconds(self, now: float) -> float:
        return (now if self.asked is None else self.asked) - self.started

    def ask(self, event: ApprovalRequested | ApprovalAnswered, now: float) -> None:
        if isinstance(event, ApprovalRequested):
            self.asked = now
        elif self.asked is not None:
            self.started += now - self.asked
            self.asked = None


@define(eq=False)
class Live:
    """Shows a run.

    Args:
        out: where finished lines are printed.
        width: returns the number of columns.
        redraw: makes the editor draw again; may be called from any thread.
        now: a clock, in seconds.
        theme: the colours.
        waiting: returns what the person has said and the agent has not heard yet.
        is_waiting: says whether a call, by its id, waits for the person.
    """

    out: Door = field(converter=as_drawing_door)
    width: Callable[[], int]
    redraw: Callable[[], None] = lambda: None
    now: Callable[[], float] = time.monotonic
    theme: Theme = DARK
    waiting: Callable[[], Sequence[Waiting]] = lambda: ()
    is_waiting: Callable[[str], bool] = lambda _: False
    last_output: Output = field(factory=Output, init=False)
    """What the call printed that has ended last."""
    _calls: dict[str, _Call] = field(factory=dict)
    _reply: GrowingMarkdown = field(factory=GrowingMarkdown)
    _thinking: str = ""
    _turns: int | None = None
    """Those of the run so far; None where its start was not seen."""
    _by_rules: bool = False
    """Whether the offline model has answered, which spends nothing."""
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
            case ModelRetry():
                yield self._fitted(retry_line(event), self.theme.failed)
            case AgentEnd():
                stopped = event.stop_reason not in {"stop", "terminated"}
                styles = self.theme.refused if stopped else self.theme.quiet
                yield self._fitted(end_line(event, self._turns, by_rules=self._by_rules), styles)
            case MessageUpdate() | MessageEnd():
                yield from self._settled_by_message(event)
            case _:
                yield from self._settled_by_call(event)

    def _settled_by_message(self, event: MessageUpdate | MessageEnd) -> Iterator[Drawn]:
        match event:
            case MessageUpdate(TextDelta(text)):
                yield from self._thought()
                yield from self._rendered(self._reply.add(printable(text)))
            case MessageUpdate(ThinkingDelta(text)):
                yield from self._think(printable(text))
            case MessageEnd(message) if message.role == "assistant":
                self._turns = None if self._turns is None else self._turns + 1
                self._by_rules = message.model == "offline"
                yield from self._thought()
                yield from self._rendered(self._reply.finish())
                if (why := reply_end_line(message)) is not None:
                    yield self._fitted(why, self.theme.refused)
            case MessageEnd(message) if message.role == "user":
                yield joined(["\n", self._fitted(said_line(message), self.theme.person)])
            case _:
                pass

    def _settled_by_call(self, event: Event) -> Iterator[Drawn]:
        match event:
            case ToolExecutionStart(call_id, name, arguments):
                self._calls[call_id] = _Call(printable(call_line(name, arguments)), self.now())
            case ApprovalRequested(call_id) | ApprovalAnswered(call_id):
                self._calls[call_id].ask(event, self.now())
            case ToolExecutionUpdate(call_id):
                lines = progress_lines(event)
                self._calls[call_id].output.hear(printable(line) for line in lines)
            case ToolExecutionEnd(call_id):
                yield from self._ended(self._calls.pop(call_id), event)
                for line in drawn_change(event):
                    yield fitted(joined([line, "\n"]), self.width())
            case _:
                pass

    def _fitted(self, lines: str, styles: Sequence[str]) -> Drawn:
        return fitted(styled(f"{lines}\n", *styles), self.width())

    def _think(self, text: str) -> Iterator[Drawn]:
        lines, newline, self._thinking = f"{self._thinking}{text}".rpartition("\n")
        if newline:
            yield self._fitted(lines, self.theme.quiet)
        elif len(self._thinking) > _LONGEST_THOUGHT:
            yield from self._thought()

    def _thought(self) -> Iterator[Drawn]:
        thinking, self._thinking = self._thinking, ""
        if thinking:
            yield self._fitted(thinking, self.theme.quiet)

    def _rendered(self, piece: Piece | None) -> Iterator[Drawn]:
        if piece is not None and piece.text.strip():
            shown = rendered(piece.text, self.width(), self.theme)
            yield joined([shown, "\n" if piece.ends_block else ""])

    def _ended(self, call: _Call, end: ToolExecutionEnd) -> Iterator[Drawn]:
        output, self.last_output = call.output, call.output
        match end.result.outcome:
            case "ok":
                styles = self.theme.quiet
            case "error":
                styles = self.theme.failed
            case _:
                styles = self.theme.refused
        yield self._fitted(result_line(call.title, end), styles)
        above = [f"  ... {output.folded:,} lines; Ctrl-O shows all"] if output.folded else []
        if todo := todo_lines(end):
            yield self._fitted("\n".join(todo), ())
        lines = [*above, *(cut(line, self.width()) for line in _indented(output.last))]
        if lines:
            yield styled("\n".join([*lines, ""]), *self.theme.quiet)

    def tell(self, text: str) -> None:
        """Print a text to the person, lines broken between words; errors, which begin with `!`, in their colour."""
        first = text[:1]
        styles = {"!": self.theme.failed, "(": self.theme.quiet}.get(first, ())
        with self._lock:
            self.out.write(fitted(styled(f"{text}\n", *styles), self.width()))
            self.out.flush()

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
            waiting = list(self._waiting_drawn(width, height // 2))
            calls = list(self._calls_drawn(width, height - len(waiting)))
            reply = list(self._reply_drawn(width, height - len(calls) - len(waiting)))
        return joined(part for line in [*reply, *calls, *waiting] for part in (line, "\n"))

    def _waiting_drawn(self, width: int, height: int) -> Iterator[str]:
        said = self.waiting()
        shown = said[: max(height - (len(said) > height), 0)]
        for one in shown:
            when = f"  ({one.when})"
            line = " ".join(one.text.split())
            yield joined(
                [
                    styled(cut(line, width - len(when)), *self.theme.person),
                    styled(cut(when, width), *self.theme.quiet),
                ]
            )
        if len(said) > len(shown) and height > 0:
            yield f"  and {len(said) - len(shown)} more that you said"

    def _reply_drawn(self, width: int, height: int) -> Iterator[str]:
        lines: list[str] = []
        if self._thinking:
            lines += fitted(styled(self._thinking, *self.theme.quiet), width).lines()
        if self._reply.rest.strip():
            lines += rendered(self._reply.rest, width, self.theme).lines()
        yield from lines[-height:] if height > 0 else ()

    def _calls_drawn(self, width: int, height: int) -> Iterator[str]:
        if not self._calls:
            return
        shown = list(self._calls.items())[: max(height - 1, 1)]
        # What is left of the height after a title each is shared out.
        each = min(LINES_SHOWN, max(0, height // len(shown) - 1))
        for call_id, call in shown:
            yield self._call_drawn(call, width, waits=self.is_waiting(call_id))
            last = list(call.output.last)[-each:] if each else []
            yield from (styled(cut(line, width), *self.theme.quiet) for line in _indented(last))
        if len(self._calls) > len(shown):
            yield f"  and {len(self._calls) - len(shown)} more calls"

    def _call_drawn(self, call: _Call, width: int, *, waits: bool) -> str:
        if waits or call.asked is not None:
            return f"? {cut(call.title, width - 2 - len(_WAITS))}{_WAITS}"
        seconds = call.seconds(self.now())
        mark = _SPINNER[int(seconds * 4) % len(_SPINNER)]
        return f"{mark} {cut(call.title, width - 12)} {seconds:.1f} s"


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"  | {line.expandtabs()}" for line in lines)
