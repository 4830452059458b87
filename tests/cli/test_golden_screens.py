"""What a person sees, whole, at 80 columns by 24 lines and at 140 by 40.

The screens are kept as text in `golden`; `TETHER_GOLDEN=write` in the environment writes them anew. Look at them then.
"""

import os
import re
import time
from pathlib import Path

import pytest
from tests.cli.screen import Terminal, terminal

from tether import AssistantMessage, Session, UserMessage
from tether.cli.session_files import new_session_path

GOLDEN = Path(__file__).parent / "golden"
SIZES = [("asyncio", 80, 24), ("trio", 140, 40)]

REPLY = """\
# Knots

A **bowline** holds `any` load that you may hang from it, and it can be untied after that, which is all one wants.

1. Make a small loop, and remember which part of the rope lies over the other one, as all depends on it.
   - up through it
   - round behind
2. 通して、締める。 That is all there is to it 🙂 as long as the rope is not of wet nylon.

| Knot | Use | kN |
|------|:---:|---:|
| 舫い結び | a loop that holds, wherever something has to be hung up or tied to something else quickly | 12.5 |
| bend | two ropes | 9 |

```python
def tie(knot: str, rope: str = "hemp", *, times: int = 1, tight: bool = True) -> list[str]:
    return [f"{knot} in {rope}"] * times
```

See [the book](https://example.org/ashley) or <https://example.org>.
"""

INIT = f'''\
import anyio, tether
from tether.testing import Pause, ScriptedModel, call
tether.go_on = anyio.Event()

@app.tool
async def measure(rope: str, context: tether.ToolContext[None]) -> str:
    """Measure."""
    for metre in range(20):
        await context.update(f"{{metre}} m of {{rope}}")
    if rope == "wire":
        raise ValueError("a wire is no rope, and no knot will hold in it, whatever is tried")
    return "20 m"

@tether.tool(destructive=True)
def cut_rope(rope: str) -> str:
    """Cut."""
    return "cut"
app.tool(cut_rope)

app.model("mine")(lambda: ScriptedModel(
    {REPLY!r},
    call("measure", rope="hemp"),
    call("measure", rope="wire"),
    call("cut_rope", rope="hemp"),
    ["Well, that is", Pause(tether.go_on)],
))
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TETHER_THEME", "dark")
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "init.py").write_text(INIT)
    return tmp_path


def compare(there: Terminal, name: str) -> None:
    """Wait until the screen is the one that is kept; durations, dates, ids and counts of tokens vary."""
    path = GOLDEN / f"{name}-{there.screen.columns}x{there.screen.lines}.txt"
    if os.environ.get("TETHER_GOLDEN") == "write":
        there.settle()
        path.parent.mkdir(exist_ok=True)
        path.write_text(shown(there))
    there.until(lambda: shown(there) == path.read_text())


def _together(text: str) -> str:
    """Leave out the room above the status line, which depends on where the screen has scrolled to."""
    return re.sub(r"\n+(?= (?:plan|ask|edits|all) \| )", "\n", text)


def shown(there: Terminal) -> str:
    """What there is at last, as many lines as the screen has; how far it has scrolled depends on when it was drawn."""
    text = _together(re.sub(r"\n{3,}", "\n\n", there.text().rstrip()))
    text = text[max(text.find("> how do I"), 0) :]  # behind what every conversation begins with
    text = "\n".join(text.split("\n")[-there.screen.lines :]) + "\n"
    for pattern, instead in (
        (r"\d+\.\d+ s\b", "0.00 s"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d", "2026-01-01 00:00"),
        (r"\b[0-9a-f]{8}\b", "01234567"),
        (r"context [\d,]+", "context 0"),
        (r"[\d,]+ (tokens in|in|out)\b", r"0 \1"),
    ):
        text = re.sub(pattern, instead, text)
    return text


def colour(there: Terminal, text: str) -> str:
    """The colour of the line that begins with a text."""
    [row] = [row for row, line in enumerate(there.lines()) if line.startswith(text)]
    found: str = there.screen.buffer[row][0].fg
    return found


@pytest.mark.parametrize(("backend", "columns", "lines"), SIZES)
def test_a_conversation(folder: Path, backend: str, columns: int, lines: int) -> None:
    options = ("--backend", backend, "--model", "mine")
    with terminal(folder, *options, columns=columns, lines=lines) as there:
        there.says("how do I tie a bowline?")
        there.until("1 turn,")
        compare(there, "reply")
        there.says(
            "measure the ropes, cut the one that is of hemp, and say how it went in one sentence of its own"
        )
        there.until("Run it?")
        compare(there, "question")
        assert colour(there, "! measure") == "red"
        assert colour(there, "Run it?") == "brown", "yellow, as pyte calls it"
        there.says("not the good one")
        there.until("Well, that is")
        there.says("shorter, please")
        there.until("(the agent reads it after this step)")
        compare(there, "steering")
        assert colour(there, "! cut_rope") == "brown"
        there.types("half a line\x03")
        there.until("; stopped")
        there.until("(the agent reads it with what you say next)")
        compare(there, "stopped")
        there.types("\x15\x03")
        assert there.until_gone() == 0
        assert "To go on with this conversation: tether resume" in there.text()


@pytest.mark.parametrize(("backend", "columns", "lines"), SIZES)
def test_choices(
    folder: Path, backend: str, columns: int, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TETHER_DATA_HOME", str(folder / "data"))
    (folder / "a.txt").write_text("one")
    options = ("--backend", backend, "--model", "offline")
    requests = ("list .", "read a.txt", "what is 漢字かな good for, and why learn it?")
    for age, request in enumerate(reversed(requests)):
        path = new_session_path(folder)
        with Session.open(path) as session:
            session.record(UserMessage(request, id="1"))
            session.record(AssistantMessage(f"That was easy: {request}", id="2"))
        # Their order: what a file system notes of files that are made one after the other may be equal.
        os.utime(path, (time.time() - age,) * 2)
    resumed = terminal(folder, "resume", *options, columns=columns, lines=lines, ready="filter:")
    with resumed as there:
        there.types("\x1b[B")
        there.until("> read a.txt")
        compare(there, "conversations")
        there.types("li")
        there.until("> list .")
        there.types("\r")
        there.until("the last ones")
        there.until("ask | offline")
        there.types("half")
        there.types("\x15")
        there.says("/undo")
        there.until("0 messages are left")
        there.says("read a.txt")
        there.until("2 turns")
        there.says("/tree")
        there.until("└─ you: read a.txt")
        compare(there, "tree")
        there.says("/fork")
        there.until("filter:")
        compare(there, "fork")
        there.types("list\r")
        there.until("on this branch")
        there.types("half a line")
        there.until("> half a line")
        there.types("\x15")
        there.says("/model")
        there.until("> offline")
        there.types("\x1b")
        there.until(lambda: "filter:" not in there.text())
        there.says("/quit")
        assert there.until_gone() == 0
