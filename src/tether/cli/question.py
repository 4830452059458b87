"""A question to the person whether a call may run: what will be done, as a person reads it."""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import anyio
from attrs import define, field

from tether import ToolCall
from tether.advice.rules import Rule
from tether.cli.changes.differences import difference, drawn_difference, marked
from tether.cli.door import BOLD, DIM, YELLOW, Drawn, joined, revealed, styled, visible
from tether.cli.keyboard import forget_typed
from tether.opening import open_regular, read_at_most

__all__ = ()

_LARGEST_FILE: Final = 1024 * 1024
"""Bytes of a file that is compared with what is written."""
_MOST_LINES: Final = 2_000
_MOST_OF_A_CHANGE: Final = 40
"""Lines of a change to a file that are shown until the person asks for all."""
_LEAST_OF_A_CHANGE: Final = 8
_ROUND_A_CHANGE: Final = 10
"""Lines of a screen that are left for the rest."""


@define(eq=False)
class Question:
    """A question to the person, who answers with a line.

    Attributes:
        line: what asks; it stands where the prompt does.
        details: lines above it.
    """

    line: str
    details: Drawn = field(default=Drawn())
    answered: anyio.Event = field(factory=anyio.Event)
    text: str = ""
    """The answer, once there is one."""

    @property
    def drawn(self) -> Drawn:
        """All of it, for a terminal of which nothing is known."""
        return self.drawn_with(BOLD, YELLOW)

    def drawn_with(self, *styles: str) -> Drawn:
        """Draw all of it, and what asks in these styles."""
        return joined([self.details, styled(self.line, *styles)])

    def answer(self, text: str) -> None:
        """Take the answer."""
        self.text = text
        self.answered.set()


def as_question(question: "str | Question") -> Question:
    """Make a question of a text of one line or several."""
    if isinstance(question, Question):
        return question
    details, newline, line = question.rpartition("\n")
    return Question(line, styled(details + newline))


def is_yes(answer: str) -> bool:
    """Say whether an answer is yes."""
    return answer.strip().lower() in {"y", "yes"}


def at_terminal() -> bool:
    """Say whether there is a person to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def is_agreed(question: str) -> bool:
    """Ask at the terminal, and wait for a line in this thread. What was typed before is not an answer.

    Returns:
        Whether the answer is yes.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; what the shell writes next begins a line.
    """
    forget_typed()
    try:
        # A signal may also come while this is written.
        print(styled(question, BOLD, YELLOW), end="", file=sys.stderr, flush=True)
        return is_yes(sys.stdin.readline())
    except KeyboardInterrupt:
        print(file=sys.stderr)
        raise


def room_on_screen() -> int:
    """Say how many lines of a change fit a screen, with the question below."""
    lines = shutil.get_terminal_size().lines - _ROUND_A_CHANGE
    return min(max(lines, _LEAST_OF_A_CHANGE), _MOST_OF_A_CHANGE)


def question_about(
    call: ToolCall,
    *,
    is_here: bool = True,
    suggested: Sequence[Rule] = (),
    room: int | None = _MOST_OF_A_CHANGE,
) -> Question:
    """Ask whether a call may run.

    Args:
        call: the call. Paths in it are relative to the working folder.
        is_here: whether that is a folder of this machine, so that its files show what the call will change.
        suggested: the rules that the answer `p` adds.
        room: how many lines of a change to a file are shown; None for all.

    Returns:
        A question that shows what the call will do, every character that could deceive written out.
    """
    if room is None or call.name not in {"write_file", "edit_file"}:
        most, hint = _MOST_LINES, ""
    else:
        most, hint = room, "; d shows all"
    return Question(
        f"Run it? y = once, a = always allow {visible(call.name)}, n = no, or type a reason: ",
        joined(
            [
                *_limited(_lines(call, is_here=is_here), most, hint),
                *_offer(suggested),
            ]
        ),
    )


def _offer(suggested: Sequence[Rule]) -> Iterator[Drawn]:
    if suggested:
        patterns = ", ".join(f"`{rule.pattern or rule.tool}`" for rule in suggested)
        yield revealed(f"p = always allow {patterns} in this folder (see /rules)", DIM)
        yield styled("\n")


def _limited(lines: Iterator[Drawn], most: int, hint: str) -> Iterator[str]:
    for line in islice(lines, most):
        yield from (line, "\n")
    if more := sum(1 for _ in lines):
        yield styled(f"... and {more:,} more lines{hint}\n", BOLD)


def _lines(call: ToolCall, *, is_here: bool) -> Iterator[Drawn]:
    match call.name, dict(call.arguments):
        case "run_command", {"command": str(command), **others}:
            yield revealed(f"{call.name}{_in_line(others)}", BOLD)
            yield from _indented(command)
        case "write_file", {"path": str(path), "content": str(content), **others}:
            before = _content(path) if is_here else None
            new = "" if not is_here or os.path.lexists(path) else " (a new file)"
            yield revealed(f"{call.name} {path}{new}{_in_line(others)}", BOLD)
            yield from drawn_difference(difference(before or "", content))
        case "edit_file", {"path": str(path), "old": str(old), "new": str(text), **others}:
            yield revealed(f"{call.name} {path}{_in_line(others)}", BOLD)
            yield from _edit(
                _content(path) if is_here else old,
                old,
                text,
                all_places=bool(others.get("all_places")),
            )
        case _, arguments:
            yield revealed(call.name, BOLD)
            yield from _arguments(arguments)


def _in_line(arguments: Mapping[str, Any]) -> str:
    shown = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    return f"  ({shown})" if shown else ""


def _arguments(arguments: Mapping[str, Any]) -> Iterator[Drawn]:
    for name, value in arguments.items():
        if isinstance(value, str) and "\n" in value:
            yield revealed(f"  {name}:")
            yield from _indented(value)
        else:
            yield revealed(f"  {name}: {value if isinstance(value, str) else repr(value)}")


def _indented(text: str) -> Iterator[Drawn]:
    return (revealed(f"  | {line}") for line in text.split("\n"))


def _content(path: str) -> str | None:
    """Read what a file holds; None where there is none that can be compared."""
    try:
        # What is outside of the working folder is not read: the tool will refuse it.
        located = Path(path).resolve()
        if not located.is_relative_to(Path.cwd()):
            return None
        with open_regular(located, path) as file:
            content = read_at_most(file, _LARGEST_FILE)
    except (OSError, ValueError, RuntimeError):
        return None
    return None if content is None else content.decode(errors="replace").replace("\r\n", "\n")


def _edit(content: str | None, old: str, new: str, *, all_places: bool) -> Iterator[Drawn]:
    old, new = old.replace("\r\n", "\n"), new.replace("\r\n", "\n")
    if content is not None and old and old in content:
        changed = content.replace(old, new, -1 if all_places else 1)
        yield from drawn_difference(difference(content, changed))
    else:
        missing = "(this text is not found there)"
        yield from drawn_difference([missing, *marked("-", old), *marked("+", new)])
