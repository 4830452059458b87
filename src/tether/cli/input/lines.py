"""Lines that are for the command itself, by how they begin: `!command` and `#note`."""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tether import UsageError
from tether.cli.changes.undoing import shown_name
from tether.cli.extensions import configuration_folder, trust_of
from tether.cli.input.notes import keep_note, note_file, note_in
from tether.commands import command_of

if TYPE_CHECKING:
    from tether.cli.conversation import Conversation

__all__ = ()


def own_line(
    conversation: "Conversation", text: str
) -> Callable[[], Awaitable[str]] | Callable[[], str] | None:
    """Find what a line asks of the command itself.

    Args:
        conversation: where the line was typed.
        text: the line.

    Returns:
        A function that does it and returns what to tell; None where the line is for the agent.
    """
    if text.startswith("!") and (command := text[1:].strip()):
        from tether.cli.input.own_commands import run_own_command  # noqa: PLC0415 - where it is needed: the command starts without the tools

        return partial(run_own_command, command, conversation.tell, conversation.hear)
    if (note := note_in(text)) is not None:
        return partial(_note, conversation, note)
    return None


async def run_command(conversation: "Conversation", line: str) -> object:
    """Run the slash command that a line calls, without its slash.

    Raises:
        UsageError: there is none, or its words do not fit.
        Exception: what it raises.

    Cancellation:
        Inside the command.
    """
    commands = conversation.app.commands
    command_of(line, commands, "/help lists all")
    return await commands.run(line, conversation)


def _note(conversation: "Conversation", note: str) -> str:
    path = note_file(Path.cwd())
    trust = trust_of(conversation.app, configuration_folder())
    try:
        # Whoever writes into a file that is trusted trusts it as it is then.
        is_trusted = not path.exists() or trust.allows(path)
        noted = keep_note(note, path)
    except (OSError, ValueError) as error:
        raise UsageError(f"the note is not kept: {error}") from error
    name = shown_name(path.absolute())
    told = f"(noted in {name}{', a new file' if noted.is_new else ''})"
    if is_trusted:
        try:
            trust.remember(path)
        except OSError as error:
            told += f"\n({error}; {path} is trusted until you leave)"
    conversation.hear(f"I noted in {name}: {note}")
    return told
