"""A terminal with a screen, in which the command runs: what a person would see, and type."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pexpect
import pyte

__all__ = ("Terminal", "terminal")

_PATIENCE = 60
"""Seconds."""


_ABOUT_ANOTHER_TERMINAL = {"NO_COLOR", "COLUMNS", "LINES"}


class _Screen(pyte.HistoryScreen):
    """Answers what programs ask of a terminal, as xterm does."""

    def __init__(self, columns: int, lines: int, answer: Callable[[str], object]) -> None:
        super().__init__(columns, lines, history=10_000, ratio=0.5)
        self._answer = answer

    def write_process_input(self, data: str) -> None:
        self._answer(data)


class Terminal:
    """A command in a terminal."""

    def __init__(self, child: Any, columns: int, lines: int) -> None:
        self.child = child
        self.screen = _Screen(columns, lines, child.send)
        self._stream = pyte.Stream(self.screen)
        self.raw = ""
        """What the command has written last."""
        self.received = 0
        """Characters that it has written in all."""

    def lines(self) -> list[str]:
        """What stands on the screen, from the top."""
        return [self._line(self.screen.buffer[row]) for row in range(self.screen.lines)]

    def _line(self, line: Any) -> str:
        """Behind a wide character there is an empty cell, also where something was written over its first."""
        return "".join(line[column].data for column in range(self.screen.columns)).rstrip()

    def text(self) -> str:
        """All there is, what has left the screen at the top too."""
        gone = (self._gone_line(line) for line in self.screen.history.top)
        return "\n".join([*gone, *self.lines()])

    def _gone_line(self, line: Any) -> str:
        """What has left the screen changes no more: with thousands of lines, most of a test's time would be this."""
        columns, text = getattr(line, "written", (0, ""))
        if columns != self.screen.columns:
            columns, text = line.written = (self.screen.columns, self._line(line))
        return text

    def until(self, met: str | Callable[[], bool]) -> None:
        """Read until a text stands somewhere, or something holds.

        Raises:
            pexpect.TIMEOUT, pexpect.EOF: it never did; the text tells what was there.
        """
        deadline = time.monotonic() + _PATIENCE
        while not (met in self.text() if isinstance(met, str) else met()):
            try:
                # The command draws its clock again and again, so that reading alone never runs out of time.
                self._read(deadline - time.monotonic())
            except (pexpect.TIMEOUT, pexpect.EOF) as error:
                raise type(error)(f"waited for {met}; there was:\n{self.text()}") from None

    def until_at_rest(self) -> None:
        """Read until the run has ended: what says so on the screen comes a moment before that."""
        self.until(lambda: not any("Esc stops" in line for line in self.lines()))

    def settle(self) -> None:
        """Read for two seconds: for what is kept to be looked at, never in a test."""
        end = time.monotonic() + 2
        while (left := end - time.monotonic()) > 0:
            with suppress(pexpect.TIMEOUT):
                self._read(left)

    def until_gone(self) -> int:
        """Read until the command has ended; return its exit code."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self._read(deadline - time.monotonic())
            except pexpect.EOF:
                self.child.close()
                code: int = self.child.exitstatus
                return code

    def _read(self, timeout: float) -> None:
        if timeout < 0:
            raise pexpect.TIMEOUT("it took too long")
        some = self.child.read_nonblocking(65536, timeout=timeout)
        self.raw = f"{self.raw}{some}"[-100_000:]
        self.received += len(some)
        self._stream.feed(some)

    def says(self, line: str) -> None:
        """Type a line, and Enter."""
        self.child.send(f"{line}\r")

    def types(self, keys: str) -> None:
        """Type, without Enter."""
        self.child.send(keys)

    def resize(self, columns: int, lines: int) -> None:
        """Change the window's size."""
        self.screen.resize(lines, columns)
        self.child.setwinsize(lines, columns)


@contextmanager
def terminal(
    folder: Path,
    *arguments: str,
    term: str = "xterm",
    columns: int = 120,
    lines: int = 40,
    ready: str = ">",
    shell: str | None = None,
) -> Iterator[Terminal]:
    """Run the command, or a shell, in a folder, with its configuration and data below it."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.endswith("_API_KEY") and key not in _ABOUT_ANOTHER_TERMINAL
    }
    told = {
        "TETHER_CONFIG_HOME": str(folder / "config"),
        "TETHER_DATA_HOME": str(folder / "data"),
        "TERM": term,
    }
    child = pexpect.spawn(
        *((sys.executable, ["-m", "tether.cli", *arguments]) if shell is None else (shell,)),
        cwd=str(folder),
        env={**kept, **told},
        timeout=60,
        encoding="utf-8",
        dimensions=(lines, columns),
    )
    child.delaybeforesend = None
    try:
        there = Terminal(child, columns, lines)
        there.until(ready)
        yield there
    finally:
        child.close(force=True)
