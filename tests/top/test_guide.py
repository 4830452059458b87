"""The guide of `tether top` says what there is."""

import re
from pathlib import Path

import pytest

import tether
from tether.cli.top_command import parse
from tether.top.screen import HELP

GUIDE = (Path(tether.__file__).parent / "top" / "README.md").read_text(encoding="utf-8")


def rows(title: str) -> list[tuple[str, str]]:
    """A table, by the title of its first column."""
    table = GUIDE.split(f"| {title} |")[1].split("\n\n")[0]
    return [(a, b) for a, b in re.findall(r"^\| `([^`]+)` \| (.*) \|$", table, re.MULTILINE)]


def test_the_keys_are_those_of_the_help_page() -> None:
    assert rows("key") == list(HELP)


def test_the_options_are_those_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"])
    shown = capsys.readouterr().out
    text = " ".join(shown.split())
    named = re.findall(r"^  (--[a-z-]+)", shown, re.MULTILINE)
    assert [option for option, _ in rows("option")] == named
    for option, meaning in rows("option"):
        assert meaning in text, option
