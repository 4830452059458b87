"""Where people keep files for agents: in a project, from its repository's root down, and in folders of their own."""

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from os.path import isfile
from pathlib import Path
from typing import Final

from attrs import frozen

__all__ = ()

INSTRUCTIONS: Final = ("AGENTS.override.md", "AGENTS.md", "CLAUDE.md")
"""The names of files with instructions; in each folder, the first that is there counts."""
_PROJECT: Final = ".tether"
_SKILLS: Final = (f"{_PROJECT}/skills", ".agents/skills", ".claude/skills")
_MOST_SEEN: Final = 5_000
_MOST: Final = 200
"""Files of a kind that one folder may bring."""


def repository_of(folder: Path) -> Path | None:
    """Find the root of the Git repository that a folder is in; None outside of one."""
    return next((one for one in (folder, *folder.parents) if os.path.lexists(one / ".git")), None)


def folders_down_to(folder: Path) -> Sequence[Path]:
    """List the folders from the root of the repository down to a folder; outside of a repository, that one alone."""
    root = repository_of(folder) or folder
    above = [one for one in folder.parents if one.is_relative_to(root)]
    return [*reversed(above), folder]


def instructions_in(folder: Path) -> Path | None:
    """Find the file with instructions of one folder."""
    return next((folder / name for name in INSTRUCTIONS if isfile(folder / name)), None)


@frozen
class Places:
    """The folders and files to look in, the nearest first."""

    instructions: Sequence[Path] = ()
    """Files with instructions, the farthest first: the order in which they are read out."""
    skills: Sequence[Path] = ()
    """Folders whose folders are skills."""
    commands: Sequence[Path] = ()
    agents: Sequence[Path] = ()

    def files(self) -> Iterator[Path]:
        """List all files that would be read."""
        yield from self.instructions
        for folder in self.skills:
            yield from skill_files(folder)
        for folder in self.commands:
            yield from markdown_files(folder)
        for folder in self.agents:
            yield from agent_files(folder)


def places_of_person(configuration: Path) -> Places:
    """List the places of a person's own: they are trusted.

    Args:
        configuration: the folder of the command's configuration.
    """
    home = Path(os.path.expanduser("~"))
    own = instructions_in(configuration)
    return Places(
        instructions=() if own is None else (own,),
        skills=(configuration / "skills", home / ".agents" / "skills", home / ".claude" / "skills"),
        commands=(configuration / "commands",),
        agents=(configuration / "agents",),
    )


def places_of_project(folder: Path, configuration: Path) -> Places:
    """List the places of a project: nothing there is used before a person has allowed it.

    Args:
        folder: the folder that the agent works in.
        configuration: the folder of the command's configuration; what is a person's own is left out.
    """
    down = folders_down_to(folder)
    own = places_of_person(configuration)
    found = [file for one in down if (file := instructions_in(one)) is not None]
    return Places(
        instructions=_without(own.instructions, found),
        skills=_without(own.skills, [up / name for up in reversed(down) for name in _SKILLS]),
        commands=_without(own.commands, [folder / _PROJECT / "commands"]),
        agents=_without(own.agents, [folder / _PROJECT / "agents"]),
    )


def _without(own: Sequence[Path], found: Sequence[Path]) -> tuple[Path, ...]:
    known = {one.resolve() for one in own}
    return tuple(one for one in found if one.resolve() not in known)


def skill_files(folder: Path) -> Sequence[Path]:
    """List the skills that are in a folder, by their main file."""
    return _limited(folder.glob("*/SKILL.md"))


def markdown_files(folder: Path) -> Sequence[Path]:
    """List the Markdown files in a folder and the folders in it."""
    return _limited(folder.rglob("*.md"))


def agent_files(folder: Path) -> Sequence[Path]:
    """List the files of agents in a folder."""
    return [*_limited(folder.glob("*.md")), *_limited(folder.glob("*.py"))]


def _limited(found: Iterator[Path]) -> Sequence[Path]:
    """Take the files among what was found, in order, as far as they are few."""
    try:
        # A folder may have any number of files, and nobody has allowed it yet.
        return sorted(file for file in islice(found, _MOST_SEEN) if isfile(file))[:_MOST]
    except OSError:  # a folder that cannot be looked into brings nothing
        return ()


def shown(path: Path, folder: Path) -> str:
    """Write a path as people do: relative to the folder where it is in it, else with `~` for their own folder."""
    if path.is_relative_to(folder):
        return path.relative_to(folder).as_posix()
    home = Path(os.path.expanduser("~"))
    return f"~/{path.relative_to(home).as_posix()}" if path.is_relative_to(home) else str(path)
