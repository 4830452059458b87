"""The full-screen application: draws the view, and changes it as keys are pressed.

It is prompt-toolkit's, which has an event loop of its own, on asyncio alone: it runs in a thread. The view and all
histories belong to that thread. What comes of scrapes waits in a queue until it draws.
"""

import queue
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Event
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.to_thread
from attrs import define, field

from tether.top.runs import has_runs
from tether.top.screen import screen
from tether.top.source import Outcome
from tether.top.view import View

if TYPE_CHECKING:
    from prompt_toolkit import Application
    from prompt_toolkit.input import Input
    from prompt_toolkit.key_binding import KeyBindings
    from prompt_toolkit.output import Output

__all__ = ("Display",)

_SECONDS_TO_END: Final = 3
_MOST_WORDS: Final = 200
"""Characters of a filter."""
_WHEEL_AS_ARROWS: Final = "\x1b[?1007h"
"""xterm: on a full screen, the wheel presses the arrow keys. Text can still be selected with the mouse."""
_WHEEL_AS_BEFORE: Final = "\x1b[?1007l"

_STYLE: Final = {
    "head": "bold",
    "down": "bold ansired",
    "title": "reverse",
    "chosen": "reverse bold",
    "name": "",
    "rate": "ansigreen",
    "value": "bold",
    "spark": "ansicyan",
    "bar": "ansicyan",
    "gone": "ansibrightblack",
    "dim": "ansibrightblack",
    "foot": "reverse",
    "keys": "",
}


