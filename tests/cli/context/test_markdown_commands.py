"""Commands that are Markdown files."""

import io
import re
from pathlib import Path

import pytest
from tests.cli.context.files import app_of, holding, written

from tether import ModelRequest
from tether.cli.context.markdown_commands import find_commands
from tether.cli.conversation import Conversation
from tether.cli.display import Screen
from tether.cli.extensions import App
from tether.cli.main import main
from tether.testing import ScriptedModel


def talk_of(app: App, told: list[str]) -> Conversation:
    return Conversation(app, Screen(io.StringIO()), told.append)


@pytest.mark.parametrize(
    ("text", "words", "expanded"),
    [
        ("Fix $1 in $2: $ARGUMENTS", "bug 'a b'", "Fix bug in a b: bug 'a b'"),
        ("Fix $1.", "", "Fix ."),
        ("Fix it.", "now please", "Fix it.\n\nnow please"),
        ("Fix it.", "", "Fix it."),
        ("$@ and $10 and $ARGUMENTSX", "x", "x and $10 and $ARGUMENTSX"),
        ("$1 $2", "$2 'two", "$2 'two"),  # what a person typed is not gone through again
    ],
)
def test_words_are_put_in(project: Path, text: str, words: str, expanded: str) -> None:
    written(project / "go.md", text)
    [command], problems = find_commands([project], project)
    assert command.expanded(words) == expanded
    assert problems == []


async def test_they_stand_beside_the_others(project: Path) -> None:
    own = project.parent.parent / "config" / "commands"
    written(own / "review.md", "---\ndescription: Mine\n---\nMine.")
    written(own / "greet_all.md", "# Greet everybody\n\nSay hello.")
    place = project / ".tether" / "commands"
    head = "---\ndescription: Review a change\nargument-hint: BRANCH\n---\n"
    written(place / "review.md", f"{head}Review $1.")
    written(place / "git" / "commit.md", "Commit.")
    written(place / "help.md", "Other help.")
    written(place / "empty.md", "---\ndescription: x\n---\n")
    written(place / "no!.md", "x")
    app = app_of()
    told: list[str] = []
    await holding(talk_of(app, told), "/help", "/help review")
    text = told[0]
    assert re.search("^/review BRANCH +Review a change$", text, re.MULTILINE)
    assert told[1] == "/review BRANCH\n\nReview a change"
    assert "Greet everybody" in text
    assert "Other help" not in text
    assert list(app.commands.complete("gi")) == ["git:commit"]
    assert app.context is not None
    assert [problem.partition(" is left out")[0] for problem in app.context.problems] == [
        ".tether/commands/empty.md",
        ".tether/commands/no!.md",
        f"{own}/review.md",
        ".tether/commands/help.md",
    ]
    app.agent.model = ScriptedModel("Reviewed.", "Committed.")
    await holding(talk_of(app, []), "/review main", "/git:commit")
    assert [m.text for m in app.agent.messages if m.role == "user"] == ["Review main.", "Commit."]
    app.forget()
    assert "review" not in app.commands
    assert "help" in app.commands


async def test_a_model_of_its_own_answers_it_alone(project: Path) -> None:
    written(project / ".tether" / "commands" / "think.md", "---\nmodel: deep\n---\nThink.")
    written(project / ".tether" / "commands" / "odd.md", "---\nmodel: nosuch\n---\nThink.")
    app = app_of()
    told: list[str] = []
    app.model("deep")(lambda: ScriptedModel(lambda request: said("deep", request)))
    app.agent.model = usual = ScriptedModel(lambda request: said("usual", request))

    def said(name: str, request: ModelRequest) -> str:
        return f"{name} {len(request.messages)}"

    await holding(talk_of(app, told), "/think", "and now?", "/odd")
    assert [m.text for m in app.agent.messages if m.role == "assistant"] == ["deep 1", "usual 3"]
    assert app.agent.model is usual
    assert "no model is called 'nosuch'" in told[-1]
    assert "with_model" not in [hook.name for hook in app.agent.hooks]


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("/go far", "deep: Go far."),
        ("/skill:tidy now", "usual: <skill name='tidy' folder='.tether/skills/tidy'>"),
        ("/other", "usual: /other"),
        ("go far", "usual: go far"),
    ],
)
def test_a_request_may_begin_with_one(
    project: Path, capsys: pytest.CaptureFixture[str], line: str, answer: str
) -> None:
    config = project.parent.parent / "config"
    written(config / "commands" / "go.md", "---\nmodel: deep\n---\nGo $1.")
    written(
        project.parent.parent / "home" / ".agents" / "skills" / "tidy" / "SKILL.md",
        "---\nname: tidy\ndescription: d\n---\nTidy.",
    )
    written(
        config / "init.py",
        """
from tether.testing import ScriptedModel
for name in ("deep", "usual"):
    app.model(name)(lambda name=name: ScriptedModel(lambda request: f"{name}: {request.messages[0].text}"))
""",
    )
    assert main(["--model", "usual", line]) == 0
    assert capsys.readouterr().out.splitlines()[0].replace("~/.agents", ".tether") == answer
