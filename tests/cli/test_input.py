"""What a person puts into a line beside words: commands of their own, notes, files, folders, pictures."""

import base64
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cli.test_conversation import talking
from tests.waiting import until_blocked

from tether import Agent, Text, UsageError, UserMessage
from tether.cli.attachments import message_with_files
from tether.cli.conversation import Interrupted
from tether.cli.extensions import trust_of
from tether.cli.input.clipboard import (
    PastedPictures,
    attached,
    clipboard_image,
    pasted_picture,
)
from tether.cli.input.completing import completions, file_names
from tether.cli.input.notes import keep_note, note_file, note_in
from tether.cli.input.trees import attached_names, last_word, listing, walked
from tether.testing import ScriptedModel

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("TETHER_CONFIG_HOME", str(tmp_path / "config"))
    return here


# Commands of one's own.


async def test_a_command_of_ones_own_is_shown_and_read_with_the_next_message() -> None:
    agent = Agent(ScriptedModel("Seen.", "Bye."))
    async with talking(agent) as person:
        await person.does("!echo one; printf two; exit 3")
        while len(person.told) < 3:
            await until_blocked()
        assert person.told == [
            "one",
            "two",
            "(exit code 3; the agent reads the output with your next message)",
        ]
        assert not agent.messages
        await person.does("what was that?", "bye")
    [said, _, bye, _] = agent.messages
    assert isinstance(said, UserMessage)
    assert said.content == (
        Text("what was that?"),
        Text("I ran `echo one; printf two; exit 3`:\none\ntwo\n[exit code 3]"),
    )
    assert bye.text == "bye"


async def test_ctrl_c_ends_a_command_of_ones_own_and_what_it_printed_is_read() -> None:
    agent = Agent(ScriptedModel("Seen."))
    async with talking(agent) as person:
        await person.does("!echo begun; exec sleep 600")
        while not person.told:
            await until_blocked()
        await person.does(Interrupted())
        while len(person.told) < 2:
            await until_blocked()
        assert person.told == ["begun", "(interrupted)"]
        await person.does("go on")
    [said, _] = agent.messages
    assert isinstance(said, UserMessage)
    assert said.content[1:] == (Text("I ran `echo begun; exec sleep 600`:\nbegun\n[cut off]"),)


async def test_a_long_output_is_bounded_on_the_screen_and_for_the_agent() -> None:
    agent = Agent(ScriptedModel("Seen."))
    async with talking(agent) as person:
        await person.does("!seq 100000")
        while not any("more lines" in one for one in person.told):
            await until_blocked()
        assert "(and 98,000 more lines)" in person.told
        await person.does("go on")
    [said, _] = agent.messages
    assert isinstance(said, UserMessage)
    assert len(said.content[1].text) < 40_000  # type: ignore[union-attr]  # it is a text


# Notes.


@pytest.mark.parametrize(
    ("line", "note"),
    [
        *(("#use tabs", "use tabs"), ("#  use tabs ", "use tabs"), ("# 3 spaces", "3 spaces")),
        *(("#12 is open", None), ("## Heading", None), ("#", None), ("# one\ntwo", None)),
        *(("#!/bin/sh", None), ("a #b", None)),
    ],
)
def test_what_is_a_note(line: str, note: str | None) -> None:
    assert note_in(line) == note


async def test_a_note_is_kept_and_read_and_its_file_stays_trusted(folder: Path) -> None:
    agent = Agent(ScriptedModel("Seen.", "Seen."))
    async with talking(agent) as person:
        path = folder / "AGENTS.md"
        assert await person.does("# use tabs") == ["(noted in AGENTS.md, a new file)"]
        assert await person.does("#be brief") == ["(noted in AGENTS.md)"]
        assert path.read_text() == "## Notes\n\n- use tabs\n- be brief\n"
        await person.does("hi")
        trust = trust_of(person.conversation.app, folder.parent / "config")
        assert trust.allows(path)
        path.write_text("something else")
        await person.does("#more")
        assert not trust.allows(path), "what others wrote into it is not trusted by a note"
    assert isinstance(agent.messages[0], UserMessage)
    assert len(agent.messages[0].content) == 3


