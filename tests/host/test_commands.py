"""Commands that a person types in a conversation of a host."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.host.hosting import hosting, told

import tether
from tether import Agent, Commands, UsageError, UserMessage
from tether.cli.context.gathering import gather
from tether.cli.context.host_commands import add_to
from tether.host import Conversation, expand
from tether.testing import ScriptedModel


def registry() -> Commands:
    commands = Commands(Conversation)

    @commands.command(raw=True, hint="BRANCH")
    def review(words: str = "") -> UserMessage:
        """Review a change."""
        return UserMessage(f"Review {words!r}.")

    @commands.command()
    async def title(talk: Conversation) -> str:
        """Show the title."""
        return talk.title

    @commands.command()
    def nothing() -> None:
        """Do nothing."""

    return commands


@pytest.mark.parametrize(
    ("line", "made"),
    [
        ("/review", UserMessage("Review ''.")),
        ('/review  it\'s "main" ', UserMessage("Review 'it\\'s \"main\"'.")),
        ("/review\nmain\nand more", UserMessage("Review 'main\\nand more'.")),
        ("/rev main", UserMessage("Review 'main'.")),
        ("/ review main", UserMessage("Review 'main'.")),
        ("/title", "the talk"),
        ("/nothing", ""),
    ],
)
async def test_a_line_becomes_what_is_said_or_shown(line: str, made: UserMessage | str) -> None:
    async with hosting() as host:
        talk = await host.conversation()
        talk.title = "the talk"
        assert await expand(registry(), line, talk) == made


@pytest.mark.parametrize("line", ["/reviewer x", "/", "/etc/hosts is odd", "/\nx"])
async def test_what_is_no_command_is_an_error_that_names_those_there_are(line: str) -> None:
    async with hosting() as host:
        with pytest.raises(UsageError, match=r"no command .*/nothing, /review, /title\..*space"):
            await expand(registry(), line, await host.conversation())


async def test_of_many_commands_the_first_are_named() -> None:
    commands = Commands()
    for number in range(40):
        commands.command(f"do-{number:02}")(lambda: None)
    async with hosting() as host:
        with pytest.raises(UsageError, match="/do-29, and 10 more"):
            await expand(commands, "/x", await host.conversation())


def test_a_hint_stands_for_the_words() -> None:
    commands = registry()
    assert commands["review"].usage == "review BRANCH"
    assert commands["title"].words == ""
    assert "review BRANCH  Review a change." in commands.help()


def named(model: ScriptedModel) -> Callable[[str], Any]:
    def find(name: str) -> Any:
        if name != "deep":
            raise UsageError(f"no model is called {name!r}")
        return model

    return find


async def test_a_model_answers_the_run_that_its_command_begins_and_no_other(tmp_path: Path) -> None:
    place = tmp_path / "commands"
    place.mkdir()
    (place / "think.md").write_text("---\nmodel: deep\nargument-hint: TOPIC\n---\nThink of $1.")
    (place / "odd.md").write_text("---\nmodel: nosuch\n---\nOdd.")
    deep, usual = ScriptedModel("deep"), ScriptedModel(*["usual"] * 3)
    commands = Commands(Conversation)
    add_to(commands, gather(tmp_path, tmp_path, of_project=False), named(deep))
    assert commands["think"].usage == "think TOPIC"
    async with tether.host.open(lambda _: Agent(usual)) as host:
        talk = await host.conversation()
        much = await expand(commands, f"/think {'x' * 2_000_000} y", talk)
        assert isinstance(much, UserMessage)
        assert much.text == f"Think of {'x' * 2_000_000}."
        unsaid = await expand(commands, "/think trees", talk)
        assert isinstance(unsaid, UserMessage)
        await told(talk, "hello")  # begins before what the command has made is said
        said = await expand(commands, "/think 'tall trees'", talk)
        assert isinstance(said, UserMessage)
        await told(talk, said)
        with pytest.raises(UsageError, match="nosuch"):
            await expand(commands, "/odd", talk)
        await told(talk, "and?")
        texts = [message.text for message in talk.agent.messages]
    assert texts == ["hello", "usual", "Think of tall trees.", "deep", "and?", "usual"]


async def test_a_skill_that_is_gone_is_an_error_that_says_so(tmp_path: Path) -> None:
    skill = tmp_path / "skills" / "tidy" / "SKILL.md"
    skill.parent.mkdir(parents=True)
    skill.write_text("---\nname: tidy\ndescription: Tidy up.\n---\nTidy.")
    commands = Commands(Conversation)
    add_to(commands, gather(tmp_path, tmp_path, of_project=False), named(ScriptedModel()))
    async with hosting() as host:
        talk = await host.conversation()
        said = await expand(commands, "/skill:tidy the shed", talk)
        assert isinstance(said, UserMessage)
        assert said.text.endswith("the shed")
        skill.unlink()
        with pytest.raises(UsageError, match="tidy can no longer be read"):
            await expand(commands, "/skill:tidy", talk)
