"""The slash commands about changes of files: `/diff`, and the files of `/undo --files`."""
# ruff: noqa: D417 - the conversation is not an argument of the command

from collections.abc import Sequence
from pathlib import Path

from tether import Commands, Message
from tether.cli.changes.drawing import drawn_changes
from tether.cli.changes.undoing import changes_since, shown_name, undo_changes
from tether.cli.conversation import Conversation

__all__ = ()


def add_change_commands(commands: Commands) -> None:
    """Add them to a registry."""
    commands.command("diff", complete={"file": _changed_files})(_diff)


def _diff(conversation: Conversation, file: str | None = None) -> str:
    """Show what this conversation has changed in files so far; what commands have changed is not known.

    Args:
        file: the file to show; all if it is left out
    """
    return drawn_changes(conversation.changes, file)


def _changed_files(start: str, conversation: Conversation) -> list[str]:
    names = dict.fromkeys(shown_name(Path(one.path)) for _, one in conversation.changes)
    return [name for name in names if name.startswith(start)]


def undone_files(conversation: Conversation, messages: Sequence[Message]) -> list[str]:
    """Take back what followed some messages in files; return what was done, in lines."""
    changes = changes_since(conversation.changes, {message.id for message in messages})
    return undo_changes(conversation.changes, changes)


def files_changed(conversation: Conversation, messages: Sequence[Message]) -> int:
    """Count the files that were changed after some messages."""
    changes = changes_since(conversation.changes, {message.id for message in messages})
    return len({change.path for _, change in changes})