async def test_a_note_that_cannot_be_kept_is_said(folder: Path) -> None:
    (folder / "AGENTS.md").mkdir()
    async with talking(Agent(ScriptedModel())) as person:
        [told] = await person.does("#use tabs")
    assert told.startswith("! the note is not kept: ")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "## Notes\n\n- n\n"),
        ("# P\n\ntext", "# P\n\ntext\n\n## Notes\n\n- n\n"),
        ("## Notes\n\n- a\n", "## Notes\n\n- a\n- n\n"),
        ("## Notes\n", "## Notes\n\n- n\n"),
        ("## Notes\n- a\n\n## Other\nx\n", "## Notes\n\n- a\n- n\n\n## Other\nx\n"),
        ("a\r\n\r\n## Notes\r\n\r\n- a\r\n", "a\r\n\r\n## Notes\r\n\r\n- a\r\n- n\r\n"),
    ],
)
def test_a_note_is_put_under_its_heading(folder: Path, before: str, after: str) -> None:
    path = folder / "AGENTS.md"
    path.write_bytes(before.encode())
    keep_note("n", path)
    assert path.read_bytes().decode() == after


@given(
    st.text(alphabet="#N otes-\n", max_size=40).map(lambda text: text.replace("Ntes", "## Notes"))
)
def test_nothing_of_the_file_is_lost(text: str) -> None:
    path = Path("AGENTS.md")
    path.write_text(text)
    keep_note("kept", path)
    words = [line for line in path.read_text().split("\n") if line.strip()]
    before = [line for line in text.split("\n") if line.strip()]
    for line in (*before, "- kept"):
        assert line.rstrip() in [word.rstrip() for word in words]
    assert len(words) - len(before) in {1, 2}


def test_the_file_for_notes_is_the_nearest_one_up_to_the_root_of_the_repository(
    folder: Path,
) -> None:
    deep = folder / "a" / "b"
    deep.mkdir(parents=True)
    (folder.parent / "AGENTS.md").touch()
    assert note_file(deep) == deep / "AGENTS.md"
    (folder / ".git").mkdir()
    assert note_file(deep) == deep / "AGENTS.md"
    (folder / "AGENTS.md").touch()
    assert note_file(deep) == folder / "AGENTS.md"
    (deep.parent / "AGENTS.md").touch()
    assert note_file(deep) == deep.parent / "AGENTS.md"


def test_a_link_stays_a_link_and_bytes_of_others_stay(folder: Path) -> None:
    (folder / "CLAUDE.md").write_bytes(b"caf\xe9\n")
    (folder / "AGENTS.md").symlink_to("CLAUDE.md")
    keep_note("n", folder / "AGENTS.md")
    assert (folder / "AGENTS.md").is_symlink()
    assert (folder / "CLAUDE.md").read_bytes() == b"caf\xe9\n\n## Notes\n\n- n\n"


# Files and folders.


@pytest.fixture
def tree(folder: Path) -> Path:
    for name in (
        "src/cli/conversation.py",
        "src/cli/my notes.md",
        "docs/a.md",
        "build/out.py",
        "x y/z.txt",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / ".hidden").touch()
    (folder / ".gitignore").write_text("build/\n")
    return folder


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("@conv", ["@src/cli/conversation.py"]),
        ("@cnvr", ["@src/cli/conversation.py"]),
        ("@s/conv", ["@src/cli/conversation.py"]),
        ("@CLI", ["@src/cli/"]),
        ("@src/", ["@src/cli/"]),
        ("@notes", ['@"src/cli/my notes.md"']),
        ('@"my n', ['@"src/cli/my notes.md"']),
        ("@x", ['@"x y/']),
        ('@"x y/', ['@"x y/z.txt"']),
        ("@out", []),
        ("@build/o", ["@build/out.py"]),
        ("@.h", ["@.hidden"]),
        ("@zzz", []),
    ],
)
@pytest.mark.usefixtures("tree")
def test_files_and_folders_are_completed_by_some_of_their_letters(
    word: str, expected: list[str]
) -> None:
    found = list(attached_names(word, file_names))
    assert found[: len(expected)] == expected
    assert bool(found) == bool(expected)


@pytest.mark.usefixtures("tree")
async def test_a_name_with_spaces_is_one_word() -> None:
    assert last_word('see @"my no') == '@"my no'
    assert last_word('see @"my notes" and') == "and"
    async with talking(Agent(ScriptedModel())) as person:
        [found] = completions(person.conversation, 'look at @"src/cli/my n')
    assert found == '@"src/cli/my notes.md"'


def test_a_walk_is_over_in_time_and_looks_at_the_nearest_first(folder: Path) -> None:
    (folder / "a" / "b" / "c").mkdir(parents=True)
    (folder / "z").touch()
    assert list(walked(folder, 60)) == ["a/", "z", "a/b/", "a/b/c/"]
    ticks = iter(range(100))
    assert list(walked(folder, 2, lambda: float(next(ticks)))) == ["a/", "z"]
    assert list(walked(folder / "missing", 60)) == []


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize("name", ["src", "src/", "src/./"])
def test_a_folder_is_attached_as_a_listing(name: str) -> None:
    told: list[str] = []
    [_, attached_text] = message_with_files(f"see @{name}.", told.append).content
    assert isinstance(attached_text, Text)
    head, *names = attached_text.text.splitlines()
    assert head.endswith("/ has:")
    assert names == ["cli/", "cli/conversation.py", "cli/my notes.md"]
    assert told == []


