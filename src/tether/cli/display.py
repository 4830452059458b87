"""What a run looks like on a terminal, and as lines of JSON."""

from collections.abc import Mapping
from typing import Protocol, TextIO

from attrs import define, field

from tether import (
    AgentEnd,
    AgentStart,
    Event,
    MessageEnd,
    MessageUpdate,
    ModelRetry,
    TextDelta,
    ThinkingDelta,
    ToolExecutionEnd,
    ToolExecutionStart,
    ToolExecutionUpdate,
    Usage,
    to_json,
)

__all__ = ("Display", "JsonLines", "Screen")

_DIM, _RED, _PLAIN = "\x1b[2m", "\x1b[31m", "\x1b[0m"
_LONGEST_VALUE = 60


class Display(Protocol):
    """Something that shows events."""

    def show(self, event: Event) -> None:
        """Show what happened."""
        ...


@define
class JsonLines:
    """Every event as one line of JSON, as `tether.to_json` writes it."""

    out: TextIO

    def show(self, event: Event) -> None:
        """Write the event."""
        self.out.write(to_json(event).decode() + "\n")
        self.out.flush()


@define
class Screen:
    """Text as it comes, each tool call on a line of its own, and the tokens at the end.

    Args:
        out: where to write.
        colour: whether it understands escape sequences.
    """

    out: TextIO
    colour: bool
    _at_line_start: bool = True
    _dim: bool = False
    _calls: dict[str, str] = field(factory=dict)
    _turns: int = 0

    def show(self, event: Event) -> None:
        """Show what happened."""
        match event:
            case AgentStart():
                self._turns = 0
            case MessageUpdate(TextDelta(text)):
                self._write(text)
            case MessageUpdate(ThinkingDelta(text)):
                self._write(text, dim=True)
            case MessageEnd(message) if message.role == "assistant":
                self._turns += 1
                self._line_start()
            case ToolExecutionStart(call_id, name, arguments):
                self._calls[call_id] = f"{name}({_shown(arguments)})"
            case ToolExecutionUpdate(content=content):
                for block in content:
                    self._update(getattr(block, "text", "[image]"))
            case ToolExecutionEnd(call_id, result=result, duration=duration):
                outcome = f" {result.outcome}: {_brief(result.text)}" if result.is_error else ""
                mark = "!" if result.is_error else "*"
                self._line(f"{mark} {self._calls.pop(call_id)} {duration:.2f} s{outcome}")
            case ModelRetry(attempt, delay, error):
                self._line(f"! attempt {attempt}: {_brief(error.message)}; again in {delay:.0f} s")
            case AgentEnd():
                self._end(event)
            case _:
                pass

    def _end(self, end: AgentEnd) -> None:
        why = {"limit": f"; stopped at the limit of {end.limit}", "aborted": "; aborted"}
        turns = f"{self._turns} turn{'s' if self._turns != 1 else ''}"
        self._line(f"- {turns}, {_tokens(end.usage)}{why.get(end.stop_reason, '')}")

    def _update(self, text: str) -> None:
        for line in text.splitlines():
            self._line(f"  | {line}")

    def _line(self, text: str) -> None:
        self._line_start()
        self._write(f"{text}\n", dim=True)

    def _line_start(self) -> None:
        if not self._at_line_start:
            self._write("\n")

    def _write(self, text: str, *, dim: bool = False) -> None:
        if not text:
            return
        if self.colour and dim != self._dim:
            self.out.write(_DIM if dim else _PLAIN)
            self._dim = dim
        self.out.write(text)
        if self.colour and dim and text.endswith("\n"):
            self.out.write(_PLAIN)
            self._dim = False
        self.out.flush()
        self._at_line_start = text.endswith("\n")


def _shown(arguments: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={_brief(repr(value))}" for name, value in arguments.items())


def _brief(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_VALUE else f"{line[: _LONGEST_VALUE - 3]}..."


def _tokens(usage: Usage) -> str:
    cached = f" ({usage.cache_read_tokens:,} from cache)" if usage.cache_read_tokens else ""
    return f"{usage.input_tokens:,} tokens in{cached}, {usage.output_tokens:,} out"
