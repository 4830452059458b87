"""AGENTS.md and its relatives: which are read, in what order, and how far; and those of folders below."""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.cli.context.files import app_of, written

from tether import CustomMessage, Session, ToolResultMessage
from tether.advice.compaction import COMPACTION
from tether.cli.assembly import extend, new_app
from tether.cli.context.commands import context
from tether.cli.context.instructions import MOST, joined_in, read_instructions
from tether.cli.conversation import Conversation
from tether.cli.display import Screen
from tether.cli.extensions import App, untrusted_files
from tether.cli.question import Question
from tether.testing import ScriptedModel, call


def sections(app: App) -> list[str]:
    known = app.context
    assert known is not None
    return [f"{one.name}: {one.text}" for one in known.instructions]


def test_they_come_from_the_person_then_from_the_repository_down_to_the_folder(
    project: Path,
) -> None:
    config, repository = project.parent.parent / "config", project.parent
    written(config / "AGENTS.md", "mine")
    written(repository.parent / "AGENTS.md", "outside of the repository")
    written(repository / "CLAUDE.md", "root")
    written(project / "AGENTS.md", "\ufeffhere\r\n")
    assert sections(app_of(is_allowed=False)) == [f"{config}/AGENTS.md: mine"]
    assert sections(app_of()) == [
        f"{config}/AGENTS.md: mine",
        f"{repository}/CLAUDE.md: root",
        "AGENTS.md: here",
    ]


@pytest.mark.parametrize(
    ("there", "counts"),
    [
        (("AGENTS.override.md", "AGENTS.md", "CLAUDE.md"), "AGENTS.override.md"),
        (("AGENTS.md", "CLAUDE.md"), "AGENTS.md"),
        (("CLAUDE.md",), "CLAUDE.md"),
        (("README.md",), None),
    ],
)
def test_one_of_a_folder_counts(project: Path, there: tuple[str, ...], counts: str | None) -> None:
    for name in there:
        written(project / name, name)
    assert sections(app_of()) == ([f"{counts}: {counts}"] if counts else [])


def test_outside_of_a_repository_only_the_folder_counts(project: Path) -> None:
    (project.parent / ".git").rmdir()
    written(project.parent / "AGENTS.md", "above")
    written(project / "AGENTS.md", "here")
    assert sections(app_of()) == ["AGENTS.md: here"]


def test_all_together_are_bounded_and_what_is_cut_is_said(project: Path) -> None:
    first = written(project / "a.md", "a" * (MOST - 10))
    second = written(project / "b.md", "b" * 20)
    found, problems = read_instructions([first, second], project)
    assert [len(one.text) for one in found] == [MOST - 10, 10]
    assert "[cut here" in found[1].section
    assert problems == [f"b.md is cut: instructions may have {MOST:,} bytes, all together"]


def test_what_is_no_regular_file_is_told_and_holds_nobody(project: Path) -> None:
    os.mkfifo(project / "AGENTS.md")
    written(project / "empty.md", "  \n")
    missing = project / "missing.md"
    found, problems = read_instructions(
        [project / "AGENTS.md", project / "empty.md", missing], project
    )
    assert found == []
    assert "FIFO" in problems[0]
    assert "missing.md is left out" in problems[1]


def test_they_are_asked_about_and_asked_again_when_they_change(project: Path) -> None:
    asked: list[list[str]] = []

    def ask(files: Sequence[Path]) -> bool:
        asked.append([file.name for file in files])
        return True

    for text in ("one", "one", "two"):
        written(project / "AGENTS.md", text)
        written(project / ".tether" / "commands" / "go.md", "Go.")
        extend(new_app(system=None, append_system=None, max_turns=None, session=None), ask)
    assert asked == [["AGENTS.md", "go.md"], ["AGENTS.md"]]


