"""`tether acp`: the agent of the terminal, for an editor that starts it."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, Literal

from attrs import frozen

from tether import Agent, Commands, known_models
from tether.acp import serve_stdio
from tether.cli.assembly import (
    agent_of_conversation,
    chosen_model,
    load,
    new_app,
    say_untrusted,
)
from tether.cli.command_line import command, read
from tether.cli.context.gathering import gather
from tether.cli.context.host_commands import add_to
from tether.cli.extensions import App, configuration_folder
from tether.cli.options import agent_options, approve, no_init
from tether.cli.session_files import session_folder
from tether.host import Conversation, FolderStore

__all__ = ()

_EXAMPLES: Final = """\
An editor starts it and speaks the Agent Client Protocol with it over standard input and output. In its settings, the
command is `tether` and its arguments are `acp` and these options. `tether help acp` shows examples.
"""
_MOST_MODELS: Final = 50


@frozen(kw_only=True)
class AcpArguments:
    """One call of `tether acp`."""

    app: App
    commands: Commands
    learns: bool
    approve: Literal["changes", "all", "none"]
    backend: str


@command("acp", epilog=_EXAMPLES)
@agent_options
@approve
@no_init
def acp(**given: Any) -> AcpArguments:
    """Serve the agent to an editor, by the Agent Client Protocol."""
    options = SimpleNamespace(**given)
    app = new_app(
        system=options.system,
        append_system=options.append_system,
        max_turns=options.max_turns,
        session=None,
    )
    commands = _commands()
    if not options.no_init:
        allowed = load(app, _is_trusted)
        known = gather(Path.cwd(), configuration_folder(), of_project=allowed)
        add_to(commands, known, app.model_named)
    app.agent.model = chosen_model(app, model=options.model, base_url=options.base_url, path=None)
    return AcpArguments(
        app=app,
        commands=commands,
        learns=not options.no_init,
        approve=options.approve,
        backend=options.backend,
    )


def parse(words: Sequence[str]) -> AcpArguments:
    """Read the words after `tether acp`, and load extensions.

    Raises:
        UsageError: something cannot be.
        SystemExit: with code 2 for wrong usage, with 0 for `--help`.
    """
    made: AcpArguments = read(acp, words)
    return made


def _is_trusted(files: Sequence[Path]) -> bool:
    say_untrusted(files)
    return False


async def run(arguments: AcpArguments) -> int:
    """Serve the editor until it closes standard input.

    Cancellation:
        Cancels all runs, waits until they have cleaned up, and passes on.
    """
    await serve_stdio(
        partial(agent_of_conversation, arguments.app, arguments.approve, learns=arguments.learns),
        store=lambda folder: FolderStore(session_folder(folder)),
        models=_models(arguments.app.agent),
        commands=arguments.commands,
    )
    return 0


def _commands() -> Commands:
    """The commands that the editor offers, beside its own ways to choose and to stop."""
    commands = Commands(Conversation)

    @commands.command()
    def usage(talk: Conversation) -> str:
        """Show the tokens that were spent, and their cost."""
        spent, cost = talk.usage, talk.cost
        about = f"{spent.input_tokens:,} tokens in, {spent.output_tokens:,} out"
        return about if cost is None else f"{about}, ${cost:.4f}"

    @commands.command()
    def tools(talk: Conversation) -> str:
        """List the tools of the agent."""
        return "\n".join(f"- {tool.name}: {tool.title or ''}" for tool in talk.agent.tools)

    @commands.command(raw=True)
    def title(text: str, talk: Conversation) -> str:
        """Give the conversation a title.

        Args:
            text: the title
            talk: the conversation
        """
        talk.title = text
        return f"The title is now: {talk.title}"

    return commands


def _models(agent: Agent) -> Sequence[str]:
    """The models that the same provider is known to have."""
    provider, _, name = agent.model.name.partition(":")
    names = known_models(provider) if name else ()
    return [f"{provider}:{one}" for one in names[:_MOST_MODELS]]
