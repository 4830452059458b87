"""Agents of conversations in a host: each knows its own folder. And how it looks at a terminal."""

from pathlib import Path

import pytest
from tests.cli.context.files import app_of, written

import tether.host
from tether import Agent, ToolResultMessage, UserMessage
from tether.cli.acp_command import parse
from tether.cli.assembly import agent_of_conversation
from tether.cli.context.instructions import joined_in
from tether.host import Conversation
from tether.testing import ScriptedModel, call

SKILL = "---\nname: tidy\ndescription: Tidies up.\n---\nTidy {}."
AGENT = "---\ndescription: Helps\n---\nYou help."


def brought(folder: Path, name: str) -> None:
    written(folder / "AGENTS.md", f"Of {name}.")
    written(folder / "src" / "AGENTS.md", f"Of src in {name}.")
    written(folder / "src" / "a.txt", "a")
    written(folder / ".tether" / "agents" / "helper.md", AGENT)
    written(folder / ".tether" / "skills" / "tidy" / "SKILL.md", SKILL.format(name))


async def test_a_conversation_knows_its_own_folder_where_that_is_allowed(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = project.parent / "other"
    brought(project, "project")
    brought(other, "other")
    app_of()  # a person has allowed the first
    arguments = parse(["--model", "offline", "--append-system", "Be brief."])
    assert "not trusted yet" not in capsys.readouterr().err

    async def agent_in(folder: Path) -> Agent:
        made: list[Agent] = []

        def make(talk: Conversation) -> Agent:
            made.append(agent_of_conversation(arguments.app, "none", talk, folder))
            return made[-1]

        async with tether.host.open(make) as host:
            await host.conversation()
        return made[0]

    known, unknown = await agent_in(project), await agent_in(other)
    assert known.system is not None
    assert f"Folder: {project} " in known.system
    assert "Be brief.\n\n# Instructions" in known.system
    assert "Of project." in known.system
    assert "- tidy: Tidies up." in known.system
    assert {"skill", "helper"} <= {made.name for made in known.tools}
    assert "other/AGENTS.md" in capsys.readouterr().err
    assert unknown.system is not None
    assert f"Folder: {other} " in unknown.system
    assert unknown.system.endswith("Be brief.")
    assert {"skill", "helper"}.isdisjoint(made.name for made in unknown.tools)
    known.model = ScriptedModel(
        [call("read_file", path="src/a.txt"), call("skill", name="tidy")],
        call("helper", request="x"),
        "helped",
        "done",
    )
    await known.prompt("go")
    texts = [m.text for m in known.messages if isinstance(m, ToolResultMessage)]
    assert "Tidy project." in texts[1]
    assert texts[2] == "helped"
    assert len(joined_in(known.messages)) == 1


async def test_an_editor_offers_the_commands_and_skills_of_files(project: Path) -> None:
    written(project / ".tether" / "commands" / "review.md", "---\nmodel: deep\n---\nReview $1.")
    written(project / ".tether" / "commands" / "title.md", "Not this one.")
    written(project / ".tether" / "skills" / "tidy" / "SKILL.md", SKILL.format("up"))
    app_of()
    arguments = parse(["--model", "offline"])
    arguments.app.model("deep")(lambda: ScriptedModel("deep"))
    async with tether.host.open(lambda _: Agent(ScriptedModel("usual"))) as host:
        talk = await host.conversation()
        said = await arguments.commands.run("review main", talk)
        assert isinstance(said, UserMessage)
        assert said.text == "Review main."
        assert (await talk.agent.prompt(said)).text == "deep"
        assert (await talk.agent.prompt("and?")).text == "usual"
        begun = await arguments.commands.run("skill:tidy now", talk)
        assert begun.text.endswith("Tidy up.\n</skill>\n\nnow")
        assert "Not this one." not in str(await arguments.commands.run("title x", talk))
    assert parse(["--model", "offline", "--no-init"]).commands.complete("rev") == []
