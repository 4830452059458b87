"""The door: nobody's text commands the terminal, and no module of the command writes past it."""

import ast
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import strategies

import tether.cli
from tether import (
    AgentEnd,
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
    ToolResultMessage,
    from_json,
)
from tether.cli.display import JsonLines, Screen
from tether.cli.door import (
    BOLD,
    DIM,
    PLAIN,
    Door,
    door,
    joined,
    notes,
    printable,
    revealed,
    styled,
    visible,
)
from tether.cli.live import Live
from tether.cli.markdown import rendered
from tether.messages import Failure

FOLDER = Path(tether.cli.__file__).parent

OBEYED = (
    *(chr(code) for code in range(0x20) if chr(code) not in "\t\n"),
    *(chr(code) for code in range(0x7F, 0xA0)),
    *"\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e",
    *"\u2060\u2066\u2067\u2068\u2069\ufeff\ufff9\U000e0001\U000e0041\ud800",
)
"""What a terminal obeys, or hides."""

HOSTILE = f"evil{''.join(OBEYED)}\x1b]0;title\x07\x1b[2J\x9b31m\x1bP+q\x1b\\text"


def harmless(text: str) -> bool:
    return not set(OBEYED) & set(text)


def undrawn(text: str) -> str:
    """What stands there but for our own styles."""
    import re

    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a\tb\n\x1b[31mc\x1b(B\x00\r", "a\tb\nc"),
        ("\x9b31mred", "red"),
        ("\x1b]0;title\x07a\x9d0;title\x9cb\x1b]8;;http://x\x1b\\c", "abc"),
        ("\x1bP+q544e\x1b\\a\x90x\x9cb\x1b_G\x1b\\c", "abc"),
        ("\x1b\x1b[31m[31m", "[31m"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("na\u200bme\ufeff", "name"),
        ("\U000e0068\U000e0069", ""),
        ("\ud83d", "\ufffd"),
        (
            "👩\u200d💻 क\u200cष ❤\ufe0f é 漢字\u3000",
            "👩\u200d💻 क\u200cष ❤\ufe0f é 漢字\u3000",
        ),
    ],
)
def test_what_a_terminal_obeys_is_left_out_and_the_rest_stays(text: str, left: str) -> None:
    assert printable(text) == left


@given(st.text(st.sampled_from([*OBEYED, *"a[]0;m\\P "])))
def test_nothing_that_is_left_can_make_a_command_anew(text: str) -> None:
    assert harmless(printable(text))
    assert printable(printable(text)) == printable(text)


@pytest.mark.parametrize("start", ["\x9d", "\x90", "\x1b]", "\x1bP", "\x9b", "\x1b ", "\x1b"])
def test_many_commands_without_an_end_are_read_once(start: str) -> None:
    assert len(printable(start * 300_000)) < 1_000_000


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rm \x9b31m", "rm \\x9b31m"),
        ("a\u202eb\u2066", "a\\u202eb\\u2066"),
        ("\x1b[1A\r\x7f\x00", "\\x1b[1A\\x0d\\x7f\\x00"),
        ("a\u00a0b\u2003c\u3000d\u202f", "a\\xa0b\\u2003c\\u3000d\\u202f"),
        ("\u200b\u200d\ufeff\u00ad\u2060", "\\u200b\\u200d\\ufeff\\xad\\u2060"),
        ("\u3164\uffa0\u115f\u2800\ufe0f", "\\u3164\\uffa0\\u115f\\u2800\\ufe0f"),
        ("\U000e0041\U000e0100", "\\U000e0041\\U000e0100"),
        ("\u2028\x85\n", "\\u2028\\x85\\x0a"),
        ("\ud800", "\\ud800"),
        ("a\tb é漢字", "a       b é漢字"),
    ],
)
def test_what_cannot_be_seen_is_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert printable(revealed(text, BOLD)) == shown


# What is written.


def test_the_door_lets_drawn_text_through_and_makes_all_else_printable() -> None:
    out = io.StringIO()
    there = Door(out, escapes=True)
    print("a\x1b[31m", styled("b\x1b[31m\nc", DIM), file=there)
    assert out.getvalue() == f"a {DIM}b{PLAIN}\n{DIM}c{PLAIN}\n"
    assert there.at_line_start


def test_where_no_styles_are_wanted_drawn_text_has_none() -> None:
    out = io.StringIO()
    Door(out, escapes=False).write(joined([styled("b", DIM), "\x1b[31mc"]))
    assert out.getvalue() == "bc"


def test_text_that_is_put_together_by_other_means_is_not_drawn() -> None:
    out = io.StringIO()
    Door(out, escapes=True).write(f"{styled('b', DIM)}\x1b[1m")
    Door(out, escapes=True).write("".join([styled("b", DIM)]))
    assert out.getvalue() == "bb"


