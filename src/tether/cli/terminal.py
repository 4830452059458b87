"""Where a person types: a line editor at a terminal, plain lines elsewhere.

The editor is prompt-toolkit's. It has an event loop of its own, on asyncio alone, so it runs in a thread, and what a
person does comes from there as a stream of inputs: the agent may run on either backend. What is printed meanwhile goes
above the line that is being typed.
"""

import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.from_thread
import anyio.to_thread
from anyio.abc import ObjectReceiveStream

from tether.cli.conversation import Closed, Conversation, Input, Interrupted, Pressed, Said

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession

__all__ = ("edited_lines", "is_dumb", "plain_lines", "printing_above")


def is_dumb() -> bool:
    """Say whether a line editor would not work here."""
    return not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM") == "dumb"


def printing_above() -> AbstractContextManager[None]:
    """Have what is printed go above the line that is being typed."""
    if is_dumb():
        return nullcontext()
    from prompt_toolkit.patch_stdout import patch_stdout  # noqa: PLC0415 - only at a terminal

    return patch_stdout(raw=True)


@asynccontextmanager
async def plain_lines() -> AsyncIterator[ObjectReceiveStream[Input]]:
    """Read lines from standard input."""

    def read(send: Callable[[Input], None]) -> None:
        for line in sys.stdin:
            send(Said(line.rstrip("\n")))
        send(Closed())

    async with _from_thread(read) as inputs:
        yield inputs


@asynccontextmanager
async def edited_lines(
    talk: Conversation, history: Path
) -> AsyncIterator[ObjectReceiveStream[Input]]:
    """Read lines from an editor: with a history, completion, and a status below.

    Args:
        talk: whose commands and keys are known, and whose state is shown.
        history: the file that keeps what was typed.
    """
    history.parent.mkdir(parents=True, exist_ok=True)
    said: list[Input] = []
    session = _editor(talk, history, said)

    def edit(send: Callable[[Input], None]) -> None:
        while not talk.leaving:
            try:
                text = session.prompt("> ")
                send(said.pop() if said else Said(text))
            except KeyboardInterrupt:
                send(Interrupted())
            except EOFError:
                send(Closed())
                return

    async with _from_thread(edit) as inputs:
        try:
            yield inputs
        finally:
            _close(session)


@asynccontextmanager
async def _from_thread(
    read: Callable[[Callable[[Input], None]], None],
) -> AsyncIterator[ObjectReceiveStream[Input]]:
    send, inputs = anyio.create_memory_object_stream[Input](16)

    def work() -> None:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            read(lambda one: anyio.from_thread.run(send.send, one))

    with send, inputs:
        async with anyio.create_task_group() as tasks:

            async def wait() -> None:
                # A thread that waits for a line cannot be stopped, only left.
                await anyio.to_thread.run_sync(work, abandon_on_cancel=True)

            async def watch() -> None:
                with anyio.open_signal_receiver(signal.SIGINT) as signals:
                    async for _ in signals:
                        await send.send(Interrupted())

            tasks.start_soon(wait)
            tasks.start_soon(watch)
            yield inputs
            tasks.cancel_scope.cancel()


def _close(session: "PromptSession[str]") -> None:
    """End the editing that goes on in the thread."""
    app = session.app
    loop = app.loop
    if loop is not None and app.is_running:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(lambda: app.exit(exception=EOFError))


def _editor(talk: Conversation, history: Path, said: list[Input]) -> "PromptSession[str]":
    from prompt_toolkit import PromptSession  # noqa: PLC0415 - only at a terminal
    from prompt_toolkit.history import FileHistory  # noqa: PLC0415
    from prompt_toolkit.key_binding import KeyBindings  # noqa: PLC0415

    keys = KeyBindings()

    @keys.add("c-q")
    def queue(event: Any) -> None:
        """Say it when the agent would stop."""
        said.append(Said(event.current_buffer.text, queued=True))
        event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def new_line(event: Any) -> None:
        """Begin a new line."""
        event.current_buffer.insert_text("\n")

    for key in talk.app.keys:

        @keys.add(key)
        def press(event: Any, key: str = key) -> None:
            said.append(Pressed(key))
            event.app.exit(result="")

    return PromptSession(
        history=FileHistory(str(history)),
        completer=_completer(talk),
        complete_while_typing=False,
        key_bindings=keys,
        bottom_toolbar=lambda: _status(talk),
        refresh_interval=1.0,
        enable_open_in_editor=True,
    )


def _completer(talk: Conversation) -> Any:
    from prompt_toolkit.completion import Completer, Completion  # noqa: PLC0415 - only at a terminal

    class Words(Completer):
        def get_completions(self, document: Any, complete_event: Any) -> Iterable[Completion]:
            line = document.text_before_cursor
            word = line.rpartition(" ")[2]
            for candidate in completions(talk, line):
                yield Completion(candidate, start_position=-len(word.removeprefix("/")))

    return Words()


def completions(talk: Conversation, line: str) -> Iterable[str]:
    """Say what the last word of a line may become: of a command, or of a file behind an `@`."""
    word = line.rpartition(" ")[2]
    if word.startswith("@"):
        begun = Path(word[1:])
        folder = begun if word.endswith("/") else begun.parent
        names = sorted(folder.expanduser().glob("*")) if folder.expanduser().is_dir() else []
        for path in names:
            text = f"@{path}{'/' if path.is_dir() else ''}"
            if text.startswith(word):
                yield text
    elif line.startswith("/"):
        yield from talk.app.commands.complete(line[1:])


def _status(talk: Conversation) -> str:
    going = "" if talk.run is None else " | working: Enter steers, Ctrl-Q queues, Ctrl-C cuts off"
    usage = talk.run.usage if talk.run is not None else None
    tokens = "" if usage is None else f" | {usage.input_tokens:,} in, {usage.output_tokens:,} out"
    return f" {talk.agent.model.name} | {len(talk.agent.messages)} messages{tokens}{going}"
