"""Begun is not shown: until a block of a reply has begun, a failure inside it is like an HTTP error."""

from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.canned import Answer, Canned, events
from tests.models.streams import PROVIDERS, STREAMS, each_api

from tether import (
    Agent,
    Event,
    Limits,
    MessageStart,
    Model,
    ModelError,
    ModelRetry,
    RetryPolicy,
    UserMessage,
    fallback,
)
from tether.deltas import PartialReply
from tether.hooks import RequestContext
from tether.model import ModelRequest
from tether.testing import ScriptedModel, check_events

PING = [b": ping\n\n", b"event: ping\ndata: \n\n", b"data:\n\n", b'data: {"type": "ping"}\n\n']


def role(content: Any) -> dict[str, Any]:
    return {
        "id": "r",
        "model": "m",
        "choices": [{"delta": {"role": "assistant", "content": content}}],
    }


def overloaded(message: str = "try later") -> dict[str, Any]:
    return {"message": message, "type": "overloaded_error", "code": "overloaded"}


FACTS: dict[str, list[Any]] = {
    "chat": [
        role(""),
        role(None),
        {"id": "r", "model": "m", "choices": []},
        {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 0}},
        {"choices": [{"delta": {}}]},
    ],
    "responses": [
        {"type": "response.created", "response": {"id": "r", "model": "m"}},
        {"type": "response.in_progress", "response": {"id": "r", "usage": None}},
        {"type": "response.queued"},
        {
            "type": "response.output_item.added",
            "item": {"type": "message", "id": "m", "content": []},
        },
        {
            "type": "response.content_part.added",
            "item_id": "m",
            "part": {"type": "output_text", "text": ""},
        },
        {
            "type": "response.output_item.added",
            "item": {"type": "reasoning", "id": "x", "summary": []},
        },
    ],
    "anthropic": [
        {
            "type": "message_start",
            "message": {"id": "r", "model": "m", "content": [], "usage": {"input_tokens": 9}},
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "thinking", "thinking": "", "signature": ""},
        },
    ],
    "google": [
        {"responseId": "r", "modelVersion": "m", "usageMetadata": {"promptTokenCount": 9}},
        {"candidates": [{"content": {"role": "model"}}]},
        {"candidates": [{"content": {"role": "model", "parts": [{"text": ""}]}}]},
    ],
}
"""Events that bring nothing to see."""

FAILURES: dict[str, list[Any]] = {
    "chat": [{"error": overloaded()}, None],
    "responses": [
        {"type": "error", **overloaded()},
        {"type": "response.failed", "response": {"status": "failed", "error": overloaded()}},
        {
            "type": "response.failed",
            "response": {"error": {"code": "rate_limit_exceeded", "message": "slow down"}},
        },
        None,
    ],
    "anthropic": [{"type": "error", "error": overloaded()}, None],
    "google": [{"error": {"code": 503, "message": "try later", "status": "UNAVAILABLE"}}, None],
}
"""Events that end a reply badly; None is the end of the connection."""

TOO_LONG = "prompt is too long"
OVERFLOWS: dict[str, Any] = {
    "chat": {"error": {"message": TOO_LONG, "code": "context_length_exceeded"}},
    "responses": {
        "type": "response.failed",
        "response": {"error": {"code": "context_length_exceeded", "message": TOO_LONG}},
    },
    "anthropic": {"type": "error", "error": {"type": "invalid_request_error", "message": TOO_LONG}},
    "google": {"error": {"code": 400, "message": "input token count exceeds the maximum"}},
}


@st.composite
def facts(draw: st.DrawFn, api: str) -> list[Any]:
    """What a server may send before it fails, with nothing in it to be seen."""
    return draw(st.lists(st.sampled_from([*FACTS[api], *PING]), max_size=5))


def failing(api: str, data: st.DataObject) -> Answer:
    failure = data.draw(st.sampled_from(FAILURES[api]))
    told = [] if failure is None else [failure]
    return Answer(events(*data.draw(facts(api)), *told))


def whole(api: str) -> Answer:
    return Answer(events(*STREAMS[api][1]))


async def published(model: Model) -> list[Event]:
    """The events of a run."""
    seen: list[Event] = []
    with anyio.fail_after(30):
        async with Agent(model).run("hi") as run:
            async for event in run:
                seen.append(event)
                if isinstance(event, ModelRetry) and len(seen) > 40:
                    raise AssertionError("asked again for ever")
    check_events(seen)
    return seen


