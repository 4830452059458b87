"""Choices: what the filter lets through, what is drawn, and what is answered."""

import pytest

from tether.cli.door import printable
from tether.cli.screen.choice import Choice, Option
from tether.cli.screen.fitting import width_of
from tether.cli.screen.theme import DARK


def choice(*labels: str) -> Choice:
    return Choice("Which?", options=[option(n, label) for n, label in enumerate(labels)])


def option(number: int, label: str) -> Option:
    return Option(f"v{number}", label, "about", lambda: f"more of {number}")


def drawn(one: Choice, columns: int = 40, height: int = 20) -> list[str]:
    return printable(one.picture(columns, height, DARK)).split("\n")


def test_words_filter_in_any_order_and_what_is_looked_at_stays_within() -> None:
    one = choice("read the file", "write a file", "list")
    one.look_for("FILE re")
    assert [option.value for option in one.matching] == ["v0"]
    one.look_for("file")
    one.move(5)
    assert one.current == one.options[1]
    one.move(-9)
    assert one.current == one.options[0]
    one.look_for("nothing")
    one.move(1)
    assert one.current is None
    assert "  nothing matches" in drawn(one)


def test_the_list_has_a_window_and_a_preview() -> None:
    one = choice(*(f"thing {number}" for number in range(100)))
    one.move(50)
    lines = drawn(one)
    assert lines[0] == "Which?"
    assert lines[-1] == "filter: "
    assert "> thing 50  about" in lines
    assert "  | more of 50" in lines
    assert len(lines) <= 20
    assert len(drawn(one, height=6)) <= 6


def test_labels_of_others_command_nothing_and_fit() -> None:
    one = choice("\x1b[2J漢字" * 30 + "\nsecond line")
    lines = drawn(one)
    assert all(width_of(line) <= 40 for line in lines)
    assert "\x1b[2J" not in one.picture(40, 20, DARK)


@pytest.mark.parametrize(
    ("typed", "answer"), [("v1", "v1"), ("2", "v1"), ("", ""), ("9", ""), ("what", "")]
)
def test_a_plain_terminal_answers_with_a_number(typed: str, answer: str) -> None:
    one = choice("a", "b")
    assert "  2  b  about" in printable(one.drawn)
    one.answer(typed)
    assert one.text == answer
