"""A long session: the time and memory that opening it takes, in a fresh interpreter, from the file to the agent.

python -m benchmarks.sessions [MESSAGES]
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from tether import AssistantMessage, Session, Text, UserMessage

AIM = "2 s, 150 MB at 100,000 messages"

OPEN = """
import resource, sys, time
from tether import Agent
from tether.session import Session
start = time.process_time()
with Session.open(sys.argv[1]) as session:
    opened = time.process_time() - start
    agent = Agent("offline", session=session)
taken = time.process_time() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1_000_000 if sys.platform == "darwin" else 1_000)
print(f"{len(agent.messages)} messages: opened in {opened:.2f} s, with an agent {taken:.2f} s of CPU, {peak:.0f} MB")
"""


def write(path: Path, messages: int) -> None:
    """Keep a conversation of that many messages."""
    with Session.open(path) as session:
        for number in range(messages // 2):
            session.record(UserMessage(f"question {number}, in a few words", id=f"u{number}"))
            reply = [Text("An answer of a line or two, as models write them. " * 3)]
            session.record(AssistantMessage(reply, model="m", id=f"a{number}"))


def main(messages: int = 100_000) -> None:
    """Measure, and print."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.jsonl"
        write(path, messages)
        done = subprocess.run(
            [sys.executable, "-c", OPEN, str(path)], capture_output=True, text=True, check=True
        )
    print(f"{done.stdout.strip()} (aim: {AIM})")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
