"""Give an agent what was gathered: texts behind its system prompt, tools, and a hook for the folders below."""

import runpy
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from attrs import define, evolve, field

from tether import Agent, Invocation
from tether.cli.context.gathering import Context
from tether.cli.context.instructions import NestedInstructions
from tether.cli.context.places import shown
from tether.cli.context.skills import skill_tool
from tether.cli.context.sub_agents import AgentFile, agent_tool
from tether.cli.door import visible
from tether.cli.extensions import App, errors_told, trust_of
from tether.cli.question import as_question, is_yes

__all__ = ()

_MOST_TOLD: Final = 5


def join(app: App, context: Context, configuration: Path) -> None:
    """Give the agent of an app what was gathered; `App.forget` takes it back.

    Args:
        app: the agent, and what extensions have added: nothing of that is replaced.
        context: what was gathered.
        configuration: the folder of the command's configuration.
    """
    for section in context.sections:
        app.instruct(section)
    if context.skills and "skill" not in _names(app):
        app.tool(skill_tool(context.skills, context.folder))
    problems = list(context.problems)
    for file in context.agents:
        if file.name in _names(app):
            name = shown(file.path, context.folder)
            problems.append(f"{name} is left out: there is a tool {file.name} already")
        else:
            _add_agent(app, file, problems)
    app.context = evolve(context, problems=problems)
    allows = _Allowed(app, configuration, all_of_project=context.of_project)
    app.hook("after_tool", name="nested_instructions")(NestedInstructions(context.folder, allows))


def shortened(problems: Sequence[str]) -> Sequence[str]:
    """Shorten what is said of problems, of which there may be many."""
    more = len(problems) - _MOST_TOLD
    return [
        *problems[:_MOST_TOLD],
        *(
            [f"and {more} more problem{'' if more == 1 else 's'}; /context shows them"]
            if more > 0
            else []
        ),
    ]


def _names(app: App) -> set[str]:
    return {made.name for made in app.agent.tools}


def _add_agent(app: App, file: AgentFile, problems: list[str]) -> None:
    own: Any = None
    if file.is_python:
        with errors_told(str(file.path), problems.append):
            names = {"app": app}
            own = runpy.run_path(str(file.path), names, "tether_agent").get("agent")
            if not isinstance(own, Agent):
                problems.append(f"{file.path} is left out: it makes no Agent called `agent`")
        if not isinstance(own, Agent):
            return
    app.tool(agent_tool(file, lambda: app.agent, app.model_named, own))


@define(eq=False)
class _Allowed:
    """Says whether instructions in a folder below may be used.

    They may where a person has allowed what the project brings. Where it brings nothing else, they are asked once.
    """

    app: App
    configuration: Path
    all_of_project: bool
    _refused: set[Path] = field(factory=set, init=False)

    async def __call__(self, invocation: Invocation, file: Path) -> bool:
        trust = trust_of(self.app, self.configuration)
        if self.all_of_project or trust.allows(file):
            return True
        if self.app.ask is None or file in self._refused:
            return False
        with invocation.context.paused():
            answer = await self.app.ask(as_question(_question(file)))
        if not is_yes(answer):
            self._refused.add(file)
            return False
        with suppress(OSError):  # then it is allowed in this process
            trust.remember(file)
        return True


def _question(file: Path) -> str:
    return (
        f"{visible(str(file))} has instructions for the agent. Follow them, now and later? [y/N] "
    )
