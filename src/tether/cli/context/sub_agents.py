"""Agents that are files: each is a tool of the agent, and each call a conversation of its own.

    ---
    description: Finds out where something is done in this code, and answers with places
    tools: read_file, list_files, search_text
    model: anthropic:claude-haiku-4-5
    ---
    You search code. Answer with path:line, and nothing else.

A Python file makes an agent by itself and calls it `agent`; its docstring is the description.
"""

import ast
import math
import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from tether import Agent, Model, Tool, ToolContext, ToolResult, UsageError, tool
from tether.cli.context.finding import nearest_of
from tether.cli.context.front_matter import read_document, read_text
from tether.cli.context.places import agent_files

__all__ = ()

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


@frozen
class AgentFile:
    """An agent that is a file."""

    name: str
    path: Path
    description: str
    system: str = ""
    """Its system prompt."""
    tools: tuple[str, ...] | None = None
    """Names of tools, or patterns such as `docs_*`; None for all that are no agents."""
    model: str | None = None
    """The name of its model; that of the agent that calls if None."""

    @property
    def is_python(self) -> bool:
        """Whether it makes its agent by itself."""
        return self.path.suffix == ".py"


def find_agents(places: Sequence[Path], folder: Path) -> tuple[list[AgentFile], list[str]]:
    """Find the agents in some folders; of two that have the same name, the first counts.

    Args:
        places: the folders, the nearest first.
        folder: the working folder.

    Returns:
        The agents, and lines about what is not as it should be.
    """
    problems: list[str] = []
    files = (file for place in places for file in agent_files(place))
    return nearest_of(files, folder, _read, problems, same="is called {} too"), problems


def agent_tool(
    file: AgentFile,
    caller: Callable[[], Agent],
    model_named: Callable[[str], Model],
    own: Agent | None = None,
) -> Tool:
    """Make the tool that an agent of a file is.

    It is made anew for each call, of the agent that calls: so it has its model, its tools and its hooks as they are
    then, and asks the same person. What it spends counts for the run that calls.

    Args:
        file: the file.
        caller: returns the agent whose tool it is.
        model_named: makes the model of a name.
        own: the agent that a Python file has made. It keeps its tools and its prompt; where its model is the offline
            one, it has that of the agent that calls.
    """

    async def ask(request: str, context: ToolContext[Any]) -> ToolResult:
        """Ask it.

        Args:
            request: what to ask, with all it needs to know
            context: the call
        """
        calling = caller()
        child = _of_file(file, calling, model_named) if own is None else _of_python(own, calling)
        made = child.as_tool(file.name, file.description, limits="shared")
        result: ToolResult = await made.function(request=request, context=context)
        return result

    make = tool(
        name=file.name, description=file.description, title=f"Ask {file.name}", timeout=math.inf
    )
    return make(ask)


def is_agent(made: Tool) -> bool:
    """Say whether a tool is an agent of a file."""
    return made.function.__module__ == __name__


def _of_python(own: Agent, caller: Agent) -> Agent:
    child = own.copy(model=caller.model) if own.model.name == "offline" else own.copy()
    child.hooks.add_missing(caller.hooks)
    return child


def _of_file(file: AgentFile, caller: Agent, model_named: Callable[[str], Model]) -> Agent:
    usable = [one for one in caller.tools if one.name != file.name]
    if file.tools is None:
        chosen = [one for one in usable if not is_agent(one)]
    else:
        chosen = [one for one in usable if _is_among(one.name, file.tools)]
        _check_there(file, usable)
    model = caller.model if file.model is None else model_named(file.model)
    return caller.copy(name=file.name, system=file.system, tools=chosen, model=model)


def _check_there(file: AgentFile, usable: Sequence[Tool]) -> None:
    names = [one.name for one in usable]
    wanted = file.tools or ()
    missing = [want for want in wanted if not any(fnmatchcase(name, want) for name in names)]
    if missing:
        raise UsageError(
            f"{file.path.name} wants the tools {', '.join(missing)}, which are not there; "
            f"there are: {', '.join(names)}"
        )


def _is_among(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _read(path: Path) -> AgentFile:
    if path.suffix == ".py":
        name, description, system, tools, model = path.stem, _docstring(path), "", None, None
    else:
        document = read_document(path)
        name = document.text("name") or path.stem
        description = " ".join((document.text("description") or "").split())
        tools, model, system = (
            document.words("tools"),
            document.text("model"),
            document.body,
        )
        if not system:
            raise ValueError("it has no text, which is the system prompt of the agent")
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name[:80]!r} cannot be the name of an agent: use letters, digits, _ and -, at most 64"
        )
    if not description:
        raise ValueError("it has no description, by which the model would know when to ask it")
    kept = None if tools is None else tuple(tools)
    return AgentFile(name, path, description, system, kept, None if model == "inherit" else model)


def _docstring(path: Path) -> str:
    try:
        return " ".join((ast.get_docstring(ast.parse(read_text(path))) or "").split())
    except (SyntaxError, RecursionError) as error:
        raise ValueError(f"it is no Python: {error}") from error
