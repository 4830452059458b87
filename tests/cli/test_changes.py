"""What a conversation changes in files: shown, and taken back without harm to what others have changed."""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cli.test_conversation import Person, talking, texts

from tether import Agent, Session, ToolResultMessage, tool
from tether.cli.assembly import add_recording
from tether.cli.changes import snapshots as snapshots_module
from tether.cli.changes.snapshots import LARGEST_FILE, Change, Snapshots, state_of
from tether.cli.changes.undoing import changes_since, undo_changes
from tether.cli.display import Screen
from tether.cli.door import GREEN, RED, Door, printable
from tether.cli.session_files import changes_folder
from tether.testing import ScriptedModel, call
from tether.toolbox import coding_tools


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TETHER_DATA_HOME", str(tmp_path / "data"))
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    (here / "a.txt").write_text("one\ntwo\n")
    return here


def write(path: str, content: str) -> object:
    return call("write_file", path=path, content=content)


def edit(old: str, new: str) -> object:
    return call("edit_file", path="a.txt", old=old, new=new)


def agent_that(*replies: object, session: Session | None = None) -> Agent:
    return Agent(ScriptedModel(*replies), tools=coding_tools("."), session=session)  # type: ignore[arg-type]  # scripted


def noting(person: Person, session: Path | None = None) -> None:
    person.conversation.changes = add_recording(person.conversation.agent, session)


async def says(person: Person, *lines: str) -> None:
    """Say lines, and wait for the runs: tools work in threads."""
    for line in lines:
        await person.does(line)
        await person.conversation.agent.wait_idle()


async def test_what_a_message_has_changed_is_taken_back_with_it(folder: Path) -> None:
    agent = agent_that(
        [edit("two", "three"), write("new/deep/b.txt", "b\n")],
        edit("three", "four"),
        "Done.",
        edit("four", "five"),
        "Done.",
    )
    os.chmod(folder / "a.txt", 0o640)
    async with talking(agent) as person:
        noting(person)
        await says(person, "first", "second")
        assert (folder / "a.txt").read_text() == "one\nfive\n"
        assert await person.does("/undo --files") == ["a.txt is as it was\n7 messages are left"]
        assert (folder / "a.txt").read_text() == "one\nfour\n"
        [told] = await person.does("/undo --files")
        assert sorted(told.splitlines()) == [
            "0 messages are left",
            "a.txt is as it was",
            "new/deep/b.txt is removed",
        ]
        assert await person.does("/diff") == ["no file was changed in this conversation"]
    assert (folder / "a.txt").read_text() == "one\ntwo\n"
    assert (folder / "a.txt").stat().st_mode & 0o777 == 0o640
    assert os.listdir(folder) == ["a.txt"], "folders that were made for it are gone too"


async def test_without_files_they_stay_and_it_is_said(folder: Path) -> None:
    async with talking(agent_that(edit("two", "three"), "Done.", "Hello.")) as person:
        noting(person)
        await says(person, "first", "second")
        assert await person.does("/undo") == ["4 messages are left"]
        assert await person.does("/undo") == [
            "0 messages are left; 1 file stays as changed (`/undo --files` takes files back too)"
        ]
    assert (folder / "a.txt").read_text() == "one\nthree\n"


async def test_what_something_else_has_changed_since_is_not_overwritten(folder: Path) -> None:
    writes = [write(name, "mine\n") for name in ("a.txt", "b.txt", "c.txt", "gone.txt")]
    async with talking(agent_that(writes, "Done.")) as person:
        noting(person)
        await says(person, "go")
        (folder / "a.txt").write_text("theirs\n")
        (folder / "gone.txt").unlink()
        [diff] = await person.does("/diff")
        assert "a.txt (also changed by something else since)" in diff
        [told] = await person.does("/undo --files")
        assert sorted(told.splitlines()) == [
            "! a.txt was changed by something else since: it is left as it is",
            "! gone.txt was changed by something else since: it is left as it is",
            "0 messages are left",
            "b.txt is removed",
            "c.txt is removed",
        ]
    assert (folder / "a.txt").read_text() == "theirs\n"


