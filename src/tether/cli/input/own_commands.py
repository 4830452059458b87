"""Commands that a person runs: `!git status`. The agent reads them and their output with the next message."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from attrs import define, field

from tether.toolbox.kept_output import KeptOutput
from tether.toolbox.supervised import supervised

__all__ = ()

_MOST_LINES: Final = 2_000
"""Lines that are shown: the terminal may be slower than the command."""


async def run_own_command(
    command: str, tell: Callable[[str], None], heard: Callable[[str], None]
) -> str:
    """Run a command of the person's in a shell, with their environment and without standard input.

    Args:
        command: what the shell is to run.
        tell: prints its output, as it comes.
        heard: is given what the agent is to read of it, also where it was cut off.

    Returns:
        A line about its end.

    Cancellation:
        Ends the command, with all processes that it has started.
    """
    output, ending = _Output(tell), "cut off"
    try:
        async with supervised(command, Path.cwd(), os.environ) as process:
            await process.follow(output.take)
            ending = f"exit code {process.exit_code}"
    finally:
        output.finish()
        heard(f"I ran `{command}`:\n{output.kept.text().rstrip()}\n[{ending}]")
    about = "" if process.exit_code == 0 else f"{ending}; "
    return f"({about}the agent reads the output with your next message)"


@define
class _Output:
    tell: Callable[[str], None]
    kept: KeptOutput = field(factory=KeptOutput)
    _rest: str = ""
    _lines: int = 0

    async def take(self, piece: bytes) -> None:
        """Take a piece, and show the lines that are complete."""
        *lines, self._rest = f"{self._rest}{self.kept.add(piece)}".split("\n")
        self._show(lines)

    def finish(self) -> None:
        """Show the last line, if it has no end."""
        self._show([self._rest] if self._rest else [])
        if self._lines > _MOST_LINES:
            self.tell(f"(and {self._lines - _MOST_LINES:,} more lines)")

    def _show(self, lines: list[str]) -> None:
        shown = lines[: max(_MOST_LINES - self._lines, 0)]
        self._lines += len(lines)
        if shown:
            self.tell("\n".join(shown))
