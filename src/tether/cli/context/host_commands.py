"""The commands and skills of files for a conversation in a host: what they make is said to the agent."""

import uuid
from collections.abc import Callable

from tether import Commands, Model, UsageError, UserMessage
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
            add = commands.command(one.name, help=one.description, raw=True, hint=one.hint)
            add(_saying(one, model_named))
    for skill in known.skills:
        name = f"skill:{skill.name}"
        if name not in commands:
            commands.command(name, help=skill.description, raw=True)(_beginning(skill, known))


def _saying(
    command: MarkdownCommand, model_named: Callable[[str], Model]
) -> Callable[..., UserMessage]:
    def say(talk: Conversation, words: str = "") -> UserMessage:
        message = UserMessage(command.expanded(words), id=uuid.uuid4().hex)
        if command.model is not None and talk.state == "idle":
            for_one_run(talk.agent, model_named(command.model), message.id)
        return message

    return say


def _beginning(skill: Skill, known: Context) -> Callable[..., UserMessage]:
    def begin(talk: Conversation, words: str = "") -> UserMessage:
        try:
            return skill.message(known.folder, words)
        except (OSError, ValueError) as error:
            raise UsageError(f"the skill {skill.name} can no longer be read: {error}") from error

    return begin
