"""A line editor: history, completion, several lines, and above and below the line what goes on meanwhile.

The editor is prompt-toolkit's. It has an event loop of its own, on asyncio alone, so it runs in a thread, and what a
person does comes from there as a stream of inputs: the agent may run on either backend.
"""

import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from anyio.abc import ObjectReceiveStream
from attrs import define, field

from tether.cli.conversation import Closed, Conversation, Input, Interrupted, Pressed, Said
from tether.cli.keyboard import keyboard, lend
from tether.cli.live import Live
from tether.cli.status import Status
from tether.cli.terminal import Send, from_thread

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.formatted_text import ANSI
    from prompt_toolkit.input import Input as PromptInput
    from prompt_toolkit.key_binding import KeyBindings

__all__ = ("KEYS", "completions", "edited_lines", "file_names", "printing_above")

_PROMPT: Final = "> "
_SECONDS_BETWEEN_DRAWINGS: Final = 0.05
_SECONDS_BETWEEN_TICKS: Final = 0.25

KEYS: Final[Mapping[str, str]] = {
    "enter": "Say it; while the agent works, it hears it as soon as it can.",
    "c-q": "Say it when the agent would stop.",
    "escape enter": "Begin a new line.",
    "c-c": "Cut off what is in flight; once more, end the run. At rest: clear the line; an empty one, ask to leave.",
    "c-d": "Leave, where the line is empty.",
    "tab": "Complete a command, a model, an id, or a file behind an @.",
    "c-r": "Search what was said before.",
    "c-x c-e": "Edit the line in $EDITOR.",
}
"""What keys do before an extension says otherwise."""


@contextmanager
def printing_above() -> Iterator[None]:
    """Have what is printed go above the line that is being typed."""
    from prompt_toolkit.patch_stdout import StdoutProxy  # noqa: PLC0415 - only at a terminal

    with (
        StdoutProxy(sleep_between_writes=_SECONDS_BETWEEN_DRAWINGS, raw=True) as above,
        contextlib.redirect_stdout(above),
        contextlib.redirect_stderr(above),
    ):
        yield


@asynccontextmanager
async def edited_lines(
    talk: Conversation, live: Live, history: Path
) -> AsyncIterator[ObjectReceiveStream[Input]]:
    """Read lines from an editor.

    Args:
        talk: whose commands and keys are known, and whose state is shown.
        live: draws what goes on.
        history: the file that keeps what was typed.
    """
    history.parent.mkdir(parents=True, exist_ok=True)
    editor = _Editor(talk, live, history)
    async with from_thread(editor.edit, editor.close) as inputs:
        yield inputs


@define(eq=False)
class _Editor:
    """Lives in a thread, but for `close`."""

    talk: Conversation
    live: Live
    history: Path
    _keyboard: "PromptInput" = field(init=False, factory=keyboard)
    _session: "PromptSession[str]" = field(init=False)
    _queued: bool = False
    _closed: bool = False

    def __attrs_post_init__(self) -> None:
        from prompt_toolkit import PromptSession  # noqa: PLC0415 - only at a terminal
        from prompt_toolkit.history import FileHistory  # noqa: PLC0415

        status = Status(self.talk)
        self._session = PromptSession(
            self._message,
            history=FileHistory(str(self.history)),
            completer=_completer(self.talk),
            complete_while_typing=False,
            bottom_toolbar=status.line,
            refresh_interval=_SECONDS_BETWEEN_TICKS,
            input=self._keyboard,
        )
        self._session.app.min_redraw_interval = _SECONDS_BETWEEN_DRAWINGS
        self.live.redraw = self._session.app.invalidate

    def edit(self, send: Send) -> None:
        """Read line after line, until the person or the conversation has enough."""
        with self._keyboard.raw_mode():
            while not self.talk.leaving:
                self._queued = False
                try:
                    # Keys are bound anew each time: an extension may have been loaded meanwhile.
                    text = self._session.prompt(
                        key_bindings=self._keys(send), pre_run=self._end_if_closed
                    )
                except EOFError:
                    break
                send(Said(text, queued=self._queued))
        send(Closed())

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

    def _message(self) -> "ANSI":
        from prompt_toolkit.formatted_text import ANSI  # noqa: PLC0415 - only at a terminal

        if self._session.app.is_done:
            return ANSI(_PROMPT)  # it stays on the screen: what still changes must not
        columns, lines = shutil.get_terminal_size()
        return ANSI(self.live.above(columns, max(1, lines // 2)) + _PROMPT)

    def _keys(self, send: Send) -> "KeyBindings":
        from prompt_toolkit.key_binding import KeyBindings  # noqa: PLC0415 - only at a terminal

        keys = KeyBindings()

        @keys.add("c-q")
        def queue(event: Any) -> None:
            self._queued = True
            event.current_buffer.validate_and_handle()

        @keys.add("escape", "enter")
        def new_line(event: Any) -> None:
            event.current_buffer.insert_text("\n")

        @keys.add("c-x", "c-e")
        def open_editor(event: Any) -> None:
            lend(event.current_buffer.open_in_editor)

        @keys.add("c-c")
        def interrupt(event: Any) -> None:
            if event.current_buffer.text and not self.talk.busy:
                event.current_buffer.reset()
            else:
                send(Interrupted())

        for key in self.talk.app.keys:

            @keys.add(*key.split())
            def press(_: Any, key: str = key) -> None:
                send(Pressed(key))

        return keys


def _completer(talk: Conversation) -> Any:
    from prompt_toolkit.completion import Completer, Completion  # noqa: PLC0415 - only at a terminal

    class Words(Completer):
        def get_completions(self, document: Any, complete_event: Any) -> Iterable[Completion]:
            line = document.text_before_cursor
            word = line.rpartition(" ")[2]
            for candidate in completions(talk, line):
                yield Completion(candidate, start_position=-len(word))

    return Words()


def completions(talk: Conversation, line: str) -> Iterator[str]:
    """Say what the last word of a line may become: of a command, or of a file behind an `@`.

    Args:
        talk: whose commands, models and entries are known.
        line: what stands before the cursor.

    Returns:
        Whole words.
    """
    command, space, _ = line.rpartition(" ")
    word = line[len(command) + len(space) :]
    if word.startswith("@"):
        yield from (f"@{path}" for path in file_names(word[1:]))
    elif line.startswith("/") and not space:
        names = {*(one.name for one in talk.app.commands), *talk.app.prompts}
        yield from (f"/{name}" for name in sorted(names) if name.startswith(word[1:]))
    elif line.startswith("/"):
        yield from talk.app.commands.complete(line[1:], talk)


def file_names(begun: str) -> Iterator[str]:
    """Say which files a path may become that was begun; folders end with a slash."""
    folder, _, name = begun.rpartition("/")
    folder = f"{folder}/" if "/" in begun else ""
    try:
        found = sorted(os.scandir(Path(folder or ".").expanduser()), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in found:
        hidden = entry.name.startswith(".") and not name.startswith(".")
        if entry.name.startswith(name) and not hidden:
            yield f"{folder}{entry.name}{'/' if entry.is_dir() else ''}"
