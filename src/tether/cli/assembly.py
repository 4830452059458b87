"""What the command puts together: an agent with tools and extensions, the questions it asks, and its model."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tether import Agent, Limits, Model, Session, Tool
from tether.advice import compact
from tether.cli.aliases import known_aliases
from tether.cli.changes.recording import recording
from tether.cli.changes.snapshots import Snapshots
from tether.cli.context.commands import add_commands
from tether.cli.context.gathering import files_of_project, gather
from tether.cli.context.joining import join, shortened
from tether.cli.context.places import shown
from tether.cli.context.system import SystemPrompt
from tether.cli.default_model import NO_KEY, chosen_address, default_model, held_with
from tether.cli.door import visible
from tether.cli.extensions import (
    App,
    configuration_folder,
    listed,
    load_extensions,
    untrusted_files,
)
from tether.cli.permission.asking import Ask, guarded, is_asked_about, permission
from tether.cli.permission.kept_rules import KeptRules
from tether.cli.permission.modes import Mode, Modes
from tether.cli.permission.policy import Policy
from tether.cli.question import at_terminal, is_agreed
from tether.cli.session_files import changes_folder
from tether.cli.slash_commands import slash_commands
from tether.cli.streams import warn
from tether.toolbox import coding_tools, fetch_tool, todo_tool

if TYPE_CHECKING:
    from tether.host import Conversation

__all__ = ()

_MOST_ASKED: Final = 20
"""Files that a question names."""
INNERMOST: Final = 1000
"""The depth of a hook that sees calls as all others have left them."""


def new_app(
    *,
    system: str | None,
    append_system: str | None,
    max_turns: int | None,
    session: Session | None,
) -> App:
    """Make what the command works with: its agent, which asks nobody, and the slash commands.

    Args:
        system: the system prompt in place of the command's own.
        append_system: a text behind the system prompt.
        max_turns: how many requests to the model a run may make.
        session: where the conversation is kept.
    """
    prompt = SystemPrompt(replace=system, append=append_system)
    agent = new_agent(system=prompt.in_folder(Path.cwd()), max_turns=max_turns, session=session)
    return App(agent, slash_commands(), system=prompt)


def new_agent(*, system: str | None, max_turns: int | None, session: Session | None) -> Agent:
    """Make the command's agent, which has the tools for code and asks nobody."""
    return Agent(
        "offline",
        system=system,
        tools=_tools("."),
        limits=Limits(turns=max_turns),
        session=session,
        transform_context=compact(),
    )


def add_permission(agent: Agent, ask: Ask | None, policy: Policy) -> None:
    """Have an agent ask before a tool may destroy something, as far as the policy says; None denies it."""
    agent.hooks.add("around_tool", permission(is_asked_about, ask, policy), depth=INNERMOST)


def add_recording(agent: Agent, session: Path | None) -> Snapshots:
    """Have an agent take note of what it changes in files; return where that is noted.

    Args:
        agent: the agent.
        session: the file of its session, which the notes outlive the process with.
    """
    snapshots = Snapshots(None if session is None else changes_folder(session))
    agent.hooks.add("around_tool", recording(agent, snapshots), depth=INNERMOST + 1)
    return snapshots


def policy_of(mode: Mode, project: Path) -> Policy:
    """Make the policy for a folder: a mode, and the rules that the person keeps.

    Raises:
        UsageError: the rules cannot be read.
    """
    return Policy(Modes(mode), KeptRules.read(configuration_folder(), project))


def agent_of_conversation(
    app: App, approve: str, conversation: "Conversation", folder: Path, *, learns: bool = True
) -> Agent:
    """Make the agent of a conversation in a host: like that of the terminal, with tools of its own.

    Args:
        app: what the command works with: its agent has what extensions add, and nothing of a folder.
        approve: which calls wait for an answer in the host: `changes`, `all` or `none`.
        conversation: the conversation.
        folder: what the tools are confined to.
        learns: whether it is given what the folder and the person bring; what the folder does only where a person has
            allowed it at a terminal.
    """
    own = {tool.name: tool for tool in _tools(folder)}
    template, folder = app.agent, folder.resolve()
    agent = template.copy(
        system=app.system_in(folder),
        tools=[own.get(tool.name, tool) if _is_ours(tool) else tool for tool in template.tools],
    )
    policy = policy_of(Mode.ALL if approve == "none" else Mode.ASK, folder)
    asked = None if approve == "all" else is_asked_about
    if approve != "none" or policy.rules.all.rules:
        by_person = guarded(asked, conversation.approve, policy)
        agent.hooks.add("around_tool", by_person, depth=INNERMOST)
    if learns:
        _learn(App(agent, models=app.models, trusted=app.trusted, base_url=app.base_url), folder)
    return agent


