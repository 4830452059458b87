"""The slash commands of the screen: what was folded, and the colours."""
# ruff: noqa: D417 - the conversation is not an argument of the command

from tether import Commands, ToolResultMessage, UsageError
from tether.cli.conversation import Conversation
from tether.cli.live import Live
from tether.cli.screen.theme import THEMES

__all__ = ()


def add_screen_commands(commands: Commands) -> None:
    """Add them to a registry."""
    commands.command("output")(_output)
    commands.command("theme", complete={"name": _theme_names})(_theme)


def _output(conversation: Conversation, back: int = 1) -> str:
    """Show the whole output of the last tool call.

    Args:
        back: 2 for the call before the last, and so on
    """
    results = [m for m in conversation.agent.messages if isinstance(m, ToolResultMessage)]
    if not 0 < back <= len(results):
        raise UsageError(
            "no tool call has ended yet" if not results else f"there were {len(results)} calls"
        )
    result = results[-back]
    display = conversation.display
    printed = display.last_output.whole if back == 1 and isinstance(display, Live) else ""
    # The model may have been given a part of it.
    text = max(printed, result.text, key=len)
    return f"--- {result.name} ---\n{text.rstrip()}\n---"


def _theme(conversation: Conversation, name: str | None = None) -> str:
    """Show the colours, or change them; TETHER_THEME forces them from the start.

    Args:
        name: dark, light or plain
    """
    display = conversation.display
    if not isinstance(display, Live):
        raise UsageError("this terminal has no colours")
    if name is not None:
        if name not in THEMES:
            raise UsageError(f"no theme is called {name!r}; there are {', '.join(THEMES)}")
        display.theme = THEMES[name]
    return f"theme: {display.theme.name}"


def _theme_names(_: str) -> list[str]:
    return [*THEMES]