def test_what_nobody_may_read_stops_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is there and cannot be opened, as for a user that has no right to."""
    written(project / "AGENTS.md", "secret")
    before = Path.open

    def refusing(path: Path, *arguments: Any, **named: Any) -> Any:
        if path.name == "AGENTS.md":
            raise PermissionError(13, "Permission denied")
        return before(path, *arguments, **named)

    monkeypatch.setattr(Path, "open", refusing)
    assert app_of().context is not None
    assert untrusted_files(app_of(), folder=project / "none", project=project) == [
        project / "AGENTS.md"
    ]


async def ran(app: App, *script: Any) -> list[ToolResultMessage]:
    app.agent.model = ScriptedModel(*script)
    await app.agent.prompt("go")
    return [m for m in app.agent.messages if isinstance(m, ToolResultMessage)]


async def test_those_of_a_folder_below_join_with_the_first_call_that_works_there(
    project: Path,
) -> None:
    written(project / "AGENTS.md", "top")
    written(project / "src" / "AGENTS.md", "of src")
    written(project / "src" / "deep" / "CLAUDE.md", "of deep")
    for name in ("src/deep/a.txt", "src/b.txt"):
        written(project / name, name)
    app = app_of()
    before = app.agent.system
    at_once = [call("read_file", path="src/deep/a.txt"), call("read_file", path="src/b.txt")]
    results = await ran(app, at_once, call("list_files", path="src/deep"), "done")
    assert [len(result.content) for result in results][2] == 1
    assert sorted(section.splitlines()[1] for section in joined_in(app.agent.messages)) == [
        "of deep",
        "of src",
    ]
    assert app.agent.system == before


async def test_a_conversation_that_is_resumed_knows_which_have_joined(
    project: Path, tmp_path: Path
) -> None:
    written(project / "AGENTS.md", "top")
    written(project / "src" / "AGENTS.md", "of src")
    written(project / "src" / "b.txt", "b")
    for count in (1, 1):
        with Session.open(tmp_path / "s.jsonl") as session:
            app = app_of()
            app.agent.session = session
            app.agent.reset(session.messages)
            await ran(app, call("read_file", path="src/b.txt"), "done")
            assert len(joined_in(app.agent.messages)) == count


async def test_they_join_again_when_the_model_no_longer_sees_them(project: Path) -> None:
    written(project / "AGENTS.md", "top")
    written(project / "src" / "AGENTS.md", "of src")
    written(project / "src" / "b.txt", "b")
    app = app_of()
    results = await ran(app, call("read_file", path="src/b.txt"), "done")
    assert len(joined_in(results)) == 1
    app.agent.reset([*app.agent.messages, CustomMessage(COMPACTION, {}, id="c")])
    assert joined_in(app.agent.messages) == []


@pytest.mark.parametrize(
    "path", ["node_modules/x/a.txt", "../a.txt", "link/a.txt", "missing/a.txt", "a.txt"]
)
async def test_what_is_not_of_the_project_does_not_join(project: Path, path: str) -> None:
    written(project / "AGENTS.md", "top")
    written(project / "a.txt", "a")
    for name in ("node_modules/x", "../other"):
        written(project / name / "AGENTS.md", "of others")
        written(project / name / "a.txt", "a")
    (project / "link").symlink_to(project.parent / "other")
    results = await ran(app_of(), call("read_file", path=path), "done")
    assert joined_in(results) == []


@pytest.mark.parametrize(("answer", "joins"), [("y", True), ("no", False), (None, False)])
async def test_where_nothing_else_was_allowed_a_person_is_asked_once(
    project: Path, answer: str | None, joins: bool
) -> None:
    written(project / "src" / "AGENTS.md", "of src")
    written(project / "src" / "b.txt", "b")
    asked: list[str] = []

    async def ask(question: Question) -> str:
        asked.append(str(question.line))
        return answer or ""

    app = app_of()
    app.ask = None if answer is None else ask
    results = await ran(
        app, call("read_file", path="src/b.txt"), call("read_file", path="src/b.txt"), "done"
    )
    assert len(joined_in(results)) == joins
    assert len(asked) == (answer is not None)
    again = app_of()
    assert len(joined_in(await ran(again, call("read_file", path="src/b.txt"), "done"))) == joins


async def test_context_shows_what_was_loaded_and_its_tokens(project: Path) -> None:
    written(project / "AGENTS.md", "word " * 400)
    written(project / "src" / "AGENTS.md", "of src")
    written(project / "src" / "b.txt", "b")
    written(project / ".tether" / "skills" / "odd" / "SKILL.md", "nothing")
    app = app_of(system="Be brief.")
    await ran(app, call("read_file", path="src/b.txt"), "done")
    conversation = Conversation(app, Screen(io.StringIO()), print)
    lines = context(conversation).splitlines()
    about = {name: tokens for tokens, _, name in (line.strip().partition("  ") for line in lines)}
    assert 500 < int(about["AGENTS.md"]) < 530
    assert "src/AGENTS.md, since a tool worked there" in about
    assert "4 messages" in about
    assert lines[-1] == (
        "  .tether/skills/odd/SKILL.md is left out: it has no head with a name and a description "
        "between lines of ---"
    )
    assert context(conversation, "prompt") == app.agent.system
