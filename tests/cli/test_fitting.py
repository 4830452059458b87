"""Lines that fit: words stay whole, styles go on, wide characters count twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tether.cli.door import DIM, PLAIN, printable, styled
from tether.cli.screen.fitting import cut, fitted, width_of


@given(st.text("ab c漢🙂 \n", max_size=200), st.integers(8, 60))
def test_every_line_fits_and_only_spaces_are_lost(text: str, width: int) -> None:
    shown = fitted(styled(text, DIM), width)
    assert all(width_of(line) <= width for line in shown.split("\n"))
    assert printable(shown).split() == text.split() or "".join(printable(shown).split()) == "".join(
        text.split()
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("one two three four", ["one two", "three", "four"]),
        ("  one two three", ["  one two", "  three"]),
        ("a   one two three", ["a   one", "    two", "    three"]),
        ("abcdefghijklmnop", ["abcdefghi", "jklmnop"]),
        ("漢字かなと", ["漢字かな", "と"]),
        ("x\n\ny", ["x", "", "y"]),
    ],
)
def test_where_lines_break(text: str, shown: list[str]) -> None:
    assert fitted(text, 9).split("\n") == shown


def test_a_style_goes_on_in_the_next_line() -> None:
    assert fitted(styled("one two", DIM), 5).split("\n") == [f"{DIM}one{PLAIN}", f"{DIM}two{PLAIN}"]


def test_what_is_cut_says_so() -> None:
    assert cut("short", 9) == "short"
    assert cut("漢字かなと", 8) == "漢字 ..."
    assert width_of(cut("x" * 200_000, 8)) == 8
    assert cut("long", 2) == ".."
