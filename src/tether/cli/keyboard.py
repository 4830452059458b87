"""The keyboard of a line editor: whenever something is typed, it reaches the editor.

Between two lines, and while something is printed above one, prompt-toolkit has the terminal as a shell has it. What is
typed at such a moment is then shown twice, and Ctrl-C and Ctrl-Q are the terminal's: the one a signal, the other lost.
"""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar, copy_context
from itertools import pairwise, zip_longest
from typing import TYPE_CHECKING, Any, Final, TextIO

if TYPE_CHECKING:
    from prompt_toolkit.application import Application
    from prompt_toolkit.input import Input

__all__ = ()

LONE_ESCAPE: Final = "f24"
"""The key that stands for Esc pressed alone, rather than as the beginning of another; no keyboard has it."""
_BACKGROUND: Final = re.compile(r"\x1b\]11;[^\x07\x1b]*(?:\x07|\x1b\\)")
_BEGUN: Final = re.compile(r"\x1b\](?:1(?:1(?:;[^\x07\x1b]*\x1b?)?)?)?$")
_CURSOR: Final = re.compile(r"\x1b\[(\d+);\d+R")
_CURSOR_BEGUN: Final = re.compile(r"\x1b(?:\[[\d;]*)?$")
_LENT: Final = ContextVar("lent", default=False)


def keyboard(
    on_background: Callable[[str], object] = lambda _: None, *, lone_escape: str = LONE_ESCAPE
) -> "Input":
    """Open the terminal for a line editor, which keeps it also while it prints.

    Args:
        on_background: is given the terminal's answer to the question for its background, whenever that comes.
        lone_escape: the key that stands for Esc pressed alone.

    Returns:
        What a `PromptSession` reads from; between two lines, `raw_mode()` of it keeps the terminal.
    """
    if sys.platform == "win32":
        from prompt_toolkit.input import create_input  # noqa: PLC0415 - only at a terminal

        return create_input()
    from prompt_toolkit.input.posix_utils import PosixStdinReader  # noqa: PLC0415 - as above
    from prompt_toolkit.input.vt100 import Vt100Input  # noqa: PLC0415 - as above
    from prompt_toolkit.key_binding import KeyPress  # noqa: PLC0415 - as above
    from prompt_toolkit.keys import Keys  # noqa: PLC0415 - as above

    escape = KeyPress(Keys(lone_escape), "\x1b")

    class Reader(PosixStdinReader):
        begun = ""

        def read(self, count: int = 1024) -> str:
            text = self.begun + super().read(count)
            for answer in _BACKGROUND.findall(text):
                on_background(answer)
            text = _BACKGROUND.sub("", text)
            begun = _BEGUN.search(text)
            self.begun = begun[0] if begun else ""
            return text.removesuffix(self.begun)

        def read_answers(self) -> Iterator[str]:
            """Throw away what was typed; yield where the cursor is, as the terminal has said meanwhile."""
            typed = ""
            while some := self.read():
                typed += some
            yield from _CURSOR.findall(typed)
            if (begun := _CURSOR_BEGUN.search(typed)) and not self.begun:
                self.begun = begun[0]

    class Keyboard(Vt100Input):
        def __init__(self, stdin: TextIO) -> None:
            super().__init__(stdin)
            # Bytes that are not text would come as surrogates, which can be neither kept nor sent.
            self.stdin_reader = Reader(stdin.fileno(), "replace", stdin.encoding)

        def raw_mode(self) -> AbstractContextManager[None]:
            return _given_back(super().raw_mode())

        def cooked_mode(self) -> AbstractContextManager[None]:
            return super().cooked_mode() if _LENT.get() else nullcontext()

        def read_keys(self) -> list[KeyPress]:
            keys = super().read_keys()
            # What the terminal answers is not typed: no letter comes with Alt.
            pairs = [(key.key, behind.key) for key, behind in pairwise(keys)]
            alone = [pair == (Keys.Escape, Keys.CPRResponse) for pair in pairs]
            return [escape if is_alone else key for key, is_alone in zip_longest(keys, alone)]

        def flush_keys(self) -> list[KeyPress]:
            # Here nothing has followed for a while; Alt and a letter come together.
            keys = super().flush_keys()
            return [escape] if [key.key for key in keys] == [Keys.Escape] else keys

    return Keyboard(sys.stdin)


@contextmanager
def _given_back(mode: AbstractContextManager[None]) -> Iterator[None]:
    """Give the terminal back at the end of a block, unless it is closed by then."""
    import termios  # noqa: PLC0415 - where there is one

    with suppress(termios.error), mode:
        yield


def forget_typed() -> None:
    """Throw away what was typed and not yet read, also half a line."""
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415 - where there is one

        while msvcrt.kbhit():
            msvcrt.getwch()
    else:
        import termios  # noqa: PLC0415 - where there is one

        with suppress(OSError, ValueError, termios.error):  # it is not a terminal
            termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)


def forget_keys(app: "Application[Any]") -> None:
    """Throw away what was typed and not yet read by an editor.

    The terminal's answers come the same way: without the one that says where the cursor is, the editor would not know
    how much room is left, and would wait for it.
    """
    read_answers = getattr(getattr(app.input, "stdin_reader", None), "read_answers", None)
    if read_answers is None:
        forget_typed()
        return
    for row in read_answers():
        app.renderer.report_absolute_cursor_row(int(row))


def lend(use: Callable[[], object]) -> None:
    """Call a function that starts another program: while that runs, it has the terminal as from a shell.

    Args:
        use: calls prompt-toolkit's `run_in_terminal`, or starts a task that does.
    """
    context = copy_context()
    context.run(_LENT.set, True)  # noqa: FBT003 - it has no name
    context.run(use)