def replies(seen: list[Event]) -> int:
    return sum(isinstance(e, MessageStart) and e.message.role == "assistant" for e in seen)


@each_api
@given(data=st.data())
@settings(max_examples=6, deadline=None)
async def test_a_reply_that_fails_before_it_is_shown_is_asked_for_again(
    api: str, data: st.DataObject
) -> None:
    answers = [failing(api, data) for _ in range(data.draw(st.integers(1, 3)))]
    server = Canned([*answers, whole(api), Answer(b"", 400)])
    seen: list[Event] = []
    with pytest.raises(
        ModelError
    ) as ended:  # the tool it calls is not there: the next request fails
        async with Agent(server.model(PROVIDERS[api])).run("hi") as run:
            async for event in run:
                seen.append(event)
    assert ended.value.status == 400
    assert sum(isinstance(event, ModelRetry) for event in seen) == len(answers)
    assert len(server.asked) == len(answers) + 2


@each_api
@given(data=st.data())
@settings(max_examples=4, deadline=None)
async def test_the_next_model_takes_over_before_anything_is_shown(
    api: str, data: st.DataObject
) -> None:
    server = Canned([failing(api, data)])
    model = fallback(server.model(PROVIDERS[api], retry=None), ScriptedModel(*["Hello."] * 2))
    seen = await published(model)
    assert replies(seen) == 1
    partial = PartialReply()
    async with model.stream(ModelRequest(messages=[UserMessage("hi")])) as deltas:
        async for delta in deltas:
            partial.add(delta)
    assert partial.complete is not None
    assert partial.complete.text == "Hello."


@each_api
@given(data=st.data())
@settings(max_examples=4, deadline=None)
async def test_an_overflow_inside_the_reply_calls_the_hook(api: str, data: st.DataObject) -> None:
    overflow = Answer(events(*data.draw(facts(api)), OVERFLOWS[api]))
    server = Canned([overflow, whole(api), Answer(b"", 400)])
    reasons: list[str] = []

    def shorten(messages: Any, context: RequestContext) -> Any:
        reasons.append(context.reason)
        return messages[1:] if context.reason == "overflow" else messages

    agent = Agent(server.model(PROVIDERS[api]), messages=[UserMessage("Before.")])
    agent.hooks.add("transform_context", shorten)
    with pytest.raises(ModelError) as ended:
        await agent.prompt("hi")
    assert ended.value.status == 400
    assert reasons[:2] == ["turn", "overflow"]


@each_api
async def test_once_a_block_has_begun_nothing_is_asked_again(api: str) -> None:
    beginning = STREAMS[api][1][: 4 if api in {"responses", "anthropic"} else 2]
    server = Canned([Answer(events(*beginning))])
    with pytest.raises(ModelError):
        await published(server.model(PROVIDERS[api]))
    assert len(server.asked) == 1


COUNTED: dict[str, Any] = {
    "chat": {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 1}},
    "responses": {
        "type": "response.in_progress",
        "response": {"usage": {"input_tokens": 9, "output_tokens": 1}},
    },
    "anthropic": {
        "type": "message_start",
        "message": {"usage": {"input_tokens": 9, "output_tokens": 1}},
    },
    "google": {"usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 1}},
}
"""What a server may count before it fails."""


@each_api
async def test_what_an_attempt_reported_is_counted_once_another_is_made(api: str) -> None:
    lost = Answer(events(COUNTED[api]))
    server = Canned([lost, lost, Answer(events(*STREAMS[api][1]))])
    agent = Agent(server.model(PROVIDERS[api]), limits=Limits(turns=1))
    usage = (await agent.prompt("hi")).usage
    assert len(server.asked) == 3
    assert (usage.input_tokens, usage.output_tokens) == (9 + 9 + 5, 1 + 1 + 3)


@each_api
async def test_what_the_last_attempt_reported_is_counted_once(api: str) -> None:
    server = Canned([Answer(events(COUNTED[api]))])
    agent = Agent(server.model(PROVIDERS[api], retry=RetryPolicy(attempts=2, wait_initial=0.0001)))
    with pytest.raises(ModelError):
        async with agent.run("hi") as run:
            async for _ in run:
                pass
    assert (run.usage.input_tokens, run.usage.output_tokens) == (18, 2)
