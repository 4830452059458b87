"""The system prompt."""

from datetime import date
from pathlib import Path

from tests.cli.context.files import app_of, written

from tether.cli.context.system import SystemPrompt, system_prompt

DAY = date(2026, 11, 26)


def test_it_says_what_the_agent_is_and_where_it_works(project: Path) -> None:
    text = system_prompt(project, today=DAY)
    assert text.startswith("You are tether")
    assert f"Folder: {project} (in the Git repository {project.parent})" in text
    assert "Date: 2026-11-26" in text
    assert "/bin/sh" in text
    assert len(text) < 2_000  # it is sent with each request
    assert text == system_prompt(project, today=DAY)  # so that it is cached


def test_it_knows_a_repository_from_another_folder(tmp_path: Path) -> None:
    assert "(not in a Git repository)" in system_prompt(tmp_path)
    (tmp_path / ".git").write_text("gitdir: elsewhere")  # of a worktree
    assert "(a Git repository)" in system_prompt(tmp_path)


def test_a_person_replaces_it_or_adds_to_it(project: Path) -> None:
    assert system_prompt(project, replace="Be a pirate.") == "Be a pirate."
    assert system_prompt(project, replace="A.", append="B.") == "A.\n\nB."
    assert system_prompt(project, replace="") == ""
    added = SystemPrompt(append="Answer in verse.").in_folder(project, today=DAY)
    assert added == f"{system_prompt(project, today=DAY)}\n\nAnswer in verse."


def test_what_is_loaded_stands_behind_it_and_is_taken_back(project: Path) -> None:
    written(project / "AGENTS.md", "Use tabs.")
    app = app_of(system="Be brief.")
    assert app.agent.system is not None
    assert app.agent.system.startswith("Be brief.\n\n# Instructions")
    assert "Use tabs." in app.agent.system
    elsewhere = app.system_in(project.parent)
    assert elsewhere is not None
    assert elsewhere.startswith("Be brief.\n\n#")
    app.forget()
    assert app.agent.system == "Be brief."


def test_that_of_an_extension_stays(project: Path) -> None:
    written(project.parent.parent / "config" / "init.py", "app.agent.system = 'Mine.'")
    written(project / "AGENTS.md", "Use tabs.")
    app = app_of()
    assert app.agent.system is not None
    assert app.agent.system.startswith("Mine.\n\n# Instructions")
    assert app.system_in(Path("/elsewhere")) == app.agent.system
