"""The commands and skills of files for a conversation in a host: what they make is said to the agent."""

from collections.abc import Callable

from tether import Commands, Model, UserMessage
from tether.cli.context.gathering import Context
from tether.cli.context.markdown_commands import MarkdownCommand, for_one_run
from tether.cli.context.skills import Skill
from tether.host import Conversation

__all__ = ()


def add_to(commands: Commands, known: Context, model_named: Callable[[str], Model]) -> None:
    """Register the commands and skills of files; none replaces another command.

    Args:
        commands: a registry whose commands get the conversation. These return the `UserMessage` to say.
        known: what was gathered.
        model_named: makes the model of a name.
    """
    for one in known.commands:
        if one.name not in commands:
            commands.command(one.name, help=one.help, raw=True)(_saying(one, model_named))
    for skill in known.skills:
        name = f"skill:{skill.name}"
        commands.command(name, help=skill.description, raw=True)(_beginning(skill, known))


def _saying(
    command: MarkdownCommand, model_named: Callable[[str], Model]
) -> Callable[..., UserMessage]:
    def say(talk: Conversation, words: str = "") -> UserMessage:
        if command.model is not None:
            for_one_run(talk.agent, model_named(command.model))
        return UserMessage(command.expanded(words))

    return say


def _beginning(skill: Skill, known: Context) -> Callable[..., UserMessage]:
    def begin(talk: Conversation, words: str = "") -> UserMessage:
        return skill.message(known.folder, words)

    return begin
