"""The keys of a choice, in a line editor, and a choice at a terminal where no conversation is held yet."""

import os
import shutil
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from tether.cli.door import as_door
from tether.cli.keyboard import LONE_ESCAPE, keyboard
from tether.cli.screen.choice import Choice
from tether.cli.screen.theme import first_theme

if TYPE_CHECKING:
    from prompt_toolkit.formatted_text import ANSI
    from prompt_toolkit.key_binding import KeyBindings

__all__ = ()

_STEPS: Final = {"up": -1, "down": 1, "c-p": -1, "c-n": 1, "pageup": -10, "pagedown": 10}


def bind_choice(keys: "KeyBindings", current: Callable[[], Choice | None]) -> None:
    """Bind the keys of a choice, which hold while there is one.

    Args:
        keys: gets the bindings.
        current: returns the choice that is on the screen.
    """
    from prompt_toolkit.filters import Condition  # noqa: PLC0415 - only at a terminal

    is_choice = Condition(lambda: current() is not None)

    def moving(by: int) -> Callable[[Any], None]:
        def move(_: Any) -> None:
            if (choice := current()) is not None:
                choice.move(by)

        return move

    for key, by in _STEPS.items():
        keys.add(key, filter=is_choice, eager=True)(moving(by))

    @keys.add("enter", filter=is_choice, eager=True)
    def take(event: Any) -> None:
        choice = current()
        one = None if choice is None else choice.current
        _end(event, "" if one is None else one.value)

    @keys.add(LONE_ESCAPE, filter=is_choice, eager=True)
    @keys.add("c-c", filter=is_choice, eager=True)
    @keys.add("c-d", filter=is_choice, eager=True)
    def leave(event: Any) -> None:
        _end(event, "")


def _end(event: Any, value: str) -> None:
    """End the line with a value that does not stand in it: the filter is no line to remember."""
    event.app.erase_when_done = True
    event.current_buffer.reset()
    event.app.exit(result=value)


def choose_at_terminal(choice: Choice) -> str:
    """Let a person choose, and wait for it in this thread.

    Returns:
        The value of the option; empty if they left.
    """
    from prompt_toolkit import PromptSession  # noqa: PLC0415 - only at a terminal
    from prompt_toolkit.formatted_text import ANSI  # noqa: PLC0415 - as above
    from prompt_toolkit.key_binding import KeyBindings  # noqa: PLC0415 - as above
    from prompt_toolkit.output import create_output  # noqa: PLC0415 - as above

    keys = KeyBindings()
    bind_choice(keys, lambda: choice)
    theme = first_theme(os.environ)

    def message() -> "ANSI":
        columns, lines = shutil.get_terminal_size()
        choice.look_for(session.default_buffer.text)
        return ANSI(choice.picture(columns, lines - 1, theme))

    session: PromptSession[str] = PromptSession(
        message,
        key_bindings=keys,
        input=keyboard(),
        # It draws on the terminal itself; the texts of others are made printable as the picture is.
        output=create_output(as_door(sys.stdout).stream),
        erase_when_done=True,
    )
    session.app.ttimeoutlen = 0.1
    return session.prompt()
