"""Runs as files: recorded as they go, replayed without a network, stepped through, continued, compared.

with tether.replay.record(agent, "run.jsonl", secrets=[key]):
await agent.prompt("Book a seat.")

recording = tether.replay.read("run.jsonl")
async with tether.replay.replay(recording.runs[0]) as events: ...
"""

from tether.replay.differing import Difference, difference
from tether.replay.moments import Moment, moments
from tether.replay.raised import RecordedError, RunCancelledError
from tether.replay.recorder import Recorder, record
from tether.replay.recording import RecordedRun, Recording, read
from tether.replay.replaying import ReplayError, replay

__all__ = (
    "Difference",
    "Moment",
    "RecordedError",
    "RecordedRun",
    "Recorder",
    "Recording",
    "ReplayError",
    "RunCancelledError",
    "difference",
    "moments",
    "read",
    "record",
    "replay",
)
