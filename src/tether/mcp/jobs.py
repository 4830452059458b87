"""Work for a client of the protocol: a run whose progress is followed, and which asks a person through the client.

In the era of 2026 a call ends in order to ask, and comes back with the answers. So the run belongs to the server, not
to the call: it lives on between two calls, for a time.
"""

import json
import math
import secrets
from collections.abc import Callable
from typing import Any, Final

import anyio
from attrs import define, field

from mcp import types
from tether.agent import Agent
from tether.approvals import Verdict
from tether.errors import ModelError
from tether.events import Event, ToolExecutionStart, ToolExecutionUpdate, TurnStart
from tether.hooks import Deny, Invocation
from tether.mcp.printable import one_line
from tether.messages import JsonObject, Prompt, Text
from tether.result import RunResult

__all__ = ("Job", "Question")

_UNATTENDED: Final = 600.0
"""Seconds that a run waits for a client that it has asked."""
_CHOICES: Final = ("once", "always", "no")


@define(eq=False)
class Question:
    """A person is asked whether a call may run."""

    message: str
    answered: anyio.Event = field(factory=anyio.Event)
    verdict: Verdict = False
    asked: bool = False

    def request(self) -> types.ElicitRequest:
        """Ask it, as the protocol does."""
        schema: dict[str, Any] = {
            "type": "object",
            "properties": {
                "allow": {
                    "type": "string",
                    "title": "Allow it?",
                    "enum": list(_CHOICES),
                    "description": "once; always, also later calls of the same tool; or no",
                }
            },
            "required": ["allow"],
        }
        return types.ElicitRequest(
            params=types.ElicitRequestFormParams(message=self.message, requested_schema=schema)
        )

    def answer(self, result: object) -> None:
        """Take what the client answered; all but a clear yes is a no."""
        match result:
            case types.ElicitResult(action="accept", content={"allow": "once" | "always" as allow}):
                self.verdict = allow
            case _:
                self.verdict = Deny("the user does not want it")
        self.answered.set()


@define(eq=False)
class Job:
    """A run for a client."""

    agent: Agent
    prompt: Prompt
    _done: Callable[[RunResult], types.CallToolResult]
    """Makes the result of the call."""
    can_ask: bool = False
    """Whether the client can ask a person."""
    token: str = field(factory=lambda: secrets.token_urlsafe(32))
    """Whoever knows it may go on with the job."""
    scope: anyio.CancelScope = field(factory=anyio.CancelScope)
    questions: dict[str, Question] = field(factory=dict)
    """Those that wait for an answer."""
    result: types.CallToolResult | None = None
    steps: int = 0
    note: str = ""
    """What it does, in a line."""
    news: anyio.Event = field(factory=anyio.Event)
    """Set, and replaced, when anything of this has changed."""

    async def work(self) -> None:
        """Do it to the end.

        Cancellation:
            Cancels the run, and passes on.
        """
        with self.scope:
            try:
                async with self.agent.run(self.prompt, when_busy="wait") as run:
                    async for event in run:
                        self._noted(event)
                    self.result = self._done(await run.result())
            except ModelError as error:
                self.result = failed(f"the model failed: {error}")
            except Exception as error:  # noqa: BLE001 - the client reads that it failed, and no more
                self.result = failed(f"the agent failed: {type(error).__name__}")
        if self.result is None:
            self.result = failed("the call was cancelled")
        self._changed()

    async def approve(self, invocation: Invocation) -> Verdict:
        """Ask the person through the client.

        Cancellation:
            Withdraws the question.
        """
        if not self.can_ask:
            return Deny("nobody can be asked: the client of this server offers no elicitation")
        arguments = _shown(invocation.call.arguments, 1000)
        question = Question(f"{self.agent.name} wants to run {invocation.call.name} {arguments}")
        self.questions[invocation.context.call_id] = question
        self._changed()
        try:
            await question.answered.wait()
        finally:
            self.questions.pop(invocation.context.call_id, None)
        return question.verdict

    def attended(self) -> None:
        """Note that a call waits for it; what was asked before and is not answered is asked again."""
        self.scope.deadline = math.inf
        for question in self.questions.values():
            question.asked = False

    def left(self) -> None:
        """Note that no call waits for it; after a time it is cancelled."""
        self.scope.deadline = anyio.current_time() + _UNATTENDED

    def _noted(self, event: Event) -> None:
        match event:
            case TurnStart():
                self._step("asks the model")
            case ToolExecutionStart(name=name, arguments=arguments):
                self._step(f"{name} {_shown(arguments, 200)}")
            case ToolExecutionUpdate(name=name, content=content) if content:
                text = "".join(block.text for block in content if isinstance(block, Text))
                self._step(f"{name}: {one_line(text, 200)}")
            case _:
                pass

    def _step(self, note: str) -> None:
        self.steps += 1
        self.note = note
        self._changed()

    def _changed(self) -> None:
        self.news.set()
        self.news = anyio.Event()


def _shown(arguments: JsonObject, limit: int) -> str:
    return one_line(json.dumps(dict(arguments), ensure_ascii=False, default=str), limit)


def failed(reason: str) -> types.CallToolResult:
    """Make the result of a call that failed."""
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=reason)], is_error=True
    )