def test_a_long_listing_says_that_it_is_cut(folder: Path) -> None:
    assert listing(folder) == "[nothing]"
    for n in range(510):
        (folder / f"{n:03}").touch()
    assert listing(folder).splitlines()[-2:] == ["499", "[the first 500; there are more]"]


# Pictures.


class Programs:
    """Programs of a system, and what they print."""

    def __init__(self, **outputs: bytes) -> None:
        self.outputs = outputs
        self.ran: list[str] = []

    def run(self, words: Sequence[str]) -> bytes:
        self.ran.append(" ".join(words))
        found = [out for part, out in self.outputs.items() if part.replace("_", "/") in words[-1]]
        return found[0] if found else b""

    def which(self, name: str) -> str | None:
        return name if name in {"wl-paste", "xclip"} else None


@pytest.mark.parametrize(
    ("environ", "programs"),
    [
        (
            {"WAYLAND_DISPLAY": "w"},
            Programs(**{"--list-types": b"text/plain\nimage/png\n", "image_png": PNG}),
        ),
        ({"DISPLAY": ":0"}, Programs(TARGETS=b"TIMESTAMP\nimage/jpeg\nimage/png\n", image_png=PNG)),
        ({"WSL_DISTRO_NAME": "x"}, Programs(Add=base64.b64encode(PNG) + b"\r\n")),
    ],
)
def test_the_picture_of_the_clipboard_is_taken_by_the_program_of_the_system(
    environ: dict[str, str], programs: Programs
) -> None:
    assert clipboard_image(environ, "linux", programs.run, programs.which) == PNG


def test_on_a_mac_it_is_taken_with_what_every_mac_has() -> None:
    hexadecimal = PNG.hex().upper().encode()
    programs = Programs(clipboard="«data PNGf".encode() + hexadecimal + "»\n".encode())
    assert clipboard_image({}, "darwin", programs.run, programs.which) == PNG


@pytest.mark.parametrize(
    ("environ", "which", "why"),
    [
        ({}, [], "attach the picture's file with @path"),
        ({"WAYLAND_DISPLAY": "w"}, [], "install wl-clipboard"),
        ({"DISPLAY": ":0"}, [], "by xclip: install it"),
        ({"DISPLAY": ":0"}, ["xclip"], "there is no picture in the clipboard"),
    ],
)
def test_where_there_is_none_it_is_said_why(
    environ: dict[str, str], which: list[str], why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        clipboard_image(environ, "linux", lambda _: b"", lambda name: name in which or None)


def test_a_program_that_fails_has_no_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "wl-paste"
    script.write_text("#!/bin/sh\nexit 1\n")
    script.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(UsageError, match="no picture"):
        clipboard_image({"WAYLAND_DISPLAY": "w"}, "linux")


def test_a_picture_that_was_pasted_is_a_file_until_the_person_leaves() -> None:
    pictures = PastedPictures()
    one, two = Path(pictures.keep(PNG)), Path(pictures.keep(PNG))
    assert one != two
    assert one.suffix == ".png"
    assert one.parent.stat().st_mode & 0o077 == 0
    [_, image] = message_with_files(f"see {attached(str(one))}", pytest.fail).content
    assert image.type == "image"
    pictures.close()
    assert not one.parent.exists()


def test_the_path_of_a_picture_that_is_dropped_on_the_terminal_is_attached(folder: Path) -> None:
    plain, spaced = folder / "a.png", folder / "my shot.PNG"
    for path in (plain, spaced):
        path.write_bytes(PNG)
    escaped = str(spaced).replace(" ", "\\ ")
    for text in (str(spaced), escaped, f"'{spaced}'", f'"{spaced}" ', spaced.as_uri()):
        assert pasted_picture(text) == str(spaced), text
    assert attached(str(spaced)) == f'@"{spaced}"'
    assert pasted_picture(f"{plain}\n") == str(plain)
    for text in (f"see {plain}", "a.png", f"{folder}/b.png", f"{plain}\n{plain}", "it's.png", ""):
        assert pasted_picture(text) is None, text


@pytest.mark.parametrize("text", ["/a.png " * 300_000, f"/{'a' * 5_000}.png"], ids=["words", "one"])
def test_a_long_text_that_ends_like_the_path_of_a_picture_is_pasted_as_it_is(text: str) -> None:
    assert pasted_picture(text) is None