def _learn(app: App, folder: Path) -> None:
    """Give an agent what is in a folder and in the person's own, as far as it is allowed."""
    configuration = configuration_folder()
    asked = untrusted_files(app, folder=configuration, project=folder)
    if asked and folder != Path.cwd():  # of that one, it was said or asked at the start
        say_untrusted(asked)
    allowed = not asked and bool(files_of_project(folder, configuration))
    join(app, gather(folder, configuration, of_project=allowed), configuration)


def _tools(folder: Path | str) -> Sequence[Tool]:
    return [*coding_tools(folder), todo_tool(), fetch_tool()]


def _is_ours(tool: Tool) -> bool:
    """Say whether a tool is one of the toolbox, and no extension's of the same name."""
    return tool.function.__module__.startswith("tether.toolbox.")


def load(app: App, ask: Callable[[Sequence[Path]], bool]) -> bool:
    """Load the extensions of the user and of this folder.

    Args:
        app: what they extend.
        ask: says whether the files of this folder may be used.

    Returns:
        Whether they may; False where it brings none.
    """
    folder, project = configuration_folder(), Path.cwd()
    return load_extensions(app, folder=folder, project=project, ask=ask, tell=warn)


def extend(app: App, ask: Callable[[Sequence[Path]], bool]) -> None:
    """Load extensions, and all that the user and this folder bring for the agent; see `load`."""
    allowed = load(app, ask)
    configuration = configuration_folder()
    join(app, gather(Path.cwd(), configuration, of_project=allowed), configuration)
    add_commands(app)
    if app.context is not None:
        for problem in shortened(app.context.problems):
            warn(problem)


def is_trusted(files: Sequence[Path]) -> bool:
    """Ask at the terminal whether the files of a project may be used; where there is none, they may not."""
    if not at_terminal():
        say_untrusted(files)
        return False
    return is_agreed(trust_question(files))


def say_untrusted(files: Sequence[Path]) -> None:
    """Say that files are not used, since nobody has allowed it."""
    names = listed(files, Path.cwd())
    which = f"{names} is" if len(files) == 1 else f"{names} are"
    used = "was" if len(files) == 1 else "were"
    warn(f"{which} not trusted yet and {used} not used; start tether at a terminal to decide")


def trust_question(files: Sequence[Path]) -> str:
    """Write the question whether the files of a project may be used, a line for each."""
    named = [
        f"  {visible(shown(file, Path.cwd()))}{' (Python, which runs at once)' if file.suffix == '.py' else ''}"
        for file in files[:_MOST_ASKED]
    ]
    if len(files) > _MOST_ASKED:
        named.append(f"  and {len(files) - _MOST_ASKED} more")
    lines = ["This folder brings files for the agent:", *named]
    return "\n".join([*lines, "Use them, now and later? [y/N] "])


def chosen_model(
    app: App,
    *,
    model: str | None,
    base_url: str | None,
    path: Path | None,
    environ: Mapping[str, str] = os.environ,
    is_greeted: bool = False,
) -> Model:
    """Choose the model: the one that is named, else that of the session, of the environment or of an extension.

    Args:
        app: the agent and its models; it is given the address to go to.
        model: the name that the person gave.
        base_url: the address that the person gave.
        path: where the conversation is kept.
        environ: the environment variables.
        is_greeted: whether the person is greeted with which model answers and why.

    Raises:
        UsageError: the model, or its address, has to be named otherwise.
    """
    app.aliases = known_aliases()
    held = held_with(app.agent.session)
    app.base_url = chosen_address(base_url, held.base_url, path)
    name = model or held.name or environ.get("TETHER_MODEL")
    if name is None and app.agent.model.name != "offline":
        return app.agent.model  # the choice of an extension
    if model is None and name == app.agent.model.name:
        return app.agent.model
    if name is None:
        name = default_model(environ)
    if name is None:
        if not is_greeted:
            warn(NO_KEY)
        return app.agent.model
    return app.model_named(name)
