"""A session in an editor: updates go out as events come, questions go to the person, prompts last as long as turns.

That a prompt is answered when its turn is over is the rule of version 1 of the protocol, and it is kept here alone: the
rest knows conversations, to which something may be said at any time. A prompt that comes while a run goes steers it,
and both are answered when it ends.
"""

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, Literal, TypeAlias

import anyio
from anyio.abc import TaskGroup
from attrs import define, field

from tether import (
    AgentEnd,
    ApprovalAnswered,
    ApprovalRequested,
    AssistantMessage,
    Deny,
    Event,
    MessageEnd,
    ToolCall,
    ToolExecutionUpdate,
    UserMessage,
    Verdict,
    context_window,
)
from tether.acp.content import text_block
from tether.acp.jsonrpc import INTERNAL_ERROR, RpcError
from tether.acp.updates import Update, Updates
from tether.host import Conversation, NotFoundError, Viewer

__all__ = ("EditorSession", "StopReason")

StopReason: TypeAlias = Literal[
    "end_turn", "max_tokens", "max_turn_requests", "refusal", "cancelled"
]
Ask: TypeAlias = Callable[[str, dict[str, Any]], Awaitable[Any]]

_log = logging.getLogger("tether")
_AUTH_REQUIRED: Final = -32000
_TOKENS: Final = ("input_tokens", "output_tokens")
_REFUSED: Final = Deny("the user does not want it")
_OPTIONS: Final = [
    {"optionId": "once", "name": "Allow", "kind": "allow_once"},
    {"optionId": "always", "name": "Always allow", "kind": "allow_always"},
    {"optionId": "reject", "name": "Reject", "kind": "reject_once"},
    {"optionId": "never", "name": "Always reject", "kind": "reject_always"},
]


@define(eq=False)
class _Prompt:
    """A prompt that waits for the end of its turn."""

    id: str
    is_taken: bool = False
    """Whether its message is in the conversation."""
    over: anyio.Event = field(factory=anyio.Event)
    outcome: StopReason | RpcError = "cancelled"


