"""Markdown that is settled while it arrives."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from tether.cli.markdown import GrowingMarkdown, rendered


def test_a_line_break_is_shown_where_the_model_made_it() -> None:
    shown = "one\n\x1b[3mtwo\x1b[0m three\n\nfour\n"
    assert rendered("one\n*two* three\n\nfour", 60) == shown


BLOCKS = st.sampled_from(
    [
        "# Title\n\n",
        "Some *words*\nin two lines\n\n",
        "- one\n- two\n\n  more of two\n\n",
        "1. first\n2. second\n",
        "```py\nx = 1\n\ny = 2\n```\n",
        "> quoted\n\n",
        "| a | b |\n|---|---|\n| 1 | 2 |\n\n",
        "Over\n====\n",
        "***\n",
        "    indented\n",
        "漢字\n\n",
    ]
)


def pieces(text: str, cuts: list[int]) -> list[str]:
    growing = GrowingMarkdown()
    ends = sorted({cut % (len(text) + 1) for cut in cuts} | {len(text)})
    found = [growing.add(text[a:b]) for a, b in zip([0, *ends], ends, strict=False)]
    return [piece.text for piece in [*found, growing.finish()] if piece is not None]


def words(shown: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m|\s+", "", shown)


@given(st.lists(BLOCKS, max_size=8).map("".join), st.lists(st.integers(0, 500)))
@example("- one\n\ntext\n", list(range(12)))
def test_nothing_is_lost_and_what_is_settled_looks_as_in_the_whole(
    text: str, cuts: list[int]
) -> None:
    found = pieces(text, cuts)
    assert "".join(found) == text
    apart = "".join(rendered(piece, 60) for piece in found)
    assert words(apart) == words(rendered(text, 60))


def test_a_block_is_settled_as_soon_as_it_can_be() -> None:
    growing = GrowingMarkdown()
    assert growing.add("# Title") is None
    piece = growing.add("\n")
    assert piece is not None
    assert piece.text == "# Title\n"
    assert growing.add("```py\nx = 1\n\n") is None
    piece = growing.add("y = 2\n```\nand")
    assert piece is not None
    assert piece.text == "```py\nx = 1\n\ny = 2\n```\n"
    assert growing.rest == "and"


def test_a_long_block_is_taken_apart_and_code_stays_code() -> None:
    growing = GrowingMarkdown()
    lines = [f"line_{number} = {number}\n" for number in range(500)]
    found = [piece for line in ["```py\n", *lines] if (piece := growing.add(line)) is not None]
    assert len(found) > 2
    assert not any(piece.ends_block for piece in found)
    assert all(piece.text.startswith("```py\n") for piece in found)
    rest = growing.finish()
    assert rest is not None
    code = "".join(piece.text.removeprefix("```py\n") for piece in [*found, rest])
    assert code == "".join(lines)


def test_a_long_line_is_taken_apart_between_words() -> None:
    growing = GrowingMarkdown()
    found = [growing.add(f"word{number} ") for number in range(1000)]
    texts = [piece.text for piece in found if piece is not None]
    assert len(texts) >= 2
    assert all(text.endswith(" ") for text in texts)
