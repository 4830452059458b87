"""Commands that are Markdown files: what they say is sent to the agent, with the words of the person put in.

    ---
    description: Review a change
    argument-hint: BRANCH [FOCUS]
    model: anthropic:claude-opus-4-5
    ---
    Review the branch $1 against main. $ARGUMENTS

`$ARGUMENTS` and `$@` stand for all words, `$1` to `$9` for one each. A text without any of these gets the words at its
end. A file in a folder has a name with a colon: `git/commit.md` is `/git:commit`.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from attrs import frozen

from tether import Agent, Model, RunContext, UsageError
from tether.cli.context.finding import nearest_of
from tether.cli.context.front_matter import read_document
from tether.cli.context.places import markdown_files
from tether.commands import split_words

__all__ = ()

_PLACE: Final = re.compile(r"\$(?:ARGUMENTS\b|@|[1-9](?![0-9]))")
_NAME: Final = re.compile(r"[^\W_]+(?:-[^\W_]+)*(?::[^\W_]+(?:-[^\W_]+)*)*")
_LONGEST_HELP: Final = 200


@frozen
class MarkdownCommand:
    """A command that is a Markdown file."""

    name: str
    path: Path
    description: str
    text: str
    hint: str = ""
    """How its words are shown in help."""
    model: str | None = None
    """The name of the model that answers it; that of the conversation if None."""

    def expanded(self, words: str) -> str:
        """Put in what the person has typed behind its name."""
        if not _PLACE.search(self.text):
            return f"{self.text}\n\n{words}" if words else self.text
        each = _split(words)

        def put_in(place: re.Match[str]) -> str:
            key = place[0][1:]
            if not key.isdecimal():
                return words
            return each[int(key) - 1] if int(key) <= len(each) else ""

        return _PLACE.sub(put_in, self.text)


def find_commands(places: Sequence[Path], folder: Path) -> tuple[list[MarkdownCommand], list[str]]:
    """Find the commands in some folders; of two that have the same name, the first counts.

    Args:
        places: the folders, the nearest first.
        folder: the working folder.

    Returns:
        The commands, and lines about what is not as it should be.
    """
    problems: list[str] = []
    place_of = {path: place for place in places for path in markdown_files(place)}

    def read(path: Path) -> MarkdownCommand:
        return _read(path, place_of[path])

    return nearest_of(place_of, folder, read, problems, same="is /{} too"), problems


def for_one_run(agent: Agent, model: Model, begun_by: str | None = None) -> None:
    """Have the next run of an agent use another model, and those after it the one that it has now.

    Args:
        agent: the agent.
        model: the model of that run.
        begun_by: the id of the message that the run begins with. A run without it keeps the agent's model.
    """

    @contextmanager
    def with_model(run: RunContext) -> Iterator[None]:
        if run.depth:
            yield
            return
        agent.hooks.remove("around_run", with_model)
        if begun_by is not None and begun_by not in {message.id for message in run.prompts}:
            yield
            return
        before, agent.model = agent.model, model
        try:
            yield
        finally:
            if agent.model is model:
                agent.model = before

    agent.hooks.add("around_run", with_model)


def _read(path: Path, place: Path) -> MarkdownCommand:
    document = read_document(path)
    parts = path.relative_to(place).with_suffix("").parts
    name = ":".join(part.replace("_", "-").replace(" ", "-") for part in parts)
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot be the name of a command: use letters, digits and -")
    if not document.body:
        raise ValueError("it has no text to send")
    first = document.body.partition("\n")[0].lstrip("# ").strip()
    return MarkdownCommand(
        name,
        path,
        _in_a_line(document.text("description") or first),
        document.body,
        _in_a_line(document.text("argument-hint") or ""),
        document.text("model"),
    )


def _in_a_line(text: str) -> str:
    return " ".join(text.split())[:_LONGEST_HELP]


def _split(words: str) -> Sequence[str]:
    """Split as a shell does, and at spaces where quotes do not match, or there is much to split."""
    try:
        return split_words(words)
    except UsageError:
        return words.split()
