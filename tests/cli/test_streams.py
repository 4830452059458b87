"""Standard streams as people have them: closed, full, without a reader, and in other encodings."""

import io
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

import pytest

from tether.cli.main import main
from tether.cli.streams import warn

FULL = Path("/dev/full")
COMMANDS = [
    ["models"],
    ["sessions"],
    ["config"],
    ["help"],
    ["--help"],
    ["--version"],
    ["--no-init", "list ."],
    ["--no-init", "--json", "list ."],
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.endswith("_API_KEY")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TETHER_MODEL", "offline")
    monkeypatch.setenv("TETHER_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TETHER_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def a_file(stack: ExitStack, path: Path | int, mode: str, encoding: str) -> TextIO:
    stream = open(path, mode, encoding=encoding)  # noqa: SIM115 - the stack closes it
    assert isinstance(stream, io.TextIOWrapper)
    stack.callback(stream.close)
    return stream


def without_reader(stack: ExitStack) -> TextIO:
    reads, writes = os.pipe()
    os.close(reads)
    return a_file(stack, writes, "w", "utf-8")


def full(stack: ExitStack) -> TextIO:
    if not FULL.exists():
        pytest.skip("there is no /dev/full")
    return a_file(stack, FULL, "w", "utf-8")


def closed(_: ExitStack) -> None:
    """As Python has a descriptor that was closed when the process began."""


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (full, "tether: standard output: No space left on device\n"),
        (closed, "tether: standard output: Bad file descriptor\n"),
        (without_reader, ""),
    ],
)
def test_an_output_that_takes_nothing_is_told_in_a_line_and_no_reader_is_met_with_silence(
    words: Sequence[str],
    make: Callable[[ExitStack], TextIO | None],
    said: str,
    opened: ExitStack,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stream = make(opened)
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(words) == (1 if said else 0)
    assert sys.stdout is stream
    # What tools do is told beside the answer.
    told = capsys.readouterr().err.splitlines(keepends=True)
    assert "".join(line for line in told if line[0] not in "*-") == said


@pytest.mark.parametrize("make", [full, closed])
def test_where_errors_cannot_be_written_they_are_dropped(
    make: Callable[[ExitStack], TextIO | None],
    opened: ExitStack,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stderr", make(opened))
    assert main(["--model", "nobody:x", "hi"]) == 2
    monkeypatch.delenv("TETHER_MODEL")
    assert main(["--no-init", "list ."]) == 0
    assert capsys.readouterr().out.startswith(". holds: ")


@pytest.mark.parametrize("words", [["--no-init", "read café.txt"], ["--no-init", "read", "-"]])
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_has_no_encoding_is_replaced(
    words: Sequence[str],
    encoding: str,
    folder: Path,
    opened: ExitStack,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (folder / "café.txt").write_text("olé €", encoding="utf-8")
    (folder / "in").write_text("café.txt", encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", a_file(opened, folder / "in", "r", "utf-8"))
    monkeypatch.setattr(sys, "stdout", a_file(opened, folder / "out", "w", encoding))
    assert main(words) == 0
    line = (folder / "out").read_text(encoding=encoding).splitlines()[0]
    assert line == "café.txt begins: olé €".encode(encoding, "replace").decode(encoding)


def test_json_is_utf_8_in_any_locale(
    folder: Path, opened: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", a_file(opened, folder / "out", "w", "ascii"))
    assert main(["--no-init", "--json", "list café"]) == 0
    read = [json.loads(line) for line in (folder / "out").read_bytes().splitlines()]
    said = [one["message"]["content"] for one in read if one["type"] == "message_start"]
    assert said[0][0]["text"] == "list café"


@pytest.mark.parametrize(
    "words", [["--no-init", "--json", "-"], ["--no-init", "--json", "list \udce9"]]
)
def test_bytes_that_are_no_text_are_replaced(
    words: Sequence[str],
    folder: Path,
    opened: ExitStack,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / "in").write_bytes(b"list \xe9")
    monkeypatch.setattr(sys, "stdin", a_file(opened, folder / "in", "r", "utf-8"))
    assert main(words) == 0
    assert '"text":"list \N{REPLACEMENT CHARACTER}' in capsys.readouterr().out


def test_a_closed_input_is_an_empty_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["--no-init"]) == 2
    assert "the request is empty" in capsys.readouterr().err
    assert main(["--no-init", "list ."]) == 0
    assert main(["--no-init", "list", "-", "."]) == 0


def test_an_input_that_cannot_be_read_is_told(
    monkeypatch: pytest.MonkeyPatch, opened: ExitStack, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", full(opened))
    assert main(["--no-init", "-"]) == 2
    assert capsys.readouterr().err == "tether: standard input: Bad file descriptor\n"


@pytest.mark.parametrize(
    "words", [["sessions"], ["config"], ["--no-init", "hi"], ["--no-init", "resume", "x", "hi"]]
)
def test_a_folder_that_is_gone_is_told(
    words: Sequence[str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / "gone").mkdir()
    monkeypatch.chdir(folder / "gone")
    (folder / "gone").rmdir()
    assert main(words) in {1, 2}
    told = "tether: the working folder no longer exists; change to another one\n"
    assert capsys.readouterr().err == told
    assert main(["models"]) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_request_is_read_ends_the_command(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Stdin(io.StringIO):
        def read(self, size: int | None = -1, /) -> str:
            signal.raise_signal(number)
            return "hi"

    monkeypatch.setattr(sys, "stdin", Stdin())
    assert main(["-"]) == 128 + number
    assert capsys.readouterr() == ("", "")


class AtATerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_what_is_said_at_a_terminal_breaks_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    for stream in (AtATerminal(), io.StringIO()):
        monkeypatch.setattr(sys, "stderr", stream)
        warn("no conversation is called that in /tmp/somewhere")
        assert stream.getvalue().split() == [
            *["tether:", "no", "conversation", "is", "called", "that", "in", "/tmp/somewhere"]
        ]
        lines = stream.getvalue().splitlines()
        assert (max(map(len, lines)) <= 30) is stream.isatty()