class EditorSession:
    """A conversation as an editor has it open.

    Args:
        talk: the conversation.
        updates: makes the updates of its events.
        ask: calls a method of the editor, for this session.
        tell: notifies the editor, for this session.
        tasks: where questions wait.
    """

    def __init__(
        self, talk: Conversation, updates: Updates, ask: Ask, tell: Ask, tasks: TaskGroup
    ) -> None:
        self.talk = talk
        self._updates = updates
        self._ask_editor = ask
        self._tell = tell
        self._tasks = tasks
        self._prompts: list[_Prompt] = []
        self._questions: dict[str, anyio.CancelScope] = {}
        self._asked_before: list[ApprovalRequested] = []
        self._never = set[str]()
        self._title = ""
        self._last: AssistantMessage | None = None
        self._viewer: Viewer | None = None
        self.closed: anyio.Event = anyio.Event()

    async def catch_up(self, *, shows: bool) -> None:
        """Read what has happened so far.

        Args:
            shows: whether the editor is told of it.

        Cancellation:
            At once.
        """
        async with self.talk.follow() as viewer:
            while viewer.number < self.talk.number:
                _, event = await anext(viewer)
                if shows:
                    for update in self._updates.of(event, echo=True):
                        await self.update(update)
                if isinstance(event, ApprovalRequested):
                    self._asked_before.append(event)

    def start(self) -> None:
        """Follow the conversation from here on, and put the questions that wait."""
        for asked in self._asked_before:
            if asked in self.talk.waiting:
                self._tasks.start_soon(self._put, asked)
        self._asked_before.clear()
        self._viewer = self.talk.follow(self.talk.number)
        self._tasks.start_soon(self._follow, self._viewer)

    def close(self) -> None:
        """Stop following it."""
        self.closed.set()
        if self._viewer is not None:
            self._viewer.close()

    async def update(self, update: Update) -> None:
        """Send an update."""
        await self._tell("session/update", {"update": update})

    async def say(self, text: object) -> None:
        """Show a text that is no part of the conversation, if there is one."""
        if text:
            chunk = {"sessionUpdate": "agent_message_chunk", "content": text_block(f"{text}")}
            await self.update(chunk)

    async def prompt(self, message: UserMessage) -> StopReason:
        """Say something, and wait until the run that has taken it up is over.

        Returns:
            Why that has ended.

        Raises:
            RpcError: the model failed.
            UsageError: a limit of the host is reached.

        Cancellation:
            Ends the run, in order.
        """
        prompt = _Prompt(self.talk.say(message).id)
        self._prompts.append(prompt)
        try:
            await prompt.over.wait()
        except anyio.get_cancelled_exc_class():
            self.talk.abort()
            raise
        if isinstance(prompt.outcome, RpcError):
            raise prompt.outcome
        return prompt.outcome

    async def _follow(self, viewer: Viewer) -> None:
        try:
            async for _, event in viewer:
                try:
                    for update in self._updates.of(event):
                        await self.update(update)
                except Exception:  # noqa: BLE001 - of what a tool has put into its details; the session goes on
                    _log.exception("an event could not be shown in the editor")
                await self._take(event)
        finally:
            self._end_prompts("cancelled", all_of_them=True)

    async def _take(self, event: Event) -> None:
        match event:
            case ToolExecutionUpdate(event=nested) if nested is not None:
                if isinstance(nested, ApprovalRequested | ApprovalAnswered):
                    await self._take(nested)
            case ApprovalRequested():
                self._tasks.start_soon(self._put, event)
            case ApprovalAnswered(call_id) if call_id in self._questions:
                self._questions[call_id].cancel()
            case MessageEnd(UserMessage(id=id_)):
                for prompt in self._prompts:
                    prompt.is_taken = prompt.is_taken or prompt.id == id_
                await self._tell_title()
            case MessageEnd(AssistantMessage() as reply):
                self._last = reply
                await self._tell_usage(reply)
            case AgentEnd():
                ended_early = event.stop_reason in {"aborted", "error"}
                self._end_prompts(_outcome(event, self._last), all_of_them=ended_early)
            case _:
                pass

    def _end_prompts(self, outcome: StopReason | RpcError, *, all_of_them: bool) -> None:
        ended = [one for one in self._prompts if one.is_taken or all_of_them]
        self._prompts = [one for one in self._prompts if one not in ended]
        for prompt in ended:
            prompt.outcome = outcome
            prompt.over.set()

    async def _put(self, asked: ApprovalRequested) -> None:
        """Put a question to the person."""
        verdict: Verdict = _REFUSED
        with anyio.CancelScope() as scope:
            self._questions[asked.call_id] = scope
            verdict = await self._verdict(asked)
        self._questions.pop(asked.call_id, None)
        with suppress(NotFoundError):  # its call has ended meanwhile
            self.talk.answer(asked.call_id, verdict)

    async def _verdict(self, asked: ApprovalRequested) -> Verdict:
        if asked.name in self._never:
            return _REFUSED
        call = self._updates.call(ToolCall(asked.call_id, asked.name, asked.arguments))
        params = {"toolCall": call, "options": _OPTIONS}
        try:
            said = await self._ask_editor("session/request_permission", params)
        except RpcError as error:
            return Deny(f"the editor could not ask the user: {error.message}")
        match said:
            case {"outcome": {"outcome": "selected", "optionId": "once"}}:
                return "once"
            case {"outcome": {"outcome": "selected", "optionId": "always"}}:
                return "always"
            case {"outcome": {"outcome": "selected", "optionId": "never"}}:
                self._never.add(asked.name)
        return _REFUSED

    async def _tell_title(self) -> None:
        if self.talk.title != self._title:
            self._title = self.talk.title
            await self.update({"sessionUpdate": "session_info_update", "title": self._title})

    async def _tell_usage(self, reply: AssistantMessage) -> None:
        size = context_window(self.talk.agent.model.name)
        used = reply.usage.input_tokens + reply.usage.output_tokens
        if size is None or not used:
            return
        update: Update = {"sessionUpdate": "usage_update", "used": used, "size": size}
        if cost := self.talk.cost:
            update["cost"] = {"amount": cost, "currency": "USD"}
        await self.update(update)


def _outcome(end: AgentEnd, reply: AssistantMessage | None) -> StopReason | RpcError:
    match end.stop_reason:
        case "aborted":
            return "cancelled"
        case "limit":
            return "max_tokens" if end.limit in _TOKENS else "max_turn_requests"
        case "length":
            return "max_tokens"
        case "error":
            return _failure(end)
        case _:
            pass
    match None if reply is None else reply.stop_reason:
        case "refusal":
            return "refusal"
        case "length":
            return "max_tokens"
        case _:
            return "end_turn"


def _failure(end: AgentEnd) -> RpcError:
    if end.error is None:
        return RpcError(INTERNAL_ERROR, "the run has failed")
    needs_key = end.error.kind == "authentication"
    return RpcError(_AUTH_REQUIRED if needs_key else INTERNAL_ERROR, end.error.message)
