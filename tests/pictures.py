"""The picture of the terminal in the README: `python -m tests.pictures` draws it anew.

The command's own display and status line show a conversation with the offline model. The durations are fixed, since
they vary from run to run.
"""

import io
import re
import tempfile
from pathlib import Path
from typing import Final

import anyio
from msgspec.structs import replace
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from tether import Agent, Event, ToolExecutionEnd, ToolExecutionUpdate
from tether.cli.conversation import Conversation
from tether.cli.extensions import App
from tether.cli.live import Live
from tether.cli.status import Status
from tether.toolbox.coding import coding_tools

__all__ = ("PICTURE", "draw", "text_of")

PICTURE: Final = Path(__file__).parents[1] / "src" / "tether" / "cli" / "terminal.svg"

_WIDTH: Final = 92
_FIRST: Final = "list src then how many lines has src/rope.py"
_SECOND: Final = "run python3 -u check.py"
_SECONDS: Final = {"list_files": 0.01, "read_file": 0.02, "run_command": 1.5}
_FILES: Final = {
    "README.md": "# Rope\n",
    "src/rope.py": "def tie(knot: str) -> str:\n    return f'{knot}!'\n",
    "src/knots.py": "KNOTS = ('bowline', 'clove hitch', 'sheet bend')\n",
    # It never ends by itself: the picture is taken while it runs.
    "check.py": (
        "import sys, time\n"
        "sys.path.insert(0, 'src')\n"
        "from knots import KNOTS\n"
        "for knot in KNOTS:\n"
        "    print('tying a', knot, '... ok')\n"
        "time.sleep(600)\n"
    ),
}
_TEMPLATE: Final[str] = (Console.export_svg.__kwdefaults__ or {})["code_format"]
_FONTS_FROM_ELSEWHERE: Final = re.compile(r"@font-face \{\{.*?\}\}", re.DOTALL)
_TEXT: Final = re.compile(r"<text[^>]*>([^<]*)</text>")


def draw() -> str:
    """Hold the conversation, and return the picture as SVG."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in _FILES.items():
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)
        screen = anyio.run(_hold, folder)
    console = Console(record=True, width=_WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(screen))
    return console.export_svg(
        title="tether",
        theme=MONOKAI,
        code_format=_FONTS_FROM_ELSEWHERE.sub("", _TEMPLATE),
        unique_id="tether",
    )


def text_of(svg: str) -> str:
    """Return the characters that a picture shows, without spaces, and with a 0 for each number."""
    return re.sub(r"\d[\d,.]*", "0", re.sub(r"&#160;|\s", "", "".join(_TEXT.findall(svg))))


async def _hold(folder: str) -> str:
    out = io.StringIO()
    live = Live(out, lambda: _WIDTH, now=lambda: 0.0)
    agent = Agent("offline", tools=coding_tools(folder))
    talk = Conversation(App(agent), live, print)
    out.write(f"> {_FIRST}\n")
    async with agent.run(_FIRST) as run:
        async for event in run:
            live.show(_timed(event))
    out.write(f"> {_SECOND}\n")
    async with agent.run(_SECOND) as talk.run:
        async for event in talk.run:
            live.show(_timed(event))
            if isinstance(event, ToolExecutionUpdate) and "sheet bend" in live.above(_WIDTH, 20):
                live.now = lambda: _SECONDS["run_command"]
                status = Status(talk).line().ljust(_WIDTH)
                return f"{out.getvalue()}{live.above(_WIDTH, 20)}> \n\x1b[7m{status}\x1b[0m"
    raise AssertionError("the command ended before the picture was taken")


def _timed(event: Event) -> Event:
    return (
        replace(event, duration=_SECONDS[event.name])
        if isinstance(event, ToolExecutionEnd)
        else event
    )


if __name__ == "__main__":
    PICTURE.write_text(draw())
    print(f"{PICTURE}: {PICTURE.stat().st_size:,} bytes")
