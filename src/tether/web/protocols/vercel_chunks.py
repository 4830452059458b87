"""Events as a UI message stream of the Vercel AI SDK, versions 6 and 7. No I/O.

One run is one assistant message in the page, over all requests that its approvals need. So each stream begins with the
id of the message, and a stream from the beginning of the run replaces what the page has of it.

A call that waits for a person ends the stream, with `tool-approval-request`; another begins with the answer.
What an agent inside a call does is shown as the preliminary output of the call: a UI message of its own. Its calls that
wait are shown beside, in a step of their own: the SDK sends answers when the last step has no other call.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from tether.events import (
    AgentEnd,
    ApprovalAnswered,
    ApprovalRequested,
    Event,
    MessageEnd,
    MessageStart,
    MessageUpdate,
    ModelRetry,
    ToolExecutionEnd,
    ToolExecutionUpdate,
    TurnEnd,
    TurnStart,
)
from tether.messages import (
    AssistantMessage,
    CustomMessage,
    Message,
    ToolCall,
    ToolResultMessage,
    UserMessage,
)
from tether.web.protocols.blocks import Closed, Grew, Opened, Shown, Step
from tether.web.protocols.content import Json, fault_of, url_of
from tether.web.protocols.runs import OpenRun, Question, Runs
from tether.web.protocols.vercel_parts import (
    PART_KINDS,
    InnerMessage,
    arguments_of,
    input_available,
    output_available,
    output_error,
    output_of,
    preliminary,
    ui_part,
)

__all__ = ("UiMessageStream", "Version")

Version: TypeAlias = Literal[6, 7]
"""Of the AI SDK. Version 6 refuses what came with 7; version 7 takes both."""

_CUT_OFF = "the reply was cut off inside this call, which did not run"


class UiMessageStream:
    """The fold from the events of one run to the chunks of a UI message.

    `begin` comes first, then `take` for each event. The stream ends with the chunks of `AgentEnd`, or with `pause` or
    `break_off`.

    Args:
        message_id: of the assistant message.
        version: of the SDK that reads it.
        before: the conversation before the run.
    """

    __slots__ = (
        "_asked",
        "_awaits_step",
        "_children",
        "_in_step",
        "_inputs",
        "_message_id",
        "_runs",
        "_v7",
    )

    def __init__(
        self, message_id: str, *, version: Version = 6, before: Sequence[Message] = ()
    ) -> None:
        self._message_id = message_id
        self._v7 = version == 7
        self._runs = Runs(before)
        self._asked: set[str] = set()
        self._children: dict[str, InnerMessage] = {}
        self._inputs: dict[str, Any] = {}
        self._in_step = False
        self._awaits_step = False

    @property
    def suspended(self) -> bool:
        """Whether the run only waits for a person."""
        return self._runs.suspended

    @property
    def questions(self) -> list[Question]:
        """The calls that wait; the id of each is the `approvalId`."""
        return self._runs.questions

    def question_answered_by(self, event: Event) -> str | None:
        """Return the id of the question that an event answers; None for other events."""
        return self._runs.question_answered_by(event)

    def begin(self) -> Iterator[Json]:
        """Begin a stream."""
        self._in_step = False
        yield {"type": "start", "messageId": self._message_id}

    def pause(self) -> Iterator[Json]:
        """End a stream where the run waits for a person."""
        yield from self._end_step()
        yield {"type": "finish", "finishReason": "tool-calls"}

    def break_off(self, reason: str) -> Iterator[Json]:
        """End a stream that will not show the end of its run."""
        yield {"type": "error", "errorText": reason}

    def take(self, event: Event) -> Iterator[Json]:
        """Give the chunks of an event of the run."""
        run, inner = self._runs.locate(event)
        if type(inner) is MessageUpdate:
            steps = run.blocks.add(inner.delta)
            if run is self._runs.root:
                for step in steps:
                    yield from self._step(step)
            else:
                self._child(run).read(steps)
            return
        gone = self._gone(run, inner)
        for one in gone:
            yield from self._cut_off(one)
        self._runs.note(run, inner)
        if run is self._runs.root:
            yield from self._of_run(run, inner)
        else:
            yield from self._of_child(run, inner)
        for one in gone:
            self._children.pop(one.id, None)

    def _gone(self, run: OpenRun, event: Event) -> list[OpenRun]:
        """The runs inside calls that are over with an event."""
        match event:
            case ToolExecutionEnd(call_id):
                gone = self._runs.in_call(run, call_id)
                for one in gone:
                    self._runs.close(one)
                return gone
            case AgentEnd():
                return [*self._runs.below(run), run]
            case _:
                return []

    def _cut_off(self, run: OpenRun) -> Iterator[Json]:
        """End what is shown of calls of an agent whose own call is over."""
        for id_ in map(run.blocks.id_of_call, run.calls):
            if id_ in self._asked:
                yield output_error(id_, "its agent was stopped")

    def _of_run(self, run: OpenRun, event: Event) -> Iterator[Json]:
        match event:
            case TurnStart():
                # A steering message comes before the step that reads it.
                self._awaits_step = True
            case MessageStart(AssistantMessage()):
                yield from self._begin_step()
            case MessageStart(UserMessage() as message) if run.turn > 1:
                yield self._steering(message)
            case MessageStart(CustomMessage(kind, data) as message):
                yield {"type": f"data-{kind}", "id": message.id, "data": data}
            case MessageEnd(AssistantMessage() as reply):
                for step in run.blocks.end(reply):
                    yield from self._step(step)
            case ModelRetry(attempt, delay, error):
                data = {"attempt": attempt, "delay": delay, "message": error.message}
                yield {"type": "data-retry", "data": data, "transient": True}
            case ToolExecutionUpdate(call_id, _, content, details) if (
                content or details is not None
            ):
                output = output_of(content) if content else details
                yield preliminary(run.blocks.id_of_call(call_id), output)
            case TurnEnd():
                yield from self._end_step()
            case AgentEnd():
                yield from self._end_step()
                yield from _end(event)
            case _:
                yield from self._of_call(run, event)

    def _of_call(self, run: OpenRun, event: Event) -> Iterator[Json]:
        match event:
            case ApprovalRequested(call_id):
                id_ = run.blocks.id_of_call(call_id)
                self._asked.add(id_)
                if self._inputs.get(id_) != (asked := dict(event.arguments)):
                    # Hooks have changed the arguments since the model wrote them.
                    yield input_available(id_, event.name, asked)
                yield {"type": "tool-approval-request", "approvalId": id_, "toolCallId": id_}
            case ApprovalAnswered(call_id) if self._v7:
                yield _answered(run.blocks.id_of_call(call_id), event)
            case ToolExecutionEnd(call_id, _, result):
                yield self._result(run.blocks.id_of_call(call_id), result)
            case _:
                pass

    def _of_child(self, run: OpenRun, event: Event) -> Iterator[Json]:
        child = self._child(run)
        shown = child.take(run, event)
        if shown and run.call:
            yield preliminary(self._outermost(run).call, self._told_in(self._outermost(run)))
        match event:
            case ApprovalRequested(call_id):
                yield from self._end_step()
                yield from self._begin_step(anew=True)
                title = f"{run.name}: {event.name}"
                id_ = run.blocks.id_of_call(call_id)
                yield {"type": "tool-input-start", "toolCallId": id_, "toolName": event.name} | {
                    "dynamic": True,
                    "title": title,
                }
                yield from self._of_call(run, event)
            case ApprovalAnswered() | ToolExecutionEnd():
                if run.blocks.id_of_call(event.call_id) in self._asked:
                    yield from self._of_call(run, event)
            case _:
                pass

    def _outermost(self, run: OpenRun) -> OpenRun:
        while run.parent is not None and run.parent is not self._runs.root:
            run = run.parent
        return run

    def _told_in(self, run: OpenRun) -> Json:
        """The UI message of an agent inside a call, with those of the agents inside its own calls."""
        parts = list(self._child(run).parts)
        within = [one for one in self._runs.inner if one.parent is run]
        parts += [
            {"type": "data-agent", "id": one.id, "data": self._told_in(one)} for one in within
        ]
        return {
            "id": run.id,
            "role": "assistant",
            "metadata": {"agent": run.name},
            "parts": parts,
        }

    def _child(self, run: OpenRun) -> "InnerMessage":
        return self._children.setdefault(run.id, InnerMessage())

    def _begin_step(self, *, anew: bool = False) -> Iterator[Json]:
        if self._awaits_step or anew:
            self._awaits_step, self._in_step = False, True
            yield {"type": "start-step"}

    def _end_step(self) -> Iterator[Json]:
        if self._in_step:
            self._in_step = False
            yield {"type": "finish-step"}

    def _step(self, step: Step) -> Iterator[Json]:
        match step:
            case Grew(id_, kind, text):
                if kind == "call":
                    yield {"type": "tool-input-delta", "toolCallId": id_, "inputTextDelta": text}
                else:
                    yield {"type": f"{PART_KINDS[kind]}-delta", "id": id_, "delta": text}
            case Opened(id_, "call", name):
                yield {
                    "type": "tool-input-start",
                    "toolCallId": id_,
                    "toolName": name,
                    "dynamic": True,
                }
            case Closed(id_, "call", name, ToolCall() as call):
                self._inputs[id_] = arguments_of(call)
                yield input_available(id_, name, self._inputs[id_])
            case Closed(id_, "call", name):
                yield input_available(id_, name, None) | {
                    "type": "tool-input-error",
                    "errorText": _CUT_OFF,
                }
            case Opened(id_, kind):
                yield {"type": f"{PART_KINDS[kind]}-start", "id": id_}
            case Closed(id_, kind):
                yield {"type": f"{PART_KINDS[kind]}-end", "id": id_}
            case Shown(_, image):
                if (url := url_of(image)) is not None:
                    yield {"type": "file", "url": url, "mediaType": image.media_type}

    def _steering(self, message: UserMessage) -> Json:
        parts = [part for part in map(ui_part, message.content) if part is not None]
        if self._v7:
            return {"type": "steering-message", "id": message.id, "parts": parts}
        return {"type": "data-steering", "id": message.id, "data": {"parts": parts}}

    def _result(self, id_: str, result: ToolResultMessage) -> Json:
        match result.outcome:
            case "ok":
                return output_available(id_, output_of(result.content))
            case "denied" if id_ in self._asked:
                return {"type": "tool-output-denied", "toolCallId": id_}
            case _:
                return output_error(id_, fault_of(result))


_FINISH: Mapping[str, str] = {"stop": "stop", "terminated": "stop", "length": "length"}


def _end(event: AgentEnd) -> Iterator[Json]:
    if event.stop_reason == "error":
        yield {"type": "error", "errorText": event.error.message if event.error else "error"}
        return
    if event.stop_reason == "aborted":
        yield {"type": "abort", "reason": "aborted"}
        return
    usage = {
        "inputTokens": event.usage.input_tokens,
        "outputTokens": event.usage.output_tokens,
        "totalTokens": event.usage.total_tokens,
    }
    metadata: Json = {"usage": usage}
    if event.limit is not None:
        metadata["limit"] = event.limit
    reason = _FINISH.get(event.stop_reason, "other")
    yield {"type": "finish", "finishReason": reason, "messageMetadata": metadata}


def _answered(id_: str, event: ApprovalAnswered) -> Json:
    approved = event.verdict in {"once", "always"}
    reason = event.reason or ("withdrawn" if event.verdict == "withdrawn" else "")
    answer = {"type": "tool-approval-response", "approvalId": id_, "approved": approved}
    return answer | ({"reason": reason} if reason else {})
