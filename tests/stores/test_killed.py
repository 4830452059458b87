"""Processes that are killed with -9 in the middle of calls, and go on: no tool begins twice, and no result is lost."""

import os
import random
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.programs import Programs, forking

from tether import Session, ToolResultMessage
from tether.stores import SqliteStore
from tether.testing import check_transcript

PROGRAM = """
import os, signal, sys
import anyio, tether
from tether.session.files import LogFile
from tether.stores import SqliteStore
from tether.testing import ScriptedModel, call

kind, number = os.environ["KILLED_AT"].split()
left = int(number)

def reached(what):
    global left
    left -= what == kind
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

class KilledLog(LogFile):
    def append(self, entry):
        super().append(entry)
        reached(entry.kind)

class KilledDatabase(SqliteStore):
    def append_all(self, entries):
        super().append_all(entries)
        for entry in entries:
            reached(entry.kind)

def done(name, context):
    with open("effects", "a") as effects:
        effects.write(f"{name} {context.call_id}\\n")
    reached("effect")
    return f"did {context.call_id}"

@tether.tool
async def once(context: tether.ToolContext[None]) -> str:
    "Do it."
    await anyio.lowlevel.checkpoint()
    return done("once", context)

@tether.tool
def in_thread(context: tether.ToolContext[None]) -> str:
    "Do it."
    return done("once", context)

@tether.tool(idempotent=True)
async def again(context: tether.ToolContext[None]) -> str:
    "Do it, a second time too."
    return done("again", context)

def reply(request):
    if request.messages[-1].role == "tool":
        return "done"
    return [call("once"), call("again"), call("in_thread"), call("once"), call("again"), call("once")]

async def approve(invocation):
    await anyio.lowlevel.checkpoint()
    return True

async def main():
    log = os.environ["STORE"] == "log"
    from pathlib import Path
    store = KilledLog.open(Path("s.jsonl")) if log else KilledDatabase("app.db", "c", takeover=True)
    with tether.Session(store) as session:
        agent = tether.Agent(
            ScriptedModel(*[reply] * 9), tools=[once, in_thread, again], session=session, approve=approve
        )
        await agent.prompt(None if agent.messages else "go")

anyio.run(main, backend=os.environ["BACKEND"])
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    with forking(tmp_path_factory.mktemp("programs")) as server:
        yield server


def chain(programs: Programs, folder: Path, store: str, backend: str, points: Sequence[str]) -> int:
    """Have a conversation killed at each of these points, then run to its end; return how often it was."""
    killed = 0
    for point in (*points, "never 1"):
        environment = {**os.environ, "KILLED_AT": point, "STORE": store, "BACKEND": backend}
        # A process that is forked has the folder of its server.
        code = f"import os; os.chdir({str(folder)!r})\n{PROGRAM}"
        ended = programs.run(code, folder, environment)
        if ended.returncode == -signal.SIGKILL:
            killed += 1
        else:
            assert ended.returncode == 0, ended.stderr
            break
    return killed


def check(folder: Path, store: str) -> None:
    session = (
        Session.read(folder / "s.jsonl")
        if store == "log"
        else Session(SqliteStore(folder / "app.db", "c", takeover=True))
    )
    with session:
        messages = session.messages
        check_transcript(messages)
        assert messages[-1].text == "done"
        assert session.open_calls is None
    effects = Counter((folder / "effects").read_text().splitlines())
    results = [message for message in messages if isinstance(message, ToolResultMessage)]
    assert len(results) == 6
    for result in results:
        if result.name == "again":
            assert result.outcome == "ok"
            assert effects[f"again {result.call_id}"] >= 1
        elif result.outcome == "ok":
            assert effects[f"once {result.call_id}"] == 1
        else:  # nobody knows
            assert result.outcome == "interrupted"
            assert effects[f"once {result.call_id}"] <= 1


@pytest.mark.parametrize(
    ("store", "backend", "points"),
    [
        ("log", "asyncio", ["asked 2", "begun 1", "begun 2", "message 2"]),
        ("sqlite", "trio", ["effect 1", "result 1", "effect 2", "message 1"]),
    ],
)
def test_no_tool_begins_twice(
    programs: Programs, tmp_path: Path, store: str, backend: str, points: list[str]
) -> None:
    assert chain(programs, tmp_path, store, backend, points) >= 3
    check(tmp_path, store)


@pytest.mark.thorough
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("store", ["log", "sqlite"])
@pytest.mark.parametrize("part", range(3))
def test_no_tool_begins_twice_at_sixty_kills(
    programs: Programs, tmp_path: Path, store: str, backend: str, part: int
) -> None:
    chance, killed, number = random.Random(part), 0, 0
    while killed < 20:
        number += 1
        folder = tmp_path / str(number)
        folder.mkdir()
        kinds = chance.choices(["asked", "begun", "effect", "result", "message"], k=4)
        points = [f"{kind} {chance.randint(1, 4)}" for kind in kinds]
        killed += chain(programs, folder, store, backend, points)
        check(folder, store)
