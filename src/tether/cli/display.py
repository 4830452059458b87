"""A run as plain text, and as lines of JSON. `tether.cli.live` is for terminals that can do more."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from attrs import Factory, define, field, frozen

from tether import (
    AgentEnd,
    AgentStart,
    ApprovalAnswered,
    ApprovalRequested,
    AssistantMessage,
    Event,
    MessageEnd,
    MessageUpdate,
    ModelRetry,
    Text,
    TextDelta,
    ThinkingDelta,
    ToolExecutionEnd,
    ToolExecutionStart,
    ToolExecutionUpdate,
    Usage,
    UserMessage,
    to_json,
)
from tether.cli.changes.drawing import drawn_change
from tether.cli.door import DIM, Door, Drawn, as_door, joined, styled
from tether.cli.screen.fitting import fitted
from tether.cli.screen.reply import DrawnReply

__all__ = ()

_LONGEST_VALUE: Final = 60
_LONGEST_REASON: Final = 300
_LINES_SAID: Final = 20


class Display(Protocol):
    """Something that shows events."""

    def show(self, event: Event) -> None:
        """Show what happened."""
        ...

    def stop(self) -> None:
        """End the display of a run; also called where its last event did not come."""
        ...


@frozen
class Waiting:
    """What a person has said to an agent that works, and when it will be heard."""

    text: str
    when: str


@define
class JsonLines:
    """Every event as one line of JSON, as `tether.to_json` writes it, with what a terminal obeys as JSON escapes."""

    out: Door = field(converter=as_door)

    def show(self, event: Event) -> None:
        """Write the event."""
        self.out.write_json(to_json(event).decode())
        self.out.flush()

    def stop(self) -> None:
        """Do nothing: every line is written already."""


@define
class Screen:
    """Text as it comes, each tool call on a line of its own, and the tokens at the end.

    While a question to the person is open, nothing is written: the question stays the last line.

    Args:
        out: where the answer goes: what the model writes.
        notes: where all else goes; to `out` if None.
        reply: draws what the model writes as Markdown, at a terminal; without it, that is written as it comes.
    """

    out: Door = field(converter=as_door)
    notes: Door = field(
        converter=as_door, default=Factory(lambda screen: screen.out, takes_self=True)
    )
    reply: DrawnReply | None = None
    _calls: dict[str, str] = field(factory=dict)
    _turns: int | None = None
    """Those of the run so far; None where its start was not seen."""
    _by_rules: bool = False
    """Whether the offline model has answered, which spends nothing."""
    _open: set[tuple[str, ...]] = field(factory=set)
    """The questions that are open: the path of agents, and the call."""
    _held: list[Event] = field(factory=list)

    def show(self, event: Event) -> None:
        """Show what happened."""
        path, inner = innermost(event)
        if isinstance(inner, ApprovalAnswered):
            self._open.discard((*path, inner.call_id))
        self._held.append(event)
        if not self._open:
            self._show_held()
        if isinstance(inner, ApprovalRequested):
            self._end_lines()
            self._open.add((*path, inner.call_id))

    def _show_held(self) -> None:
        held, self._held = self._held, []
        for event in held:
            self._show(event)

    def _show(self, event: Event) -> None:
        match event:
            case AgentStart():
                self._turns = 0
            case MessageUpdate(TextDelta(text)):
                self._write_reply(text)
            case MessageUpdate(ThinkingDelta(text)):
                self._end_reply()
                self._write(self.notes, styled(text, DIM))
            case MessageEnd(message) if message.role == "assistant":
                self._turns = None if self._turns is None else self._turns + 1
                self._by_rules = message.model == "offline"
                self._end_lines()
                if (why := reply_end_line(message)) is not None:
                    self._line(why)
            case ToolExecutionStart(call_id, name, arguments):
                self._calls[call_id] = call_line(name, arguments)
            case ToolExecutionUpdate():
                self._update(event)
            case ToolExecutionEnd(call_id):
                self._line(
                    "\n".join([result_line(self._calls.pop(call_id), event), *todo_lines(event)])
                )
                for line in drawn_change(event):
                    self._write(self.notes, self._fitted(joined([line, "\n"])))
            case ModelRetry():
                self._line(retry_line(event))
            case AgentEnd():
                self._line(end_line(event, self._turns, by_rules=self._by_rules))
            case _:
                pass

    def stop(self) -> None:
        """End the line."""
        self._open.clear()
        self._show_held()
        self._calls.clear()
        self._end_lines()

    def _update(self, update: ToolExecutionUpdate) -> None:
        # Where several calls run at once, each line says whose it is.
        whose = "" if len(self._calls) == 1 else f"{brief(self._calls[update.call_id])} "
        for line in progress_lines(update):
            self._line(f"  {whose}| {line}")

    def _line(self, text: str) -> None:
        self._end_reply()
        self.notes.start_line()
        self._write(self.notes, self._fitted(styled(f"{text}\n", DIM)))

    def _fitted(self, drawn: Drawn) -> Drawn:
        return drawn if self.reply is None else fitted(drawn, self.reply.size()[0])

    def _write_reply(self, text: str) -> None:
        if self.reply is None:
            self._write(self.out, text)
        else:
            self.notes.start_line()
            self.reply.add(text)
            self.out.flush()

    def _end_reply(self) -> None:
        if self.reply is not None:
            self.reply.finish()
            self.out.flush()

    def _end_lines(self) -> None:
        self._end_reply()
        for door in (self.out, self.notes):
            door.start_line()
            # The two may be one file: what is written to one must be there before the other is.
            door.flush()

    def _write(self, door: Door, text: str) -> None:
        door.write(text)
        door.flush()


def call_line(name: str, arguments: Mapping[str, object]) -> str:
    """Write a call in a line."""
    shown = ", ".join(f"{name}={brief(repr(value))}" for name, value in arguments.items())
    return f"{name}({shown})"


def innermost(event: Event) -> tuple[tuple[str, ...], Event]:
    """Return the event of the agent that it comes from, and the path of agents down to that one."""
    if isinstance(event, ToolExecutionUpdate) and event.event is not None:
        return (event.call_id, *event.path), event.event
    return (), event


def progress_lines(update: ToolExecutionUpdate) -> Sequence[str]:
    """Write the progress of a running tool; for an agent inside it, the tools that it calls."""
    match update.event:
        case ToolExecutionStart(_, name, arguments):
            return [f"{' > '.join(update.path)}: {call_line(name, arguments)}"]
        case _:
            texts = [getattr(block, "text", f"[{block.type}]") for block in update.content]
            return [line for text in texts for line in text.splitlines()]


def result_line(call: str, end: ToolExecutionEnd) -> str:
    """Write the result of a call in a line."""
    result = end.result
    why = result.text.removeprefix(f"This call was {result.outcome}: ")  # the model's sentence
    outcome = f" {result.outcome}: {brief(why, _LONGEST_REASON)}" if result.is_error else ""
    return f"{'!' if result.is_error else '*'} {call} {end.duration:.2f} s{outcome}"


def todo_lines(end: ToolExecutionEnd) -> Sequence[str]:
    """Write the list of what is to be done, where that is what a call was about."""
    if end.name != "todo":
        return []
    from tether.toolbox.todo import items_in  # noqa: PLC0415 - where it is needed: the command starts without the tools

    items = items_in(end.result.details)
    return [f"  {item.line}" for item in items or ()]


def said_line(message: UserMessage) -> str:
    """Write what a person said as it stands on the screen, without what was attached to it; folded where it is long."""
    first = message.content[0] if message.content else None
    text = first.text if isinstance(first, Text) else f"[{getattr(first, 'type', 'nothing')}]"
    return "> " + "\n  ".join(first_lines(text))


def first_lines(text: str) -> Sequence[str]:
    """Return the lines of a text; of a long one the first, and how many there are more."""
    lines = text.split("\n")
    more = len(lines) - _LINES_SAID
    return lines if more <= 1 else [*lines[:_LINES_SAID], f"... {more:,} more lines"]


def reply_end_line(reply: AssistantMessage) -> str | None:
    """Write that a reply was cut off, in a line; None for one that ended by itself, or with an error."""
    match reply.stop_reason:
        case "aborted":
            return "! the reply was cut off"
        case "length":
            return "! the reply has reached its limit of tokens"
        case _:
            return None


def retry_line(retry: ModelRetry) -> str:
    """Write why the model is asked again, in a line."""
    why = brief(retry.error.message, _LONGEST_REASON)
    return f"! attempt {retry.attempt} failed: {why}; next one in {retry.delay:.0f} s"


def end_line(end: AgentEnd, turns: int | None, *, by_rules: bool = False) -> str:
    """Write how a run ended, in a line; without its turns where they are not known.

    Args:
        end: the end.
        turns: how many there were.
        by_rules: whether the offline model has answered: what it counts as tokens is of no use to a person.
    """
    why = {
        "limit": f"; stopped at the limit of {end.limit}",
        "length": "; stopped: replies reached their limit of tokens",
        "aborted": "; stopped",
    }
    counted = "" if turns is None else f"{turns} turn{'s' if turns != 1 else ''}, "
    spent = "no tokens: the offline model follows rules" if by_rules else _tokens(end.usage)
    return f"- {counted}{spent}{why.get(end.stop_reason, '')}"


def brief(text: str, longest: int = _LONGEST_VALUE) -> str:
    """Shorten a text to a part of a line."""
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


def _tokens(usage: Usage) -> str:
    cached = f" ({usage.cache_read_tokens:,} from cache)" if usage.cache_read_tokens else ""
    about = "about " if usage.estimated else ""
    return f"{about}{usage.input_tokens:,} tokens in{cached}, {usage.output_tokens:,} out"
