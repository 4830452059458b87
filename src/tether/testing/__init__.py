"""What it takes to test an agent: a model with a script, checks, cancellation at every step, a clock.

None of it needs pytest, and all of it works on asyncio and on trio.
"""

from tether.testing._trial import Kind
from tether.testing.cancellation import CancelReport, cancel_at_every_step
from tether.testing.clock import Backend, DeadlockError, virtual_clock
from tether.testing.event_check import check_events
from tether.testing.scripted import Part, Pause, Reply, ScriptedModel, call
from tether.testing.transcript_check import check_request, check_transcript

__all__ = (
    "Backend",
    "CancelReport",
    "DeadlockError",
    "Kind",
    "Part",
    "Pause",
    "Reply",
    "ScriptedModel",
    "call",
    "cancel_at_every_step",
    "check_events",
    "check_request",
    "check_transcript",
    "virtual_clock",
)
