"""Questions of a conversation that wait for a person: asked by the run, answered by anybody."""

import reprlib
from collections.abc import Callable
from typing import Any

import anyio
from attrs import define, field

from tether import (
    ApprovalAnswered,
    ApprovalRequested,
    Deny,
    Event,
    Invocation,
    ToolExecutionUpdate,
    UsageError,
    Verdict,
)
from tether.host.errors import NotFoundError

__all__ = ("Questions",)


@define(eq=False)
class _Question:
    """A call that is asked about."""

    asked: ApprovalRequested
    in_log: bool
    """Whether the log has its event."""
    is_put: bool
    """Whether the run waits for its answer."""
    answered: anyio.Event = field(factory=anyio.Event)
    verdict: Verdict | None = None
    withdrawn: bool = False

    @property
    def waits(self) -> bool:
        return self.verdict is None and not self.withdrawn


class Questions:
    """The questions of one conversation.

    A question is here from when its event is in the log, or the run asks, whichever comes first: so that whoever has
    seen the event can answer at once. The ids of calls need not be unique: agents within the agent have their own.

    Args:
        changed: called when a question comes or goes.
    """

    def __init__(self, changed: Callable[[], object]) -> None:
        self._changed = changed
        self._questions: list[_Question] = []

    @property
    def waiting(self) -> tuple[ApprovalRequested, ...]:
        """The questions that wait for an answer, oldest first."""
        return tuple(question.asked for question in self._questions if question.waits)

    async def ask(self, invocation: Invocation) -> Verdict:
        """Wait for an answer about a call; the `approve` of an agent.

        Cancellation:
            Withdraws the question.
        """
        call, call_id = invocation.call, invocation.context.call_id
        question = self._find(call_id, lambda one: not one.is_put and not one.withdrawn)
        if question is None:
            asked = ApprovalRequested(call_id, call.name, call.arguments)
            question = self._add(_Question(asked, in_log=False, is_put=True))
        question.is_put = True
        try:
            await question.answered.wait()
        finally:
            if question.verdict is None:
                question.withdrawn = True
                self._changed()
        return False if question.verdict is None else question.verdict

    def answer(self, call_id: str, verdict: Verdict) -> None:
        """Answer a question.

        Raises:
            NotFoundError: no such question waits; the text names those that do.
            UsageError: this is no answer.
        """
        checked = _checked(verdict)
        question = self._find(call_id, lambda one: one.waits)
        if question is None:
            waiting = ", ".join(asked.call_id for asked in self.waiting) or "none"
            raise NotFoundError(f"no call {call_id!r} waits for an approval; waiting: {waiting}")
        question.verdict = checked
        question.answered.set()
        self._changed()

    def offer(self, asked: ApprovalRequested) -> None:
        """Have a question that an earlier process has asked answered before the run asks it again."""
        self._add(_Question(asked, in_log=False, is_put=False))

    def note(self, event: Event) -> None:
        """Take in an event of the log."""
        match event:
            case ApprovalRequested(call_id):
                question = self._find(call_id, lambda one: not one.in_log)
                if question is None:
                    self._add(_Question(event, in_log=True, is_put=False))
                else:
                    question.in_log = True
            case ApprovalAnswered(call_id):
                question = self._find(call_id, lambda one: one.in_log)
                if question is not None:
                    self._questions.remove(question)
                    self._changed()
            case ToolExecutionUpdate(event=nested) if nested is not None:
                self.note(nested)
            case _:
                pass

    def clear(self) -> None:
        """Forget all questions: the run is over."""
        self._questions.clear()
        self._changed()

    def _find(self, call_id: str, fits: Callable[[_Question], bool]) -> _Question | None:
        fitting = (one for one in self._questions if one.asked.call_id == call_id and fits(one))
        return next(fitting, None)

    def _add(self, question: _Question) -> _Question:
        self._questions.append(question)
        self._changed()
        return question


def _checked(verdict: Any) -> Verdict:
    if isinstance(verdict, bool | Deny):
        return verdict
    if verdict == "once":
        return "once"
    if verdict == "always":
        return "always"
    raise UsageError(
        f"an answer is 'once', 'always', True, False or Deny(reason), not {reprlib.repr(verdict)}"
    )