@pytest.mark.parametrize(
    ("value", "colours"), [(None, True), ("", True), ("1", False), ("0", False)]
)
def test_no_color_counts_where_it_is_not_empty(
    monkeypatch: pytest.MonkeyPatch, value: str | None, *, colours: bool
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if value is not None:
        monkeypatch.setenv("NO_COLOR", value)
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    with door():
        print(styled("a", DIM), "\x1b[31mb")
    assert terminal.getvalue() == (f"{DIM}a{PLAIN} b\n" if colours else "a b\n")


def test_what_fails_is_told_through_the_door(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, door():
        raise ValueError(HOSTILE)
    assert ended.value.code == 1
    told = capsys.readouterr().err
    assert "ValueError: evil" in told
    assert harmless(told)


def test_on_a_pipe_notes_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with door():
        print("note", file=notes())
    assert capsys.readouterr() == ("", "note\n")


ARGUMENTS = {HOSTILE: HOSTILE}
RESULT = ToolResultMessage("c1", HOSTILE, HOSTILE, outcome="error")
EVENTS: list[Event] = [
    MessageUpdate(TextDelta(HOSTILE)),
    MessageUpdate(ThinkingDelta(f"{HOSTILE}\n{HOSTILE}")),
    MessageEnd(AssistantMessage(HOSTILE)),
    ModelRetry(1, 0.5, Failure("server", HOSTILE)),
    ToolExecutionStart("c1", HOSTILE, ARGUMENTS),
    ToolExecutionUpdate("c1", HOSTILE, (Text(HOSTILE),)),
    ToolExecutionUpdate(
        "c1", HOSTILE, event=ToolExecutionStart("c2", HOSTILE, ARGUMENTS), path=(HOSTILE,)
    ),
    ApprovalRequested("c1", HOSTILE, ARGUMENTS),
    ApprovalAnswered("c1", HOSTILE, "denied", HOSTILE),
    ToolExecutionEnd("c1", HOSTILE, RESULT, 0.1),
    AgentEnd("error", error=Failure("server", HOSTILE)),
]


@pytest.mark.parametrize("escapes", [False, True])
def test_no_field_of_an_event_comes_through_the_screen(*, escapes: bool) -> None:
    out, aside = io.StringIO(), io.StringIO()
    screen = Screen(Door(out, escapes=escapes), Door(aside, escapes=escapes))
    for event in EVENTS:
        screen.show(event)
    assert "evil" in out.getvalue()
    assert "evil" in aside.getvalue()
    for text in (out.getvalue(), aside.getvalue()):
        assert harmless(undrawn(text) if escapes else text)


def test_while_a_question_is_open_the_screen_stays_as_it_is() -> None:
    out = io.StringIO()
    screen = Screen(out)
    inner = ApprovalRequested("c2", "b", {}), ApprovalAnswered("c2", "b", "once")
    requested, answered = (
        ToolExecutionUpdate("c1", "a", event=event, path=("kid",)) for event in inner
    )
    for event in (ToolExecutionStart("c1", "a", {}), MessageUpdate(TextDelta("before")), requested):
        screen.show(event)
    assert out.getvalue() == "before\n"
    screen.show(MessageUpdate(TextDelta("meanwhile")))
    assert out.getvalue() == "before\n"
    screen.show(answered)
    assert out.getvalue() == "before\nmeanwhile"
    screen.show(requested)
    screen.show(MessageUpdate(TextDelta(" at the end")))
    screen.stop()
    assert out.getvalue() == "before\nmeanwhile\n at the end\n"


def test_no_field_of_an_event_comes_through_the_live_display() -> None:
    out = io.StringIO()
    live = Live(out, lambda: 80, now=lambda: 0.0)
    for event in EVENTS:
        live.show(event)
        assert harmless(undrawn(live.above(80, 40)))
    live.stop()
    assert "evil" in out.getvalue()
    assert harmless(undrawn(out.getvalue()))


@given(strategies.events)
def test_json_is_raw_and_has_what_a_terminal_obeys_as_escapes(event: Event) -> None:
    out = io.StringIO()
    JsonLines(out).show(event)
    assert harmless(out.getvalue().removesuffix("\n"))
    assert from_json(out.getvalue()) == event


def test_json_escapes_stand_for_the_characters_that_they_replace() -> None:
    out = io.StringIO()
    text = "\x7f\x9b\u202e\U000e0041é漢"
    JsonLines(out).show(MessageUpdate(TextDelta(text)))
    assert json.loads(out.getvalue())["delta"]["text"] == text
    assert "\\u009b\\u202e\\udb40\\udc41é漢" in out.getvalue()


def test_markdown_of_others_brings_no_commands() -> None:
    assert harmless(undrawn(rendered(f"# {HOSTILE}\n\n```sh\n{HOSTILE}\n```\n", 80)))


# That there is no other way.

MAKE_DRAWN_TEXT = {"door", "markdown"}
KNOW_THE_TERMINAL = {
    "streams": {"buffer"},
    "editor": {"StdoutProxy", "write_raw"},  # a constant asks the terminal for its background
    "request": {"buffer"},  # of standard input
    "prompt": {"ANSI"},
    "map_command": {"Console"},  # a bar with figures of ours
    "top_command": {"create_output"},  # `tether.top.text` makes visible what others wrote
}
READ_OR_ASK = {"editor", "keyboard"}
"""They ask the terminal, and read what it sends."""
FORBIDDEN = {
    *("__stdout__", "__stderr__", "buffer", "create_output", "StdoutProxy", "ANSI", "Console"),
    *("print_formatted_text", "write_raw", "set_title"),
}


def names(path: Path) -> Iterator[tuple[str, Any]]:
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Name(name) | ast.Attribute(attr=name):
                yield name, node
            case ast.ImportFrom(names=imported):
                yield from ((alias.name, node) for alias in imported)
            case ast.Constant(str(value)):
                yield "\x1b" if "\x1b" in value else "", node
            case _:
                pass


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_nothing_goes_past_the_door(path: Path) -> None:
    used = {name for name, _ in names(path)}
    if path.stem not in MAKE_DRAWN_TEXT:
        allowed = KNOW_THE_TERMINAL.get(path.stem, set[str]())
        assert used & FORBIDDEN <= allowed
        assert "\x1b" not in used or path.stem in READ_OR_ASK, "styles are the door's"
        calls = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
        made = [n for n in calls if isinstance(n.func, ast.Name) and n.func.id == "Drawn"]
        assert all(not call.args for call in made), "text is drawn by `styled` and `joined`"
