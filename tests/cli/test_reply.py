"""A reply in Markdown at a terminal without a line editor."""

import io

import pyte
import pytest

from tether.cli.door import Door, printable
from tether.cli.markdown import rendered
from tether.cli.screen.reply import DrawnReply
from tether.cli.screen.theme import PLAIN_THEME

SIZE = (40, 6)
REPLY = (
    "# Knots\n\nA **bowline** holds `any` load that you may hang from it, and it can be untied.\n\n"
    "- one\n- two, which is a long item that goes on below\n\n" + "many words " * 30 + "\n\n```python\nx = 1\n```\n"
)  # fmt: skip


class Shown(pyte.HistoryScreen):
    """A terminal."""

    def __init__(self) -> None:
        super().__init__(*SIZE, history=1_000, ratio=0.5)
        self.set_mode(pyte.modes.LNM)

    def text(self) -> str:
        rows = [*self.history.top, *(self.buffer[row] for row in range(self.lines))]
        lines = ["".join(row[x].data for x in range(self.columns)).rstrip() for row in rows]
        return "\n".join(lines).strip()


@pytest.mark.parametrize("length", [5, 1_000])
def test_however_it_arrives_the_whole_stands_there_at_last(length: int) -> None:
    shown, times = Shown(), iter(range(10_000))
    stream = pyte.Stream(shown)
    out = io.StringIO()
    reply = DrawnReply(
        Door(out, escapes=True), lambda: SIZE, PLAIN_THEME, now=lambda: float(next(times))
    )
    for start in range(0, len(REPLY), length):
        reply.add(REPLY[start : start + length])
    reply.finish()
    stream.feed(out.getvalue())
    whole = printable(rendered(REPLY, SIZE[0], PLAIN_THEME)).strip()
    assert "\n".join(line.rstrip() for line in whole.splitlines()) == shown.text()


def test_what_has_come_is_there_before_its_block_ends() -> None:
    out = io.StringIO()
    reply = DrawnReply(Door(out, escapes=True), lambda: SIZE, PLAIN_THEME)
    reply.add("Once **upon**")
    assert "Once upon" in printable(out.getvalue())


def test_without_escape_sequences_each_block_is_written_once() -> None:
    out = io.StringIO()
    reply = DrawnReply(Door(out, escapes=False), lambda: SIZE, PLAIN_THEME)
    for letter in REPLY:
        reply.add(letter)
    reply.finish()
    assert "\x1b" not in out.getvalue()
    assert out.getvalue().count("bowline") == 1
    assert all(len(line) <= SIZE[0] for line in out.getvalue().splitlines())
