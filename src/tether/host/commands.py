"""Commands that a person types in a conversation: `/name words` becomes what is said to the agent, or is answered."""

from typing import Final

from tether import Commands, UserMessage
from tether.commands import command_of
from tether.host.conversation import Conversation

__all__ = ("expand",)

_MOST_NAMED: Final = 30


async def expand(commands: Commands, line: str, talk: Conversation) -> UserMessage | str:
    """Run the command that a line calls.

    Args:
        commands: the commands. They get the conversation as their context.
        line: what a person typed, from its `/` on.
        talk: the conversation.

    Returns:
        What is said to the agent, where the command returns a `UserMessage`; else the text to show the person, which
        may be empty.

    Raises:
        UsageError: there is no such command, and the text names those that there are; or the words do not fit.
        Exception: what the command raises.

    Cancellation:
        Inside the command, where that awaits.
    """
    line = line.removeprefix("/")
    command_of(line, commands, _known(commands))
    answer = await commands.run(line, talk)
    if isinstance(answer, UserMessage):
        return answer
    return "" if answer is None else str(answer)


def _known(commands: Commands) -> str:
    names = [f"/{command.name}" for command in commands]
    more = f", and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"There are {', '.join(names[:_MOST_NAMED])}{more}"
