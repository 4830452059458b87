"""A line editor: history, completion, several lines, and the state of the run above and below the line.

The editor is prompt-toolkit's. It has an event loop of its own, on asyncio alone, so it runs in a thread, and what a
person does comes from there as a stream of inputs. The agent may run on either backend.
"""

import contextlib
import errno
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

from anyio.abc import ObjectReceiveStream
from attrs import define, field

from tether.cli.conversation import (
    Closed,
    Conversation,
    Escaped,
    Input,
    Interrupted,
    Pressed,
    State,
    Typed,
)
from tether.cli.door import Door, as_door, printable
from tether.cli.input.clipboard import PastedPictures, bind_pasting
from tether.cli.input.completing import completer
from tether.cli.keyboard import LONE_ESCAPE, keyboard, lend
from tether.cli.live import Live
from tether.cli.prompt import Prompt
from tether.cli.screen.picking import bind_choice
from tether.cli.screen.theme import PLAIN_THEME, first_theme, forced_theme, theme_for
from tether.cli.screen.wrapping import breaking_between_words
from tether.cli.session_files import make_private, make_private_folder, open_private
from tether.cli.signals import suspender
from tether.cli.status import Status
from tether.cli.terminal import Send, from_thread

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.buffer import Buffer
    from prompt_toolkit.input import Input as PromptInput
    from prompt_toolkit.key_binding import KeyBindings
    from prompt_toolkit.layout.processors import Processor
    from prompt_toolkit.styles import BaseStyle

__all__ = ()

_SECONDS_BETWEEN_DRAWINGS: Final = 0.05
_SECONDS_BETWEEN_TICKS: Final = 0.25
_SECONDS_AFTER_ESCAPE: Final = 0.1
"""Esc alone, or the beginning of another key: which, is known after this time."""
_ASK_FOR_BACKGROUND: Final = "\x1b]11;?\x1b\\"
"""OSC 11 of xterm. A terminal that does not know it answers nothing; the Linux console would print some of it."""
_NOT_FOR_THE_AGENT: Final = ("/", "!", "#")
"""How lines begin that are for the command; all others are shown where the agent reads them."""

KEYS: Final[Mapping[str, str]] = {
    "enter": "Send the line. If the agent is working, it reads the line after this step.",
    "c-q": "Queue the line: the agent reads it when it has finished.",
    "escape enter": "Start a new line.",
    "escape": "Cut off the reply, the tools or the command that is in flight; the line stays.",
    "c-c": "Stop the run; again: leave. With nothing running: clear the line, or leave.",
    "c-z": "Suspend tether; `fg` in the shell goes on.",
    "c-o": "Show the whole output of the last tool.",
    "c-d": "Leave, if the line is empty.",
    "tab": "Complete a command, a model, an id, or a file or folder after an @, also by some of its letters.",
    "c-v": "Attach the picture that is in the clipboard.",
    "s-tab": "Switch to the next mode: how much the agent may do without a question.",
    "c-r": "Search earlier lines.",
    "c-x c-e": "Edit the line in $EDITOR.",
}
"""What keys do, unless an extension binds them."""


@contextmanager
def printing_above() -> Iterator[None]:
    """Print above the line that is being typed; the door stays in front."""
    from prompt_toolkit.patch_stdout import StdoutProxy  # noqa: PLC0415 - only at a terminal

    with (
        # The editor draws on the terminal itself: what others wrote is made printable before it gets it.
        contextlib.redirect_stdout(as_door(sys.stdout).stream),
        StdoutProxy(sleep_between_writes=_SECONDS_BETWEEN_DRAWINGS, raw=True) as above,
    ):
        in_front = cast(
            "TextIO",
            Door(cast("TextIO", above), escapes=first_theme(os.environ) is not PLAIN_THEME),
        )
        with contextlib.redirect_stdout(in_front), contextlib.redirect_stderr(in_front):
            yield


@asynccontextmanager
async def edited_lines(
    conversation: Conversation, live: Live, history: Path
) -> AsyncIterator[ObjectReceiveStream[Input]]:
    """Read lines from an editor.

    Args:
        conversation: its commands and keys are offered, and its state is shown.
        live: draws the run.
        history: the file of earlier lines. Where it cannot be written, lines are kept until the person leaves, who
            is told.
    """
    editor = _Editor(conversation, live, kept_lines(history, conversation.tell))
    with contextlib.closing(editor.pictures):
        async with from_thread(editor.edit, editor.close) as inputs:
            yield inputs


