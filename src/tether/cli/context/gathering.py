"""What a folder and a person bring for an agent: read from their files, and bounded."""

from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from tether.cli.context.instructions import Instructions, instructions_section, read_instructions
from tether.cli.context.markdown_commands import MarkdownCommand, find_commands
from tether.cli.context.places import places_of_person, places_of_project
from tether.cli.context.skills import Skill, find_skills, skills_section
from tether.cli.context.sub_agents import AgentFile, find_agents

__all__ = ()


@frozen
class Context:
    """What was found."""

    folder: Path
    """The working folder."""
    instructions: Sequence[Instructions] = ()
    skills: Sequence[Skill] = ()
    commands: Sequence[MarkdownCommand] = ()
    agents: Sequence[AgentFile] = ()
    problems: Sequence[str] = ()
    """Lines about what was left out, and why."""
    of_project: bool = False
    """Whether what the project brings is among it."""

    @property
    def sections(self) -> Sequence[str]:
        """What it adds to the system prompt."""
        return [instructions_section(self.instructions), skills_section(self.skills)]


def gather(folder: Path, configuration: Path, *, of_project: bool) -> Context:
    """Read what a folder and a person bring.

    Args:
        folder: the working folder.
        configuration: the folder of the command's configuration.
        of_project: whether what the project brings is used: only where a person has allowed it.

    Returns:
        What was found; what cannot be used is among its problems, and stops nothing.
    """
    own = places_of_person(configuration)
    places = [places_of_project(folder, configuration), own] if of_project else [own]
    farthest_first = [path for one in reversed(places) for path in one.instructions]
    instructions, unread = read_instructions(farthest_first, folder)
    skills, odd_skills = find_skills([path for one in places for path in one.skills], folder)
    commands, odd_commands = find_commands(
        [path for one in places for path in one.commands], folder
    )
    agents, odd_agents = find_agents([path for one in places for path in one.agents], folder)
    return Context(
        folder,
        instructions,
        skills,
        commands,
        agents,
        [*unread, *odd_skills, *odd_commands, *odd_agents],
        of_project,
    )


def files_of_project(folder: Path, configuration: Path) -> Sequence[Path]:
    """List the files that a project brings, its init file first: those that a person is asked about."""
    init = folder / ".tether" / "init.py"
    own = (configuration / "init.py").resolve()
    first = [init] if init.is_file() and init.resolve() != own else []
    return [*first, *places_of_project(folder, configuration).files()]
