"""The client: one library on one event loop, in a process of its own, which does what it is told, and how long it took.

    python -m benchmarks.worker PEER LOOP

It reads requests from standard input, an object a line, and answers each with an object a line.
"""

import contextlib
import gc
import json
import os
import re
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from attrs import define, field

from benchmarks.peers import Peer, peer
from benchmarks.provider import Counter

STEP = 1000
"""Pieces of text between two marks."""


@define
class Marks:
    """Counts pieces of text, and remembers when every thousandth came."""

    count: int = 0
    times: list[float] = field(factory=list)

    def tick(self) -> None:
        if self.count % STEP == 0:
            self.times.append(time.process_time())
        self.count += 1

    def growth(self) -> float:
        """What the last thousand cost, to the first."""
        steps = [b - a for a, b in zip(self.times, self.times[1:], strict=False)]
        return steps[-1] / steps[0] if len(steps) > 1 else 1.0


Asked = dict[str, Any]
Answer = dict[str, float]


async def text(own: Peer, asked: Asked) -> Answer:
    marks = Marks()
    await own.text(asked["api"], asked["url"], marks.tick)
    assert marks.count == asked["count"], f"{marks.count} pieces of {asked['count']} came"
    return {"growth": marks.growth()}


async def drip(own: Peer, asked: Asked) -> Answer:
    """Say of each piece of text that it has come, so that the next one is sent."""
    got = 0
    counter = Counter(Path(asked["acknowledged"]))
    counter.set(0)

    def tick() -> None:
        nonlocal got
        got += 1
        counter.set(got)

    await own.text(asked["api"], asked["url"], tick)
    assert got == asked["count"], f"{got} pieces of {asked['count']} came"
    return {}


async def live(own: Peer, asked: Asked) -> Answer:
    """Follow many replies that are written as models write, and see how late their pieces come."""
    times: list[list[float]] = [[] for _ in range(asked["runs"])]
    async with anyio.create_task_group() as tasks:
        for seen in times:
            tick = partial(_note, seen)
            tasks.start_soon(own.text, asked["api"], asked["url"], tick)
    assert all(len(seen) == asked["count"] for seen in times)
    late = [lag for seen in times for lag in lags(seen, asked["interval"])]
    return {"lag": statistics.quantiles(late, n=100)[98]}


def _note(seen: list[float]) -> None:
    seen.append(time.monotonic())


def lags(seen: Sequence[float], interval: float) -> list[float]:
    """Say how much later than the earliest each piece came, of those that are sent at equal intervals."""
    sent = [when - number * interval for number, when in enumerate(seen)]
    return [when - min(sent) for when in sent]


async def turns(own: Peer, asked: Asked) -> Answer:
    assert own.turns is not None
    ran = await own.turns(asked["api"], asked["url"])
    assert ran == asked["calls"], f"{ran} calls of {asked['calls']} were made"
    return {}


async def crowd(own: Peer, asked: Asked) -> Answer:
    marks = Marks()
    async with anyio.create_task_group() as tasks:
        for _ in range(asked["runs"]):
            tasks.start_soon(own.text, asked["api"], asked["url"], marks.tick)
    assert marks.count == asked["count"] * asked["runs"]
    return {}


async def idle(own: Peer, asked: Asked) -> Answer:
    assert own.idle is not None
    resident: list[int] = []
    await own.idle(asked["runs"], lambda: resident.append(memory("VmRSS")))
    return {"resident": resident[0]}


async def stream(own: Peer, asked: Asked) -> Answer:
    assert own.stream is not None
    await own.stream(asked["count"])
    return {}


PROGRAMS: dict[str, Callable[[Peer, Asked], Awaitable[Answer]]] = {
    "text": text,
    "turns": turns,
    "drip": drip,
    "live": live,
    "crowd": crowd,
    "idle": idle,
    "stream": stream,
}


def memory(kind: str) -> int:
    """Return KiB: `VmRSS`, what is resident now, or `VmHWM`, what was at most."""
    found = re.search(rf"^{kind}:\s+(\d+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


def answered(own: Peer, loop: str, asked: Asked) -> Answer:
    """Do it once; return seconds and KiB."""
    own.prepare(asked.get("url", ""))
    if asked.get("authority"):
        os.environ["SSL_CERT_FILE"] = asked["authority"]
    backend, options = (
        ("trio", {}) if loop == "trio" else ("asyncio", {"use_uvloop": loop == "uvloop"})
    )
    gc.collect()
    resident = memory("VmRSS")
    wall, cpu = time.perf_counter(), time.process_time()
    said = anyio.run(
        PROGRAMS[asked["program"]], own, asked, backend=backend, backend_options=options
    )
    return {
        "cpu": time.process_time() - cpu,
        "wall": time.perf_counter() - wall,
        "before": resident,
        "peak": memory("VmHWM"),
        **said,
    }


def main(name: str, loop: str) -> None:
    own = peer(name)
    assert own is not None
    out = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # some libraries print
        for line in sys.stdin:
            print(json.dumps(answered(own, loop, json.loads(line))), file=out, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:3])
