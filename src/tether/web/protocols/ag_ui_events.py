"""Events as those of AG-UI 1.0. No I/O.

A run of AG-UI ends where the run of tether waits for a person, with the outcome `interrupt`; another begins with the
answers. What is open then is closed: steps, and the agents inside calls, which are announced again in the next.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from tether.deltas import TextDelta
from tether.events import (
    AgentEnd,
    AgentStart,
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
    ToolResultMessage,
    Usage,
    UserMessage,
)
from tether.web.protocols.ag_ui_messages import calls_message, parts_of, result_message
from tether.web.protocols.blocks import Closed, Grew, Opened, Shown, Step
from tether.web.protocols.content import Json, fault_of, text_of, url_of
from tether.web.protocols.runs import OpenRun, Question, Runs

__all__ = ("PROTOCOL_VERSION", "AgUiRun")

PROTOCOL_VERSION = "1.0"

_CUT_OFF = "The reply was cut off inside this call, which did not run."
_ANSWER: Json = {
    "type": "object",
    "properties": {
        "approved": {"type": "boolean", "description": "Whether the call may run."},
        "always": {"type": "boolean", "description": "Also later calls of the same tool."},
        "reason": {"type": "string", "description": "Why it may not, in words for the model."},
    },
    "required": ["approved"],
}
"""What answers an interrupt, as a JSON Schema."""


class AgUiRun:
    """The fold from the events of one run of tether to those of runs of AG-UI.

    `begin` comes first, then `take` for each event. The run of AG-UI ends with what `AgentEnd` gives, or with `pause`
    or `break_off`; after `pause`, `begin` starts the next.

    Args:
        thread_id: the conversation.
        run_id: what the client calls the run.
        known: ids of user messages that the client has already.
        before: the conversation before the run.
    """

    __slots__ = ("_known", "_run_id", "_runs", "_shown", "_steps", "_thread_id", "_usage")

    def __init__(
        self,
        thread_id: str,
        run_id: str,
        *,
        known: Collection[str] = (),
        before: Sequence[Message] = (),
    ) -> None:
        self._thread_id = thread_id
        self._run_id = run_id
        self._known = frozenset(known)
        self._runs = Runs(before)
        self._steps: dict[str, str] = {}
        self._shown: list[OpenRun] = []
        self._usage: defaultdict[str, Usage] = defaultdict(Usage)

    @property
    def suspended(self) -> bool:
        """Whether the run only waits for a person."""
        return self._runs.suspended

    @property
    def questions(self) -> list[Question]:
        """The calls that wait; the id of each is that of its interrupt."""
        return self._runs.questions

    def question_answered_by(self, event: Event) -> str | None:
        """Return the id of the question that an event answers; None for other events."""
        return self._runs.question_answered_by(event)

    def begin(self, messages: list[Json] | None = None) -> Iterator[Json]:
        """Begin a run of AG-UI, in the middle of one of tether or before it.

        Args:
            messages: the whole conversation, where the client has another; see `messages_as_ag_ui`.
        """
        self._usage.clear()
        self._steps.clear()
        self._shown.clear()
        yield {"type": "RUN_STARTED"} | self._ids() | {"protocolVersion": PROTOCOL_VERSION}
        if messages is not None:
            yield {"type": "MESSAGES_SNAPSHOT", "messages": messages}
        for run in self._runs.inner:
            yield self._announced(run)
        for run in (self._runs.root, *self._runs.inner):
            for step in run.blocks.open_steps:
                yield from self._step(run, step)

    def pause(self) -> Iterator[Json]:
        """End a run of AG-UI where that of tether waits for a person."""
        questions = self._runs.questions
        yield from self._end_steps()
        for run in reversed(self._shown):
            own = [one.id for one in questions if one.run is run]
            outcome = {"type": "suspended", "interruptIds": own}
            yield {"type": "SUBAGENT_FINISHED", "subagentRunId": run.id, "outcome": outcome}
        self._shown.clear()
        interrupts = [_interrupt(one) for one in questions]
        yield self._finished({"type": "interrupt", "interrupts": interrupts})

    def end(self) -> Iterator[Json]:
        """End a run of AG-UI where no run goes."""
        yield self._finished({"type": "success"})

    def break_off(self, reason: str) -> Iterator[Json]:
        """End a run of AG-UI that will not show the end of its run of tether."""
        yield {"type": "RUN_ERROR", "message": reason, "code": "broken_off"}

    def take(self, event: Event) -> Iterator[Json]:
        """Give the AG-UI events of an event of the run."""
        if type(event) is MessageUpdate and type(event.delta) is TextDelta:
            # Most events are pieces of a text that is open: this way takes half the time.
            id_ = self._runs.root.blocks.text_id(event.delta.index)
            if id_ is not None:
                yield {
                    "type": "TEXT_MESSAGE_CONTENT",
                    "messageId": id_,
                    "delta": event.delta.text,
                }
                return
        run, inner = self._runs.locate(event)
        if run is not self._runs.root and isinstance(inner, AgentStart):
            yield self._announced(run)
        if isinstance(inner, ToolExecutionEnd):
            for one in self._runs.in_call(run, inner.call_id):
                yield from self._left(one, "cut off")
                self._runs.close(one)
        elif isinstance(inner, AgentEnd):
            for one in self._runs.below(run):
                yield from self._left(one, "cut off")
        self._runs.note(run, inner)
        yield from self._of_run(run, inner)

    def _ids(self) -> Json:
        return {"threadId": self._thread_id, "runId": self._run_id}

    def _of_run(self, run: OpenRun, event: Event) -> Iterator[Json]:
        match event:
            case MessageUpdate(delta):
                for step in run.blocks.add(delta):
                    yield from self._step(run, step)
            case MessageEnd(AssistantMessage() as reply):
                self._usage[reply.model] += reply.usage
                for step in run.blocks.end(reply):
                    yield from self._step(run, step)
            case MessageStart(UserMessage() as message):
                if run is self._runs.root and message.id not in self._known:
                    yield from _said(message)
            case MessageStart(CustomMessage(kind, data)):
                yield self._of(run, "CUSTOM", name=kind, value=data)
            case ToolExecutionEnd(call_id, _, result):
                yield self._result(run, run.blocks.id_of_call(call_id), result)
            case AgentEnd():
                yield from self._end(run, event)
            case _:
                yield from self._around(run, event)

    def _around(self, run: OpenRun, event: Event) -> Iterator[Json]:
        """Steps, progress and attempts."""
        match event:
            case TurnStart(turn):
                self._steps[run.id] = name = f"turn {turn}"
                yield self._of(run, "STEP_STARTED", stepName=name)
            case TurnEnd():
                if (name := self._steps.pop(run.id, "")) != "":
                    yield self._of(run, "STEP_FINISHED", stepName=name)
            case ToolExecutionUpdate(call_id, name, content, details):
                id_ = run.blocks.id_of_call(call_id)
                said = {"toolCallId": id_, "toolName": name, "text": text_of(content)}
                more = {} if details is None else {"details": details}
                yield self._activity(run, f"{id_}-progress", "tool_progress", said | more)
            case ModelRetry(attempt, delay, error):
                tried: Json = {"attempt": attempt, "delay": delay, "message": error.message}
                id_ = f"{self._run_id}-{run.id}-{run.turn}-retry"
                yield self._activity(run, id_, "model_retry", tried)
            case _:
                pass

    def _step(self, run: OpenRun, step: Step) -> Iterator[Json]:
        match step:
            case Opened(kind="text") | Grew(kind="text") | Closed(kind="text"):
                yield self._of_text(run, step)
            case Opened(kind="thinking") | Grew(kind="thinking") | Closed(kind="thinking"):
                yield from self._of_thinking(run, step)
            case Opened() | Grew() | Closed():
                yield from self._of_call(run, step)
            case Shown(_, image):
                value = {"mimeType": image.media_type, "url": url_of(image)}
                yield self._of(run, "CUSTOM", name="image", value=value)

    def _of_text(self, run: OpenRun, step: Opened | Grew | Closed) -> Json:
        match step:
            case Opened(id_):
                return self._of(run, "TEXT_MESSAGE_START", messageId=id_, role="assistant")
            case Grew(id_, _, text):
                return self._of(run, "TEXT_MESSAGE_CONTENT", messageId=id_, delta=text)
            case Closed(id_):
                return self._of(run, "TEXT_MESSAGE_END", messageId=id_)

    def _of_thinking(self, run: OpenRun, step: Opened | Grew | Closed) -> Iterator[Json]:
        match step:
            case Opened(id_):
                yield self._of(run, "REASONING_START", messageId=id_)
                yield self._of(run, "REASONING_MESSAGE_START", messageId=id_, role="reasoning")
            case Grew(id_, _, text):
                yield self._of(run, "REASONING_MESSAGE_CONTENT", messageId=id_, delta=text)
            case Closed(id_):
                yield self._of(run, "REASONING_MESSAGE_END", messageId=id_)
                yield self._of(run, "REASONING_END", messageId=id_)

    def _of_call(self, run: OpenRun, step: Opened | Grew | Closed) -> Iterator[Json]:
        match step:
            case Opened(id_, _, name):
                parent = calls_message(run.blocks.reply_id)
                yield self._of(
                    run,
                    "TOOL_CALL_START",
                    toolCallId=id_,
                    toolCallName=name,
                    parentMessageId=parent,
                )
            case Grew(id_, _, text):
                yield self._of(run, "TOOL_CALL_ARGS", toolCallId=id_, delta=text)
            case Closed(id_, _, name, block):
                yield self._of(run, "TOOL_CALL_END", toolCallId=id_)
                if block is None:
                    # A call without a result would be one that the client is to answer.
                    cut_off = ToolResultMessage("", name, _CUT_OFF, outcome="skipped")
                    yield self._result(run, id_, cut_off)

    def _result(self, run: OpenRun, id_: str, result: ToolResultMessage) -> Json:
        content = fault_of(result) if result.is_error else parts_of(result.content)
        return self._of(
            run,
            "TOOL_CALL_RESULT",
            messageId=result_message(id_),
            toolCallId=id_,
            content=content,
            role="tool",
            metadata={"outcome": result.outcome},
        )

    def _activity(self, run: OpenRun, id_: str, kind: str, content: Json) -> Json:
        return self._of(run, "ACTIVITY_SNAPSHOT", messageId=id_, activityType=kind, content=content)

    def _announced(self, run: OpenRun) -> Json:
        self._shown.append(run)
        started: Json = {"type": "SUBAGENT_STARTED", "subagentRunId": run.id, "name": run.name}
        if run.parent is not None and run.parent.id:
            started["parentSubagentRunId"] = run.parent.id
        if run.call:
            started["parentToolCallId"] = run.call
        return started

    def _left(self, run: OpenRun, why: str) -> Iterator[Json]:
        """End an agent inside a call that was cut off: what it had open, and itself."""
        for step in run.blocks.end(AssistantMessage(())) if run.replying else ():
            yield from self._step(run, step)
        for call_id in run.calls:
            stopped = ToolResultMessage(call_id, "", f"Stopped: {why}.", outcome="interrupted")
            yield self._result(run, run.blocks.id_of_call(call_id), stopped)
        if (name := self._steps.pop(run.id, "")) != "":
            yield self._of(run, "STEP_FINISHED", stepName=name)
        if run in self._shown:
            self._shown.remove(run)
            yield {"type": "SUBAGENT_ERROR", "subagentRunId": run.id, "message": why}

    def _end_steps(self) -> Iterator[Json]:
        for owner, name in reversed(self._steps.items()):
            ended: Json = {"type": "STEP_FINISHED", "stepName": name}
            yield ended | ({"subagentRunId": owner} if owner else {})
        self._steps.clear()

    def _end(self, run: OpenRun, event: AgentEnd) -> Iterator[Json]:
        if run is not self._runs.root:
            yield from self._end_inner(run, event)
        elif event.stop_reason == "error":
            failure: Json = {"type": "RUN_ERROR", "message": _why(event), "usage": self._spent()}
            yield failure | ({"code": event.error.kind} if event.error else {})
        elif event.stop_reason == "aborted":
            yield self._finished({"type": "cancelled"})
        else:
            how: Json = {"stopReason": event.stop_reason}
            more = {} if event.limit is None else {"limit": event.limit}
            yield self._finished({"type": "success"}) | {"metadata": how | more}

    def _end_inner(self, run: OpenRun, event: AgentEnd) -> Iterator[Json]:
        if event.stop_reason in {"error", "aborted"}:
            yield from self._left(run, _why(event))
        elif run in self._shown:
            self._shown.remove(run)
            yield {"type": "SUBAGENT_FINISHED", "subagentRunId": run.id}

    def _finished(self, outcome: Json) -> Json:
        ended = {"type": "RUN_FINISHED"} | self._ids()
        return ended | {"outcome": outcome, "usage": self._spent()}

    def _spent(self) -> list[Json]:
        return [_usage(model, usage) for model, usage in self._usage.items()]

    def _of(self, run: OpenRun, kind: str, **fields: Any) -> Json:
        event: Json = {"type": kind, **fields}
        if run.id:
            event["subagentRunId"] = run.id
        return event


def _said(message: UserMessage) -> Iterator[Json]:
    yield {"type": "TEXT_MESSAGE_START", "messageId": message.id, "role": "user"}
    yield {
        "type": "TEXT_MESSAGE_CONTENT",
        "messageId": message.id,
        "delta": text_of(message.content),
    }
    yield {"type": "TEXT_MESSAGE_END", "messageId": message.id}


def _interrupt(question: Question) -> Json:
    request = question.request
    interrupt: Json = {
        "id": question.id,
        "reason": "tool_call",
        "message": f"May the tool {request.name} run?",
        "toolCallId": question.id,
        "responseSchema": _ANSWER,
        "metadata": {"toolName": request.name, "arguments": dict(request.arguments)},
    }
    return interrupt | ({"subagentRunId": question.run.id} if question.run.id else {})


def _why(event: AgentEnd) -> str:
    return event.error.message if event.error is not None else event.stop_reason


def _usage(model: str, usage: Usage) -> Json:
    return {
        "model": model,
        "inputTokens": usage.input_tokens,
        "outputTokens": usage.output_tokens,
        "totalTokens": usage.total_tokens,
        "reasoningTokens": usage.reasoning_tokens,
        "cachedInputTokens": usage.cache_read_tokens,
        "cacheWriteInputTokens": usage.cache_write_tokens,
    }
