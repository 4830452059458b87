"""Skills: where they are found, what is told of odd ones, and the three stages in which the model meets them."""

import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.cli.context.files import app_of, holding, written

from tether import ModelRequest, ToolCall, ToolResultMessage, UserMessage
from tether.cli.context.skills import find_skills
from tether.cli.conversation import Conversation
from tether.cli.display import Screen
from tether.cli.extensions import App
from tether.testing import ScriptedModel, call


def skill(place: Path, name: str, head: str | None = None, body: str = "Do it.") -> Path:
    told = f"name: {name}\ndescription: Does {name}." if head is None else head
    return written(place / name / "SKILL.md", f"---\n{told}\n---\n{body}\n")


def found(project: Path) -> tuple[dict[str, str], Sequence[str]]:
    skills, problems = find_skills([project / ".agents" / "skills"], project)
    return {one.name: one.description for one in skills}, problems


def problems_of(app: App) -> Sequence[str]:
    assert app.context is not None
    return app.context.problems


def test_they_are_found_where_people_have_them_and_the_nearer_counts(project: Path) -> None:
    top, home = project.parent, project.parent.parent / "home"
    places = [
        project / ".tether" / "skills",
        project / ".agents" / "skills",
        project / ".claude" / "skills",
        top / ".agents" / "skills",
        project.parent.parent / "config" / "skills",
        home / ".agents" / "skills",
        home / ".claude" / "skills",
    ]
    for number, place in enumerate(places):
        skill(place, f"one-{number}")
        skill(place, "same", f"name: same\ndescription: number {number}")
    mine = app_of(is_allowed=False)
    assert mine.context is not None
    assert [one.name for one in mine.context.skills] == ["one-4", "same", "one-5", "one-6"]
    app = app_of()
    assert app.context is not None
    names = [one.name for one in app.context.skills]
    assert sorted(names) == [*(f"one-{number}" for number in range(7)), "same"]
    assert next(one for one in app.context.skills if one.name == "same").description == "number 0"
    assert len(problems_of(app)) == 6
    assert ".tether/skills/same/SKILL.md is nearer" in problems_of(app)[0]


def test_the_same_skill_by_a_link_is_no_clash(project: Path) -> None:
    skill(project / ".agents" / "skills", "one")
    (project / ".claude").mkdir()
    (project / ".claude" / "skills").symlink_to(project / ".agents" / "skills")
    assert list(problems_of(app_of())) == []


@pytest.mark.parametrize(
    ("head", "description"),
    [
        ("name: one\ndescription: Use when: it rains", "Use when: it rains"),
        ("name: one\ndescription: |\n  Two\n  lines", "Two lines"),
        ('name: "one"\ndescription: "a --- b"\nmetadata:\n  x: y', "a --- b"),
        ("name: one\ndescription: 2026-11-26", "2026-11-26"),
        ("description: No name.", "No name."),
    ],
)
def test_heads_as_people_write_them(project: Path, head: str, description: str) -> None:
    skill(project / ".agents" / "skills", "one", head)
    assert found(project)[0] == {"one": description}


@pytest.mark.parametrize(
    ("head", "why"),
    [
        ("name: one", "it has no description"),
        ("name: One\ndescription: d", "must be lower-case letters"),
        ("name: a--b\ndescription: d", "must be lower-case letters"),
        (f"name: {'a' * 65}\ndescription: d", "must be lower-case letters"),
        ("name: [1]\ndescription: d", "its name must be a text, not a list"),
        ("- name", "its head must be lines of `key: value`"),
        ("name: one\n\tx: [", "its head is no YAML"),
        ("a: &a [1]\n" + "[" * 3000, "its head is no YAML"),
        ("", "it has no head"),
    ],
)
def test_what_is_malformed_is_told_and_the_others_stay(project: Path, head: str, why: str) -> None:
    skill(project / ".agents" / "skills", "good")
    skill(project / ".agents" / "skills", "odd", head)
    written(project / ".agents" / "skills" / "large" / "SKILL.md", "x" * 300_000)
    (project / ".agents" / "skills" / "binary").mkdir()
    (project / ".agents" / "skills" / "binary" / "SKILL.md").write_bytes(b"\0")
    names, problems = found(project)
    assert list(names) == ["good"]
    assert [problem.split("/")[2] for problem in problems] == ["binary", "large", "odd"]
    assert why in problems[2]


def test_what_is_odd_is_told_and_used(project: Path) -> None:
    skill(project / ".agents" / "skills", "one", f"name: two\ndescription: {'d' * 2000}")
    names, problems = found(project)
    assert {name: len(text) for name, text in names.items()} == {"two": 1024}
    assert "its name is two, and that of its folder one" in problems[0]
    assert "cut after 1,024 characters" in problems[1]


async def test_the_model_meets_a_skill_in_three_stages(project: Path) -> None:
    place = project / ".tether" / "skills"
    skill(place, "tidy", body="# Tidy\nRead reference.md.")
    written(place / "tidy" / "reference.md", "one\ntwo")
    written(place / "tidy" / "scripts" / "run.sh", "true")
    skill(place, "hidden", "name: hidden\ndescription: h\ndisable-model-invocation: true")
    app = app_of()

    def first(request: ModelRequest) -> ToolCall:
        assert "- tidy: Does tidy." in (request.system or "")
        assert "hidden" not in (request.system or "")
        assert "Read reference.md" not in (request.system or "")
        return call("skill", name="tidy")

    app.agent.model = ScriptedModel(
        first,
        call("skill", name="tidy", file="reference.md", offset=2),
        call("skill", name="tidy", file="../../../AGENTS.md"),
        call("skill", name="other"),
        "done",
    )
    await app.agent.prompt("tidy up")
    texts = [m.text for m in app.agent.messages if isinstance(m, ToolResultMessage)]
    assert "# Tidy\nRead reference.md." in texts[0]
    assert "Its files: reference.md, scripts/run.sh" in texts[0]
    assert texts[1].startswith("two")
    assert "outside of" in texts[2]
    assert "there is no skill 'other'; there are: hidden, tidy" in texts[3]
    app.forget()
    assert "skill" not in [one.name for one in app.agent.tools]


async def test_a_person_begins_a_skill_by_its_name(project: Path) -> None:
    skill(project / ".tether" / "skills", "tidy", body="Tidy @nobody.")
    app = app_of()
    app.agent.model = ScriptedModel("Tidied.")
    told: list[str] = []
    conversation = Conversation(app, Screen(io.StringIO()), told.append)
    await conversation.app.commands.run("help skill:tidy", conversation)
    assert "skill:tidy" in app.commands.complete("skill")

    await holding(conversation, "/skill:tidy src and 'tests")
    said = app.agent.messages[0]
    assert isinstance(said, UserMessage)
    assert "Tidy @nobody." in said.text
    assert said.text.endswith("\n\nsrc and 'tests")
    assert told == []
