"""The line that is typed breaks between words, and the cursor stays where it is."""

from pathlib import Path

import pytest
from tests.cli.screen import terminal

pytest.importorskip("prompt_toolkit")

from prompt_toolkit.layout.screen import Char
from prompt_toolkit.utils import get_cwidth

from tether.cli.screen.wrapping import _mapped, room_behind


def rows(text: str, width: int, first: int = 0) -> list[str]:
    """The rows that a line takes where it is broken by its columns alone."""
    added = dict(room_behind(text, width, first))
    drawn = "^" * first + "".join(c + " " * added.get(place, 0) for place, c in enumerate(text))
    made = [""]
    for character in (Char(one).char for one in drawn):
        if get_cwidth(made[-1]) + get_cwidth(character) > width:
            made.append("")
        made[-1] += character
    return [row.rstrip() for row in made]


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("", [""]),
        ("one two", ["one two"]),
        ("one two three four", ["one two", "three four"]),
        ("one two three fours", ["one two", "three", "fours"]),
        ("one two th", ["one two th"]),
        ("one two thr", ["one two", "thr"]),
        ("0123456789 ab", ["0123456789", " ab"]),
        ("ab 0123456789", ["ab", "0123456789"]),
        ("ab 0123456789x c", ["ab 0123456", "789x c"]),
        ("ab    cdefghi", ["ab", "cdefghi"]),
        ("       ", [""]),
        ("one 通して締", ["one", "通して締"]),
        ("通して、締める", ["通して、締", "める"]),
        ("a\tb cdefgh", ["a^Ib", "cdefgh"]),
        ("a\t\tb cd ef", ["a^I^Ib cd", "ef"]),
    ],
)
def test_a_line_breaks_between_words(text: str, drawn: list[str]) -> None:
    assert rows(text, 10) == drawn


def test_what_stands_before_a_line_counts() -> None:
    assert rows("one two three", 10, first=2) == ["^^one two", "three"]
    assert rows("one two33 three", 10, first=2) == ["^^one", "two33", "three"]


def test_places_of_the_line_and_of_the_screen_belong_to_each_other() -> None:
    text = "one two three fours"
    added = room_behind(text, 10, 0)
    on_screen, in_line = _mapped(added)
    assert [in_line(on_screen(place)) for place in range(len(text) + 1)] == [*range(len(text) + 1)]
    assert [on_screen(place) for place in (0, 7, 8, 13, 14)] == [0, 7, 10, 15, 20]
    assert [in_line(place) for place in (7, 8, 9, 10, 20)] == [7, 8, 8, 8, 14]


def test_an_editor_breaks_the_line_and_keeps_the_cursor(tmp_path: Path) -> None:
    with terminal(tmp_path, columns=40, lines=12) as there:
        there.types("Please read the whole of the introduction and say it briefly")
        there.until("say it briefly")
        assert "> Please read the whole of the" in there.lines()
        assert "introduction and say it briefly" in there.lines()
        there.types("\x01Now: \x05.")  # at the beginning, then at the end
        there.until("briefly.")
        assert "> Now: Please read the whole of the" in there.lines()
        there.types("\x1b[D" * 8 + "very ")
        there.until("it very briefly.")
        there.says("")
        there.until("> Now: Please read the whole of the")
