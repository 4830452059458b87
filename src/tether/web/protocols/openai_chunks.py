"""Events as a chat completion of OpenAI, streamed or whole. No I/O.

The tools are the agent's: of what it does a client sees the text of its replies alone, and their reasoning in the field
that most servers use for it, `reasoning_content`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tether.events import AgentEnd, Event, MessageEnd, MessageStart, MessageUpdate
from tether.messages import AssistantMessage, Failure, FailureKind, StopReason, Usage
from tether.web.protocols.blocks import Grew, ReplyBlocks, Shown, Step
from tether.web.protocols.content import Json, url_of

__all__ = ("ChatCompletion", "as_error", "status_of")

_STATUS: Mapping[FailureKind, int] = {
    "rate_limit": 429,
    "quota": 429,
    "overloaded": 503,
    "timeout": 504,
    "context_overflow": 400,
    "content_filter": 400,
}
"""Of answers to failures that are no fault of ours; all others are 502."""

_FINISH: Mapping[StopReason | None, str] = {"length": "length", "refusal": "content_filter"}


class ChatCompletion:
    """The fold from the events of one run to the chunks of a chat completion.

    Args:
        id: of the completion.
        model: what the client calls the model.
        created: seconds since the epoch.
        include_usage: whether a last chunk counts the tokens.
    """

    __slots__ = ("_base", "_blocks", "_finish", "_include_usage", "_parts", "_separated", "_usage")

    def __init__(self, id: str, model: str, created: int, *, include_usage: bool = False) -> None:
        self._base: Json = {
            "id": id,
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
        }
        self._include_usage = include_usage
        self._blocks = ReplyBlocks()
        self._parts: dict[str, list[str]] = {"content": [], "reasoning_content": []}
        self._separated: set[str] = set()
        self._finish = "stop"
        self._usage = Usage()

    def begin(self) -> Iterator[Json]:
        """Begin the stream."""
        yield self._chunk({"role": "assistant", "content": ""})

    def take(self, event: Event) -> Iterator[Json]:
        """Give the chunks of an event of the run; those of agents inside a call give none."""
        match event:
            case MessageStart(AssistantMessage() as reply):
                self._blocks.begin(reply)
                # What two replies say is kept apart: between them tools have run.
                self._separated = {name for name, parts in self._parts.items() if not parts}
            case MessageUpdate(delta):
                for step in self._blocks.add(delta):
                    yield from self._step(step)
            case MessageEnd(AssistantMessage() as reply):
                self._finish = _FINISH.get(reply.stop_reason, "stop")
                for step in self._blocks.end(reply):
                    yield from self._step(step)
            case AgentEnd(error=None):
                self._usage = event.usage
                if event.stop_reason in {"limit", "length"}:
                    self._finish = "length"
                yield self._chunk({}, self._finish)
                if self._include_usage:
                    yield self._base | {"choices": [], "usage": _usage(event.usage)}
            case AgentEnd(error=error) if error is not None:
                yield as_error(error)
            case _:
                pass

    def whole(self) -> Json:
        """Return the completion, once its run is over."""
        message: Json = {"role": "assistant", "refusal": None}
        message |= {name: "".join(parts) for name, parts in self._parts.items() if parts}
        message.setdefault("content", "")
        choice: Json = {"index": 0, "message": message, "logprobs": None}
        choice["finish_reason"] = self._finish
        whole = {"object": "chat.completion", "choices": [choice], "usage": _usage(self._usage)}
        return self._base | whole

    def _step(self, step: Step) -> Iterator[Json]:
        match step:
            case Grew(_, "text", text):
                yield from self._said("content", text)
            case Grew(_, "thinking", text):
                yield from self._said("reasoning_content", text)
            case Shown(_, image) if (url := url_of(image)) is not None:
                yield from self._said("content", f"![image]({url})")
            case _:
                pass

    def _said(self, name: str, text: str) -> Iterator[Json]:
        if name not in self._separated:
            self._separated.add(name)
            text = f"\n\n{text}"
        self._parts[name].append(text)
        yield self._chunk({name: text})

    def _chunk(self, delta: Json, finish: str | None = None) -> Json:
        choice: Json = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._base | {"choices": [choice]}


def as_error(failure: Failure) -> Json:
    """Write a failure of a model in OpenAI's form."""
    kind = "invalid_request_error" if status_of(failure) == 400 else "upstream_error"
    told: Mapping[str, Any] = {
        "message": failure.message,
        "type": kind,
        "param": None,
        "code": failure.kind,
    }
    return {"error": dict(told)}


def status_of(failure: Failure) -> int:
    """Return the HTTP status that answers a failure of a model."""
    return _STATUS.get(failure.kind, 502)


def _usage(usage: Usage) -> Json:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
