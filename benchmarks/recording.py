"""What recording a run costs for each piece of text, against the same run that is not recorded.

python -m benchmarks.recording [PIECES]
"""

import sys
import tempfile
import time
from pathlib import Path

import anyio

from tether import Agent
from tether.deltas import TextDelta
from tether.replay import record
from tether.testing import ScriptedModel

AIM = "at most twice"
REPETITIONS = 3


def run(pieces: int, path: Path | None) -> float:
    """Run once, recorded where there is a path; return the seconds of CPU for each piece."""
    agent = Agent(ScriptedModel([TextDelta("word ") for _ in range(pieces)]))

    async def follow() -> None:
        async with agent.run("Go.") as events:
            async for _ in events:
                pass

    start = time.process_time()
    if path is None:
        anyio.run(follow)
    else:
        with record(agent, path):
            anyio.run(follow)
    return (time.process_time() - start) / pieces


def main(pieces: int = 50_000) -> None:
    """Measure, and print."""
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / f"{number}.jsonl" for number in range(REPETITIONS)]
        plain = min(run(pieces, None) for _ in places)
        recorded = min(run(pieces, place) for place in places)
    print(
        f"a piece of text: {plain * 1e6:.1f} us, recorded {recorded * 1e6:.1f} us of CPU: "
        f"{recorded / plain:.2f} times (aim: {AIM})"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
