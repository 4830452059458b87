"""What the command puts together: an agent with tools and extensions, the questions it asks, and its model."""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tether import Agent, Limits, Model, Session, Tool
from tether.advice import compact
from tether.cli.default_model import chosen_address, default_model, held_with
from tether.cli.door import BOLD, YELLOW, styled, visible
from tether.cli.extensions import App, configuration_folder, load_extensions
from tether.cli.keyboard import forget_typed
from tether.cli.permission.asking import Ask, guarded, is_asked_about, permission
from tether.cli.permission.kept_rules import KeptRules
from tether.cli.permission.modes import Mode, Modes
from tether.cli.permission.policy import Policy
from tether.cli.streams import warn
from tether.toolbox import coding_tools

if TYPE_CHECKING:
    from tether.host import Conversation

__all__ = ()

INNERMOST: Final = 1000
"""The depth of a hook that sees calls as all others have left them."""


def new_agent(*, system: str | None, max_turns: int | None, session: Session | None) -> Agent:
    """Make the command's agent, which has the tools for code and asks nobody."""
    return Agent(
        "offline",
        system=system,
        tools=coding_tools("."),
        limits=Limits(turns=max_turns),
        session=session,
        transform_context=compact(),
    )


def add_permission(agent: Agent, ask: Ask | None, policy: Policy) -> None:
    """Have an agent ask before a tool may destroy something, as far as the policy says; None denies it."""
    agent.hooks.add("around_tool", permission(is_asked_about, ask, policy), depth=INNERMOST)


def policy_of(mode: Mode, project: Path) -> Policy:
    """Make the policy for a folder: a mode, and the rules that the person keeps.

    Raises:
        UsageError: the rules cannot be read.
    """
    return Policy(Modes(mode), KeptRules.read(configuration_folder(), project))


def agent_of_conversation(
    template: Agent, approve: str, conversation: "Conversation", folder: Path
) -> Agent:
    """Make the agent of a conversation in a host: like that of the terminal, with tools of its own.

    Args:
        template: the agent of the terminal.
        approve: which calls wait for an answer in the host: `changes`, `all` or `none`.
        conversation: the conversation.
        folder: what the tools are confined to.
    """
    own = {tool.name: tool for tool in coding_tools(folder)}
    agent = template.copy(
        tools=[own.get(tool.name, tool) if _is_ours(tool) else tool for tool in template.tools]
    )
    policy = policy_of(Mode.ALL if approve == "none" else Mode.ASK, folder)
    asked = None if approve == "all" else is_asked_about
    if approve != "none" or policy.rules.all.rules:
        by_person = guarded(asked, conversation.approve, policy)
        agent.hooks.add("around_tool", by_person, depth=INNERMOST)
    return agent


def _is_ours(tool: Tool) -> bool:
    """Say whether a tool is one of the toolbox, and no extension's of the same name."""
    return tool.function.__module__.startswith("tether.toolbox.")


def extend(app: App, ask: Callable[[Path], bool]) -> None:
    """Load the extensions of the user and of this folder; `ask` says which of the latter may run."""
    load_extensions(app, folder=configuration_folder(), project=Path.cwd(), ask=ask, tell=warn)


def is_trusted(init: Path) -> bool:
    """Ask at the terminal whether an init file may run; where there is none, it may not."""
    if not at_terminal():
        warn(f"{init} is not trusted yet and was not run; start tether at a terminal to decide")
        return False
    forget_typed()
    print(styled(trust_question(init), BOLD, YELLOW), end="", file=sys.stderr, flush=True)
    return is_yes(sys.stdin.readline())


def trust_question(init: Path) -> str:
    """Write the question whether an init file may run."""
    return f"{visible(str(init))} extends tether in this folder. Run it, now and later? [y/N] "


def is_yes(answer: str) -> bool:
    """Say whether an answer is yes."""
    return answer.strip().lower() in {"y", "yes"}


def at_terminal() -> bool:
    """Say whether there is a person to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def chosen_model(
    app: App,
    *,
    model: str | None,
    base_url: str | None,
    path: Path | None,
    environ: Mapping[str, str] = os.environ,
) -> Model:
    """Choose the model: the one that is named, else that of the session, of the environment or of an extension.

    Args:
        app: the agent and its models; it is given the address to go to.
        model: the name that the person gave.
        base_url: the address that the person gave.
        path: where the conversation is kept.
        environ: the environment variables.

    Raises:
        UsageError: the model, or its address, has to be named otherwise.
    """
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
        warn("no API key (such as OPENAI_API_KEY) is set: using the offline model")
        return app.agent.model
    return app.model_named(name)
