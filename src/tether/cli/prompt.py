"""What stands before the line that is being typed: the prompt, or a question to the person.

A question takes the prompt's place when the editor draws anew. Only from then on a line is its answer: what was typed
before is thrown away where nobody has read it, and set aside where it stands in the line.
"""

import shutil
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

from tether.cli.door import Drawn, joined, styled
from tether.cli.keyboard import forget_keys
from tether.cli.live import Live
from tether.cli.question import Question
from tether.cli.screen.choice import Choice
from tether.cli.screen.fitting import fitted, width_of

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.formatted_text import ANSI

__all__ = ()

_PROMPT: Final = "> "
_ROOM_FOR_AN_ANSWER: Final = 30
"""Columns."""
_LINES_BELOW: Final = 3
"""The line that is typed, one that it may wrap to, and the status line."""


@define(eq=False)
class Prompt:
    """The prompt of an editor. All but `draw` runs in the editor's thread.

    Args:
        live: what still changes is drawn above.
        session: the editor.
    """

    live: Live
    session: "PromptSession[str]"
    asked: Question | None = field(default=None, init=False)
    """The question that is on the screen."""
    columns: int = field(default=0, init=False)
    """Those that stand before the line."""
    _wanted: Question | None = field(default=None, init=False)
    """The question that is to be on the screen: set when all of it is as it will be drawn."""
    _answered: Question | None = field(default=None, init=False)
    """The question that the line before this one has answered. The agent learns of that a moment later."""
    _set_aside: str = field(default="", init=False)
    _status: Any = field(init=False)
    """The line below, which a choice is drawn without: its keys are others."""

    def __attrs_post_init__(self) -> None:
        self._status = self.session.bottom_toolbar
        self.session.app.before_render += self._change

    def draw(self, asked: Question | None) -> None:
        """Have a question drawn, or taken away; one that is longer than the screen is printed above."""
        if asked is not None and asked.details and _height(asked.details) > _room():
            self.live.out.write(fitted(asked.details, shutil.get_terminal_size().columns))
            self.live.out.flush()
            asked.details = styled("(what it will do is shown above)\n")
        self._wanted = asked
        self.live.redraw()

    @property
    def choice(self) -> Choice | None:
        """The choice that is on the screen."""
        return self.asked if isinstance(self.asked, Choice) else None

    def begin(self) -> str:
        """Begin a line; return what stands in it: what was set aside for a question."""
        self._answered = self.asked
        self._put(None)
        text, self._set_aside = self._set_aside, ""
        return text

    def message(self) -> "ANSI":
        """Write what stands before the line."""
        from prompt_toolkit.formatted_text import ANSI  # noqa: PLC0415 - only at a terminal

        columns, lines = shutil.get_terminal_size()
        now = _PROMPT if self.asked is None else self._question(self.asked, columns)
        self.columns = width_of(now.rpartition("\n")[2])
        if self.session.app.is_done:
            return ANSI(joined([now]))  # it stays on the screen: what still changes must not
        below = 0 if self.asked is None else _height(now)
        room = min(lines // 2, lines - _LINES_BELOW - below)
        return ANSI(joined([self.live.above(columns, room) if room > 0 else "", now]))

    def _question(self, asked: Question, columns: int) -> Drawn:
        if isinstance(asked, Choice):
            asked.look_for(self.session.default_buffer.text)
            return asked.picture(columns, _room(), self.live.theme)
        drawn = fitted(asked.drawn_with(*self.live.theme.question), columns)
        # Where little room is left behind it, the answer stands below.
        is_long = width_of(drawn.rpartition("\n")[2]) > columns - _ROOM_FOR_AN_ANSWER
        return joined([drawn.rstrip(), "\n", _PROMPT]) if is_long else drawn

    def _change(self, _: Any) -> None:
        """Before it is drawn: put the question that is open in the prompt's place, or the prompt back."""
        question, line = self._wanted, self.session.default_buffer
        if question is self._answered:
            question = None  # what is typed now is behind it
        if question is self.asked or self.session.app.is_done:
            return
        if self.asked is None:
            self._set_aside = line.text
        line.reset()
        if question is None:
            line.insert_text(self.begin())
        else:
            # Not behind the drawing: a quick answer must not be lost.
            forget_keys(self.session.app)
        self._put(question)

    def _put(self, question: Question | None) -> None:
        self.asked = question
        self.session.bottom_toolbar = None if isinstance(question, Choice) else self._status


def _room() -> int:
    return max(shutil.get_terminal_size().lines - _LINES_BELOW - 1, 1)


def _height(drawn: str) -> int:
    """Count the lines that a text takes on the screen, those that wrap included."""
    return len(fitted(drawn, max(shutil.get_terminal_size().columns, 2)).split("\n"))