async def test_the_changes_survive_the_process(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "data" / "sessions" / "here" / "s.jsonl"
    path.parent.mkdir(parents=True)
    with Session.open(path) as session:
        async with talking(agent_that(edit("two", "three"), "Done.", session=session)) as person:
            noting(person, path)
            await says(person, "first")
    with Session.open(path) as session:
        agent = agent_that(session=session)
        async with talking(agent) as person:
            noting(person, path)
            [diff] = await person.does("/diff")
            assert diff.splitlines() == [
                "a.txt",
                "  @@ -1,2 +1,2 @@",
                "   one",
                "  -two",
                "  +three",
            ]
            assert await person.does("/diff nosuch") == [
                "nosuch was not changed in this conversation"
            ]
            await person.does("/undo --files")
        assert texts(agent) == []
    assert (folder / "a.txt").read_text() == "one\ntwo\n"
    assert [*Snapshots(changes_folder(path))] == []
    kept = changes_folder(path)
    assert kept == path.with_suffix(".changes")
    assert {file.stat().st_mode & 0o777 for file in kept.iterdir()} == {0o600}


def test_snapshots_are_never_in_the_folder_of_a_person(folder: Path, tmp_path: Path) -> None:
    own = changes_folder(folder / "work.jsonl")
    assert own.is_relative_to(tmp_path / "data")
    assert own != changes_folder(folder.parent / "work.jsonl")


async def test_a_call_that_changes_nothing_is_no_change_and_one_that_fails_may_be() -> None:
    @tool(kind="edit")
    async def break_file(path: str) -> str:
        """Break it."""
        Path(path).write_text("half")  # noqa: ASYNC240 - a file in a test
        raise OSError("the disk is full")

    model = ScriptedModel(
        [write("a.txt", "one\ntwo\n"), call("break_file", path="b.txt")],  # type: ignore[list-item]  # scripted
        call("edit_file", path="\0", old="a", new="b"),
        "Done.",
    )
    agent = Agent(model, tools=[*coding_tools("."), break_file])
    async with talking(agent) as person:
        noting(person)
        await says(person, "go")
        [told] = await person.does("/undo --files")
    assert told.splitlines() == ["b.txt is removed", "0 messages are left"]


async def test_calls_at_once_about_one_file_are_changes_one_after_the_other(folder: Path) -> None:
    writes = [write("b.txt", f"{n}\n") for n in range(5)]
    async with talking(agent_that(writes, "Done.")) as person:
        noting(person)
        await says(person, "go")
        assert len([*person.conversation.changes]) == 5
        await person.does("/undo --files")
    assert not (folder / "b.txt").exists()


async def test_the_difference_is_in_the_result_and_on_the_screen() -> None:
    agent = agent_that([edit("two", "three"), write("b.txt", "x\n" * 300)], "Done.")
    add_recording(agent, None)
    out = io.StringIO()
    screen = Screen(Door(out, escapes=True))
    async with agent.run("go") as run:
        async for event in run:
            screen.show(event)
    edited, written = [m.details for m in agent.messages if isinstance(m, ToolResultMessage)]
    assert edited == {"diff": "@@ -1,2 +1,2 @@\n one\n-two\n+three"}
    assert written["diff"].count("\n") == 200
    assert f"{RED}  -two" in out.getvalue()
    assert f"{GREEN}  +three" in out.getvalue()
    assert "  ... 189 more lines; /diff shows all" in printable(out.getvalue())


async def test_what_is_not_text_is_said_to_be_so() -> None:
    Path("a.txt").write_bytes(b"\0\1")  # noqa: ASYNC240 - a file in a test
    async with talking(agent_that(write("a.txt", "text\n"), "Done.")) as person:
        noting(person)
        await says(person, "go")
        [diff] = await person.does("/diff a.txt")
        assert diff == "a.txt\n  (its content is not text, or too long to be compared)"
        await person.does("/undo --files")
    assert Path("a.txt").read_bytes() == b"\0\1"  # noqa: ASYNC240 - as above


def changed(snapshots: Snapshots, path: Path, content: bytes) -> None:
    before = state_of(path)
    snapshots.keep(before)
    path.write_bytes(content)
    after = state_of(path).digest
    snapshots.record(Change(request="r", path=str(path), before=before.digest, after=after))


def test_a_very_large_file_is_not_kept_and_left(folder: Path) -> None:
    snapshots, path = Snapshots(), folder / "large"
    with open(path, "wb") as file:
        file.truncate(LARGEST_FILE + 1)
    changed(snapshots, path, b"small")
    assert undo_changes(snapshots, [*snapshots]) == [
        "! large is left as it is: what it was is not kept, as it is too large"
    ]
    assert path.read_bytes() == b"small"


def test_the_oldest_contents_go_when_there_are_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots_module, "_MOST_KEPT", 3_000)
    snapshots, path = Snapshots(tmp_path / "changes"), tmp_path / "file"
    contents = [os.urandom(1_000) for _ in range(10)]
    for n, content in enumerate(contents):
        changed(snapshots, path, content)
        for kept in (tmp_path / "changes").glob("?" * 64):
            os.utime(kept, (n, n)) if kept.stat().st_mtime > 1_000 else None
    assert len([*(tmp_path / "changes").iterdir()]) <= 6
    [said] = undo_changes(snapshots, [*snapshots][:1])
    assert said.startswith("!")
    [said] = undo_changes(snapshots, [*snapshots][-1:])
    assert path.read_bytes() == contents[-2]


