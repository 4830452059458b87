"""The conversation of one agent: its transcript, what waits to enter it, and the run that continues it now."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, get_args

from attrs import evolve

from tether._engine.active_run import ActiveRun
from tether._engine.inbox import Inbox, message_of
from tether._engine.line import Line, Place
from tether._given import function, items
from tether.errors import AgentBusyError, NothingToContinueError, UsageError
from tether.messages import (
    AssistantMessage,
    Message,
    Prompt,
    Queued,
    QueueName,
    ToolResultMessage,
)
from tether.taps import Tap, several_taps
from tether.transcript import Transcript

if TYPE_CHECKING:
    from tether.calls import OpenCalls

__all__ = ("Conversation",)


class Conversation:
    """What an agent has said and heard. It outlasts its runs, and holds nothing of an event loop.

    Args:
        messages: what has been said before.
        inbox: what waits to be said.
        now: seconds since the epoch.
        new_id: makes the ids of messages.
        random: a number from 0 to 1, for what is left to chance.
        open_calls: the calls of the last reply that the next run takes up.
    """

    __slots__ = ("_taps", "active", "inbox", "line", "new_id", "now", "random", "transcript")

    def __init__(
        self,
        messages: Iterable[Message],
        inbox: Inbox,
        now: Callable[[], float],
        new_id: Callable[[], str],
        random: Callable[[], float],
        open_calls: "OpenCalls | None" = None,
    ) -> None:
        self.transcript = _transcript(messages, open_calls)
        self.inbox = inbox
        self.line = Line()
        self.active: ActiveRun | None = None
        self.now = function("clock of Agent", now)
        self.new_id = function("new_id of Agent", new_id)
        self.random = function("random of Agent", random)
        self._taps: list[Tap] = []

    def tap(self, tap: Tap) -> Callable[[], None]:
        """Show a tap what happens, and the runs that begin from here on; return what ends that."""
        self._set_taps([*self._taps, tap])

        def untap() -> None:
            self._set_taps([one for one in self._taps if one is not tap])

        return untap

    def _set_taps(self, taps: list[Tap]) -> None:
        self._taps = taps
        self.inbox.tap = several_taps(taps)

    def reset(self, messages: Iterable[Message], open_calls: "OpenCalls | None" = None) -> None:
        """Forget it all, and go on with these messages instead.

        Raises:
            AgentBusyError: a run is going.
            UsageError: something among them is not a message, or the open calls are not those of their last reply.
        """
        if self.line.occupied:
            raise _busy("reset")
        transcript = _transcript(messages, open_calls)
        self.inbox.clear()
        self.transcript = transcript

    def accept(self, queue: QueueName, prompt: Prompt) -> Queued:
        """Stamp a message, and let it wait.

        Raises:
            UsageError: it is nothing that can be said.
        """
        message = self._stamped(prompt)
        self.inbox.put(queue, message)
        return message

    def join(self, *, waits: bool) -> Place:
        """Take a place in the line of runs.

        Args:
            waits: whether it may be another than the first.

        Raises:
            AgentBusyError: somebody is in line, and the place would not be the first.
        """
        place = self.line.join() if waits else self.line.join_nowait()
        if place is None:
            raise _busy("start a second run")
        return place

    def begin(self, run: ActiveRun) -> None:
        """Note that a run is going."""
        self.active = run

    def over(self, place: Place, run: ActiveRun) -> None:
        """Note that a run is over, and let the next one begin."""
        if self.active is run:
            self.active = None
        place.leave()

    def prompts(self, prompt: Queued | None) -> Sequence[Queued]:
        """Make what a run begins with.

        Args:
            prompt: what to say; None to continue.

        Raises:
            NothingToContinueError: no prompt was given, and nothing waits for an answer.
        """
        if prompt is not None:
            return [self._stamped(prompt)]
        last = self.transcript[-1] if len(self.transcript) else None
        waiting = self.inbox.waiting("steering") or self.inbox.waiting("follow_up")
        if last is None and not waiting:
            raise NothingToContinueError(
                "there is no conversation to continue: give the run a prompt"
            )
        is_reply = isinstance(last, AssistantMessage) and not (last.incomplete or last.paused)
        if last is not None and not is_reply:
            return []
        if not waiting:
            raise NothingToContinueError(
                "the conversation ends with the model's reply: give the run a prompt, "
                "or steer or follow_up first"
            )
        return [] if self.inbox.waiting("steering") else self.inbox.take("follow_up")

    def _stamped(self, prompt: Prompt) -> Queued:
        message = message_of(prompt)
        return evolve(
            message,
            id=message.id or self.new_id(),
            timestamp=message.timestamp or self.now(),
        )


def _transcript(messages: Iterable[Message], open_calls: "OpenCalls | None") -> Transcript:
    transcript = Transcript(items("messages", messages), open_calls)
    for place, message in enumerate(transcript.messages):
        if type(message) not in get_args(Message):
            raise UsageError(
                f"messages[{place}] must be a message, such as UserMessage, not {message!r}; "
                "tether.from_builtins makes messages of dicts"
            )
    if open_calls is not None and not _ends_with(transcript, open_calls.reply):
        raise UsageError("the open calls must be those of the reply that the messages end with")
    return transcript


def _ends_with(messages: Sequence[Message], reply: AssistantMessage) -> bool:
    """Say whether messages end with a reply and a result for each of its calls."""
    ids = [call.id for call in reply.tool_calls]
    end = messages[-len(ids) - 1 :]
    results = [one.call_id for one in end[1:] if isinstance(one, ToolResultMessage)]
    return bool(ids) and results == ids and end[0].id == reply.id


def _busy(what: str) -> AgentBusyError:
    return AgentBusyError(
        f"cannot {what}: a run of this agent is going",
        hint='. Wait for it (`await agent.wait_idle()`, or start the next with `when_busy="wait"`), end it (abort) '
        "and wait, speak to it (steer, follow_up), or use a second Agent",
    )
