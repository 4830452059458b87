"""What Tab offers in a line: commands and their words, files and folders behind an `@`."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tether.cli.conversation import Conversation
from tether.cli.door import printable
from tether.cli.input.trees import attached_names, last_word
from tether.cli.mcp_servers import prompt_names, resource_names
from tether.cli.screen.fitting import cut
from tether.cli.screen.tree import said as said_by

__all__ = ()

_LONGEST_MESSAGE: Final = 60
"""Columns of a message that stands beside its id."""


def completer(conversation: Conversation) -> Any:
    """Make what completes the last word of a line; a message to go back to stands beside its id.

    Returns:
        A completer for a `PromptSession`.
    """
    from prompt_toolkit.completion import Completer, Completion  # noqa: PLC0415 - only at a terminal

    class Words(Completer):
        def get_completions(self, document: Any, complete_event: Any) -> Iterable[Completion]:
            line = document.text_before_cursor
            word = last_word(line)
            said = _messages(conversation) if line.startswith("/fork ") else {}
            for candidate in completions(conversation, line):
                yield Completion(
                    candidate,
                    start_position=-len(word),
                    display=printable(candidate),
                    display_meta=printable(said.get(candidate, "")),
                )

    return Words()


def _messages(conversation: Conversation) -> Mapping[str, str]:
    """Return what was said in each entry of the session, by the beginnings of their ids that are offered."""
    kept = conversation.agent.session
    entries = () if kept is None else kept.entries.values()
    return {
        entry.id[:8]: cut(said_by(entry.message), _LONGEST_MESSAGE)
        for entry in entries
        if entry.message is not None
    }


def completions(conversation: Conversation, line: str) -> Iterator[str]:
    """Complete the last word of a line: of a command, or of a file after an `@`.

    Args:
        conversation: its commands, models and entries are offered.
        line: the text before the cursor.

    Returns:
        Whole words.
    """
    word, space = last_word(line), " " in line
    if word.startswith("@"):
        yield from attached_names(word, file_names)
        resources = resource_names(conversation.app.servers)
        yield from (f"@{name}" for name in resources if name.startswith(word[1:]))
    elif line.startswith("/") and not space:
        names = {*(one.name for one in conversation.app.commands), *conversation.app.prompts}
        names.update(prompt_names(conversation.app.servers))
        yield from (f"/{name}" for name in sorted(names) if name.startswith(word[1:]))
    elif line.startswith("/"):
        yield from conversation.app.commands.complete(line[1:], conversation)


def file_names(path_start: str) -> Iterator[str]:
    """Complete a path; folders end with a slash."""
    folder, _, name = path_start.rpartition("/")
    folder = f"{folder}/" if "/" in path_start else ""
    try:
        found = sorted(os.scandir(Path(folder or ".").expanduser()), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in found:
        hidden = entry.name.startswith(".") and not name.startswith(".")
        if entry.name.startswith(name) and not hidden:
            yield f"{folder}{entry.name}{'/' if entry.is_dir() else ''}"