@define(eq=False)
class Display:
    """A view on a terminal.

    Args:
        view: what is seen first. From then on it belongs to the display's thread.
        input: where keys come from; prompt-toolkit's.
        output: where it is drawn; prompt-toolkit's.
    """

    view: View
    input: "Input"
    output: "Output"
    _outcomes: "queue.SimpleQueue[tuple[int, Outcome]]" = field(factory=queue.SimpleQueue)
    _application: "Application[None]" = field(init=False)
    _greeted: bool = False
    _closed: bool = False
    _ended: Event = field(factory=Event)

    def __attrs_post_init__(self) -> None:
        from prompt_toolkit import Application  # noqa: PLC0415 - only at a terminal
        from prompt_toolkit.formatted_text import FormattedText  # noqa: PLC0415
        from prompt_toolkit.layout import FormattedTextControl, Layout, Window  # noqa: PLC0415
        from prompt_toolkit.styles import Style  # noqa: PLC0415

        text = FormattedTextControl(lambda: FormattedText(self._drawn()), show_cursor=False)
        self._application = Application(
            Layout(Window(text, always_hide_cursor=True)),
            key_bindings=self._keys(),
            style=Style.from_dict(_STYLE),
            full_screen=True,
            input=self.input,
            output=self.output,
        )
        self._application.ttimeoutlen = 0.05  # seconds after which Escape is no arrow key
        self._application.timeoutlen = 0

    def take(self, index: int, outcome: Outcome) -> None:
        """Show what came of a scrape. Any thread may call it."""
        self._outcomes.put((index, outcome))
        self._application.invalidate()

    async def show(self) -> None:
        """Draw, until the person leaves.

        Cancellation:
            The terminal is put back, for which it waits a few seconds at most.
        """
        try:
            await anyio.to_thread.run_sync(self._run, abandon_on_cancel=True)
        finally:
            self._close()
            with anyio.move_on_after(_SECONDS_TO_END, shield=True):
                await anyio.to_thread.run_sync(self._ended.wait, _SECONDS_TO_END)

    def _run(self) -> None:
        try:
            self.output.write_raw(_WHEEL_AS_ARROWS)
            with suppress(EOFError):  # the terminal is gone
                self._application.run(handle_sigint=False, pre_run=self._leave_if_closed)
        finally:
            with suppress(OSError):  # likewise
                self.output.write_raw(_WHEEL_AS_BEFORE)
                self.output.flush()
            self._ended.set()

    def _close(self) -> None:
        self._closed = True
        if (loop := self._application.loop) is not None:
            with suppress(RuntimeError):  # it has ended meanwhile
                loop.call_soon_threadsafe(self._leave_if_closed)

    def _leave_if_closed(self) -> None:
        if self._closed and self._application.is_running and not self._application.is_done:
            self._application.exit()

    def _drawn(self) -> list[tuple[str, str]]:
        self._take_all()
        size = self.output.get_size()
        lines = screen(self.view, size.columns, size.rows, time.time())
        return [piece for line in lines for piece in (*line, ("", "\n"))][:-1]

    def _take_all(self) -> None:
        while True:
            try:
                index, outcome = self._outcomes.get_nowait()
            except queue.Empty:
                break
            self.view.take(index, outcome)
        if not self._greeted and any(source.history.moments for source in self.view.sources):
            self._greeted = True
            if has_runs(self.view):
                self.view.show("runs")

    def _keys(self) -> "KeyBindings":
        from prompt_toolkit.filters import Condition  # noqa: PLC0415 - only at a terminal
        from prompt_toolkit.key_binding import KeyBindings  # noqa: PLC0415

        keys = KeyBindings()
        typing = Condition(lambda: self.view.typing)
        for names, action in self._actions().items():
            for name in names.split():
                keys.add(name, filter=~typing)(_pressing(action))
        keys.add("q", filter=~typing)(lambda event: event.app.exit())
        keys.add("c-c")(lambda event: event.app.exit())
        keys.add("c-z")(lambda event: event.app.suspend_to_background())
        keys.add("c-l")(lambda event: event.app.renderer.clear())
        keys.add("<any>", filter=typing)(self._type)
        for name in ("enter", "escape", "backspace", "c-u"):
            keys.add(name, filter=typing)(self._edit(name))
        return keys

    def _actions(self) -> dict[str, Callable[[], object]]:
        view = self.view
        return {
            "down j": lambda: view.move(1),
            "up k": lambda: view.move(-1),
            "pagedown": lambda: view.move(self._rows()),
            "pageup": lambda: view.move(-self._rows()),
            "home": lambda: view.move(-(10**9)),
            "end": lambda: view.move(10**9),
            "enter": view.open,
            "escape": view.back,
            "/": view.find,
            "s": lambda: view.sort(1),
            "S": lambda: view.sort(-1),
            "a": view.toggle_idle,
            "f": view.toggle_folded,
            "*": view.toggle_pin,
            "+ =": lambda: view.widen(1),
            "-": lambda: view.widen(-1),
            "b": view.toggle_base,
            "space p": view.toggle_pause,
            "left": lambda: view.travel(-1),
            "right": lambda: view.travel(1),
            "[": lambda: view.travel(-10),
            "]": lambda: view.travel(10),
            "m": view.toggle_sum,
            "t": lambda: view.show("runs"),
            "? h": lambda: view.show("help"),
        }

    def _rows(self) -> int:
        """How many rows of the table are seen at once, about."""
        return max(self.output.get_size().rows - 6, 1)

    def _type(self, event: Any) -> None:
        key = event.key_sequence[0].key
        is_text = len(key) == 1 or key == "<bracketed-paste>"  # others come as escape sequences
        typed = "".join(one for one in event.data if is_text and one.isprintable())
        self.view.filter(f"{self.view.choice.words}{typed}"[:_MOST_WORDS])

    def _edit(self, key: str) -> Callable[[Any], None]:
        def edit(_: Any) -> None:
            words = self.view.choice.words
            match key:
                case "enter":
                    self.view.typing = False
                case "escape":
                    self.view.typing = False
                    self.view.filter("")
                case "backspace":
                    self.view.filter(words[:-1])
                case _:
                    self.view.filter("")

        return edit


def _pressing(action: Callable[[], object]) -> Callable[[Any], None]:
    def press(_: Any) -> None:
        action()

    return press
