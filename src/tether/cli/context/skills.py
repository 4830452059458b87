"""Skills: folders with a SKILL.md that says how a kind of task is done, by the open specification.

The model meets a skill in three stages: its name and what it is for, in the system prompt; its text, by the tool
`skill`; and its other files, by the same tool, one at a time.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import anyio.to_thread
from attrs import frozen

from tether import Tool, ToolResult, UserMessage, tool
from tether.cli.context.finding import nearest_of
from tether.cli.context.front_matter import read_document
from tether.cli.context.places import shown, skill_files

__all__ = ()

_LONGEST_NAME: Final = 64
_LONGEST_DESCRIPTION: Final = 1024
_MOST_NAMED: Final = 100
"""Skills that the system prompt names."""
_MOST_FILES: Final = 100
_NAME: Final = re.compile(r"[^\W_]+(?:-[^\W_]+)*")
_INTRODUCTION: Final = """\
# Skills

A skill says how a kind of task is done here. Where a task fits one, call `skill` with its name before you begin, and
follow what it says. These are there:"""


@frozen
class Skill:
    """A skill."""

    name: str
    description: str
    path: Path
    """Its SKILL.md."""
    is_for_people_alone: bool = False
    """Only a person begins it, by `/skill:name`: the model is not told of it."""

    def text(self, folder: Path) -> str:
        """Read what it says, with the names of its files.

        Args:
            folder: the working folder.

        Raises:
            ValueError: it can no longer be read as a skill.
            OSError: it cannot be read.
        """
        body = read_document(self.path).body
        files = list(_files_of(self.path.parent))
        lines = [f"<skill name={self.name!r} folder={shown(self.path.parent, folder)!r}>", body]
        if files:
            more = ", ..." if len(files) == _MOST_FILES else ""
            lines.append(
                f"\nIts files: {', '.join(files)}{more}; the tool `skill` reads one with `file`."
            )
        return "\n".join([*lines, "</skill>"])

    def message(self, folder: Path, words: str) -> UserMessage:
        """Make what a person says by beginning it, with further words; see `text`."""
        text = self.text(folder)
        return UserMessage(f"{text}\n\n{words}" if words else text)


def find_skills(places: Sequence[Path], folder: Path) -> tuple[list[Skill], list[str]]:
    """Find the skills in some folders; of two that have the same name, the first counts.

    Args:
        places: the folders whose folders are skills, the nearest first.
        folder: the working folder.

    Returns:
        The skills, and lines about what is not as it should be.
    """
    problems: list[str] = []
    files: dict[Path, Path] = {}
    for path in (file for place in places for file in skill_files(place)):
        files.setdefault(path.resolve(), path)  # a link may lead from one place to another

    def read(path: Path) -> Skill:
        skill, notes = _read(path)
        problems.extend(f"{shown(path, folder)}: {note}" for note in notes)
        return skill

    return nearest_of(files.values(), folder, read, problems, same="has the name {}"), problems


def skills_section(skills: Sequence[Skill]) -> str:
    """Write the part of the system prompt; empty if the model is to know of none."""
    told = [skill for skill in skills if not skill.is_for_people_alone]
    lines = [f"- {skill.name}: {skill.description}" for skill in told[:_MOST_NAMED]]
    if len(told) > _MOST_NAMED:
        lines.append(f"- and {', '.join(skill.name for skill in told[_MOST_NAMED:])}")
    return "\n".join([_INTRODUCTION, *lines]) if told else ""


def skill_tool(skills: Sequence[Skill], folder: Path) -> Tool:
    """Make the tool `skill`, which reads skills and their files.

    Args:
        skills: the skills.
        folder: the working folder.
    """
    by_name: Mapping[str, Skill] = {skill.name: skill for skill in skills}

    @tool(title="Use a skill", kind="read", read_only=True, idempotent=True)
    async def skill(name: str, file: str = "", offset: int = 1) -> ToolResult:
        """Read how a kind of task is done here, or one of the files that belong to it.

        Args:
            name: the name of the skill
            file: one of its files, relative to its folder; what it says itself, if empty
            offset: the first line of the file to read, counted from 1
        """
        if (found := by_name.get(name)) is None:
            raise ValueError(f"there is no skill {name!r}; there are: {', '.join(by_name)}")
        if not file:
            return ToolResult(await anyio.to_thread.run_sync(found.text, folder))
        from tether.toolbox import Root, read_tool  # noqa: PLC0415 - the command starts without the tools

        read = read_tool(Root(found.path.parent))
        result: ToolResult = await read.function(path=file, offset=offset)
        return result

    return skill


def _read(path: Path) -> tuple[Skill, list[str]]:
    document = read_document(path)
    if not document.head:
        raise ValueError("it has no head with a name and a description between lines of ---")
    notes: list[str] = []
    folder = path.parent.name
    name = document.text("name")
    if not name:
        notes.append(f"it has no name in its head; it is called {folder}, as its folder is")
        name = folder
    elif name != folder:
        notes.append(f"its name is {name}, and that of its folder {folder}: they should be one")
    if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name) or name != name.lower():
        raise ValueError(
            f"its name {name[:80]!r} must be lower-case letters, digits and single hyphens, at most {_LONGEST_NAME}"
        )
    description = " ".join((document.text("description") or "").split())
    if not description:
        raise ValueError("it has no description, by which the model would know when to use it")
    if len(description) > _LONGEST_DESCRIPTION:
        notes.append(f"its description is cut after {_LONGEST_DESCRIPTION:,} characters")
        description = description[:_LONGEST_DESCRIPTION]
    hidden = document.flag("disable-model-invocation")
    return Skill(name, description, path, hidden), notes


def _files_of(folder: Path) -> Iterator[str]:
    """Name the files of a skill, as far as they are few."""
    count = 0
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
        for name in sorted(files):
            path = Path(place, name)
            if name.startswith(".") or path == folder / "SKILL.md":
                continue
            if count == _MOST_FILES:
                return
            count += 1
            yield path.relative_to(folder).as_posix()