def kept_lines(path: Path, tell: Callable[[str], None]) -> Any:
    """Keep what was typed in a file, as long as that can be written.

    Args:
        path: the file.
        tell: prints a line to the person, once, where it cannot be.

    Returns:
        A history for a `PromptSession`.
    """
    from prompt_toolkit.history import FileHistory, InMemoryHistory  # noqa: PLC0415 - only at a terminal

    def unkept(error: OSError) -> None:
        tell(f"{error}; what you type is remembered until you leave")

    class Kept(FileHistory):
        is_kept = True

        def store_string(self, string: str) -> None:
            try:
                if self.is_kept:
                    super().store_string(string)
            except OSError as error:
                self.is_kept = False
                unkept(error)

    try:
        make_private_folder(path.parent)
        if path.exists() and not path.is_file():
            raise OSError(errno.EINVAL, "Not a regular file", str(path))
        with open(path, "ab+", opener=open_private):
            make_private(path)
    except OSError as error:
        unkept(error)
        return InMemoryHistory()
    return Kept(str(path))


@define(eq=False)
class _Editor:
    """Runs in a thread, except `close`."""

    conversation: Conversation
    live: Live
    history: Any
    _keyboard: "PromptInput" = field(init=False)
    _session: "PromptSession[str]" = field(init=False)
    _prompt: Prompt = field(init=False)
    _queued: bool = False
    _closed: bool = False
    _suspend: Callable[[], None] = field(factory=suspender, init=False)
    pictures: PastedPictures = field(factory=PastedPictures, init=False)

    def __attrs_post_init__(self) -> None:
        from prompt_toolkit import PromptSession  # noqa: PLC0415 - only at a terminal
        from prompt_toolkit.styles import DynamicStyle  # noqa: PLC0415 - as above

        self._keyboard = keyboard(self._learn_background)
        status = Status(self.conversation)
        self._session = PromptSession(
            lambda: self._prompt.message(),
            history=self.history,
            completer=completer(self.conversation),
            complete_while_typing=False,
            bottom_toolbar=lambda: status.line(shutil.get_terminal_size().columns),
            style=DynamicStyle(self._style),
            input_processors=[
                _printable_input(),
                breaking_between_words(lambda: self._prompt.columns),
            ],
            refresh_interval=_SECONDS_BETWEEN_TICKS,
            input=self._keyboard,
        )
        self._session.app.min_redraw_interval = _SECONDS_BETWEEN_DRAWINGS
        self._session.app.ttimeoutlen = _SECONDS_AFTER_ESCAPE
        self.live.redraw = self._session.app.invalidate
        self.live.theme = first_theme(os.environ)
        self.live.waiting = self.conversation.waiting
        self.conversation.has_editor = True
        self._prompt = Prompt(self.live, self._session)
        self.conversation.draw_question = self._prompt.draw

    def _style(self) -> "BaseStyle":
        from prompt_toolkit.styles import Style  # noqa: PLC0415 - only at a terminal

        plain = self.live.theme is PLAIN_THEME
        return Style.from_dict({"bottom-toolbar": "noreverse"} if plain else {})

    def _learn_background(self, answer: str) -> None:
        theme = theme_for(answer)
        if theme is not None and forced_theme(os.environ) is None:
            self.live.theme = theme

    def _ask_for_background(self) -> None:
        # The answer comes as if it were typed, and is taken out there: nothing waits for it.
        if forced_theme(os.environ) is None and os.environ.get("TERM") != "linux":
            self._session.app.output.write_raw(_ASK_FOR_BACKGROUND)
            self._session.app.output.flush()

    def edit(self, send: Send) -> None:
        """Read line after line, until the person leaves."""
        from prompt_toolkit.key_binding import DynamicKeyBindings  # noqa: PLC0415 - only at a terminal

        bound = lru_cache(maxsize=1)(partial(self._keys, send))
        keys = DynamicKeyBindings(lambda: bound(tuple(self.conversation.app.keys)))
        with self._keyboard.raw_mode():
            self._ask_for_background()
            while self.conversation.state is not State.LEFT:
                self._queued = False
                self._session.app.erase_when_done = False
                try:
                    text = self._session.prompt(
                        default=self._prompt.begin(),
                        key_bindings=keys,
                        pre_run=self._end_if_closed,
                    )
                except EOFError:
                    break
                send(Typed(text, queued=self._queued, answers=self._prompt.asked))
        send(Closed())

    def _end_line(self, line: "Buffer") -> None:
        """End the line; what the agent will read is shown where it reads it, so that it does not stay here."""
        is_for_us = line.text.startswith(_NOT_FOR_THE_AGENT) or self._prompt.asked is not None
        self._session.app.erase_when_done = not is_for_us
        line.validate_and_handle()

    def close(self) -> None:
        """End the editing that goes on in the thread, or is about to."""
        self._closed = True
        loop = self._session.app.loop
        if loop is not None:
            # Where the loop was closed meanwhile, the next line begins with the same question.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._end_if_closed)

    def _end_if_closed(self) -> None:
        if self._closed and not self._session.app.is_done:
            self._session.app.exit(exception=EOFError)

    def _keys(self, send: Send, own: tuple[str, ...]) -> "KeyBindings":
        """Bind all keys; those of extensions change while a line is typed, when these are loaded again."""
        from prompt_toolkit.key_binding import KeyBindings  # noqa: PLC0415 - only at a terminal

        keys = KeyBindings()
        self._bind_line_keys(keys)
        self._bind_stopping_keys(keys, send)
        bind_choice(keys, lambda: self._prompt.choice)
        bind_pasting(keys, self.pictures, self.conversation.tell)

        @keys.add("c-o")
        def show_output(_: Any) -> None:
            send(Typed("/output"))

        @keys.add("s-tab")
        def switch_mode(event: Any) -> None:
            if self.conversation.has_mode:
                self.conversation.mode.next()
                event.app.invalidate()

        for key in own:
            try:
                keys.add(*key.split())(partial(_press, send, key))
            except (AssertionError, ValueError) as error:
                self.conversation.tell(f"! no key is called {key!r}: {error}")
        return keys

    def _bind_line_keys(self, keys: "KeyBindings") -> None:
        from prompt_toolkit.application import run_in_terminal  # noqa: PLC0415 - only at a terminal
        from prompt_toolkit.filters import is_searching  # noqa: PLC0415 - as above

        @keys.add("enter", filter=~is_searching)
        def send_line(event: Any) -> None:
            self._end_line(event.current_buffer)

        @keys.add("c-q")
        def queue(event: Any) -> None:
            self._queued = True
            self._end_line(event.current_buffer)

        @keys.add("escape", "enter")
        def new_line(event: Any) -> None:
            event.current_buffer.insert_text("\n")

        @keys.add("c-x", "c-e")
        def open_editor(event: Any) -> None:
            lend(event.current_buffer.open_in_editor)

        @keys.add("c-z")
        def suspend(_: Any) -> None:
            lend(partial(run_in_terminal, self._suspend))

    def _bind_stopping_keys(self, keys: "KeyBindings", send: Send) -> None:
        from prompt_toolkit.filters import is_searching  # noqa: PLC0415 - only at a terminal
        from prompt_toolkit.search import stop_search  # noqa: PLC0415 - as above

        @keys.add("c-c")
        def interrupt(event: Any) -> None:
            if event.current_buffer.text and not self.conversation.busy:
                event.current_buffer.reset()
            else:
                send(Interrupted())

        @keys.add(LONE_ESCAPE, filter=~is_searching)
        def cut_off(event: Any) -> None:
            if event.current_buffer.complete_state:
                event.current_buffer.cancel_completion()
            else:
                send(Escaped())

        @keys.add(LONE_ESCAPE, filter=is_searching)
        def end_search(_: Any) -> None:
            stop_search()


def _press(send: Send, key: str, _: object) -> None:
    send(Pressed(key))


def _printable_input() -> "Processor":
    """Show what is in the line, such as a name that was completed, without what would command the terminal."""
    from prompt_toolkit.layout.processors import (  # noqa: PLC0415 - only at a terminal
        Processor,
        Transformation,
        TransformationInput,
    )

    class Printable(Processor):
        def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
            given = transformation_input.fragments
            return Transformation([(part[0], _one_for_one(part[1])) for part in given])

    return Printable()


def _one_for_one(text: str) -> str:
    """Make a text printable without a change of its length, so that the cursor stays where it is."""
    if printable(text) == text:
        return text
    return "".join(printable(one) or "\N{REPLACEMENT CHARACTER}" for one in text)