def test_damaged_notes_are_passed_over_and_an_unwritable_folder_is_done_without(
    tmp_path: Path,
) -> None:
    folder, path = tmp_path / "changes", tmp_path / "file"
    changed(Snapshots(folder), path, b"new")
    notes = folder / "changes.jsonl"
    notes.write_text(f'[]\n{{"undone": 3}}\n{notes.read_text()}{{"request": "half')
    assert [place for place, _ in Snapshots(folder)] == [0]
    (tmp_path / "no").touch()
    unkept = Snapshots(tmp_path / "no" / "changes")
    changed(unkept, path, b"newer")
    assert undo_changes(unkept, [*unkept]) == [f"{path} is as it was"]
    assert path.read_bytes() == b"new"


def test_a_fork_takes_back_only_what_followed_its_own_message(folder: Path) -> None:
    """Changes of another branch stay, unless they came after the message that is taken back."""
    snapshots = Snapshots()
    for request in ("first", "branch", "other branch"):
        path = folder / request
        snapshots.keep(state_of(path))
        path.write_text("x")
        after = state_of(path).digest
        snapshots.record(Change(request=request, path=str(path), before=None, after=after))
    assert changes_since(snapshots, {"nothing"}) == []
    undo_changes(snapshots, changes_since(snapshots, {"other branch"}))
    assert sorted(os.listdir(folder)) == ["a.txt", "branch", "first"]
    undo_changes(snapshots, changes_since(snapshots, {"first"}))
    assert os.listdir(folder) == ["a.txt"]


STEPS = st.lists(st.tuples(st.booleans(), st.sampled_from(["x", "y", None, "z"])))


@given(STEPS)
def test_undo_leaves_what_something_else_has_written(
    steps: Sequence[tuple[bool, str | None]],
) -> None:
    """Whatever the agent and others have done to a file, what is left is what others had made of it, or as it is."""
    with TemporaryDirectory() as there:
        path, snapshots = Path(there) / "file", Snapshots()
        path.write_text("start")
        of_others: list[str | None] = ["start"]
        for is_agent, content in steps:
            before = state_of(path)
            path.unlink(missing_ok=True)
            if content is not None:
                path.write_text(content)
            digest = state_of(path).digest
            if not is_agent:
                of_others.append(content)
            elif digest != before.digest:
                snapshots.keep(before)
                snapshots.record(
                    Change(request="r", path=str(path), before=before.digest, after=digest)
                )
        now = state_of(path)
        [*changes] = snapshots
        undo_changes(snapshots, changes)
        left = path.read_text() if path.exists() else None
        if not [*snapshots]:
            assert left == "start" or len(of_others) > 1
        assert left in of_others or state_of(path) == now
        if of_others == ["start"]:
            assert left == "start"
