"""Servers that cannot stream are asked for a reply in one piece; what comes of it is the same."""

import json
from typing import Any

import pytest
from tests.models.canned import Answer, Canned, events
from tests.models.streams import PROVIDERS, STREAMS, WHOLE, each_api

from tether import Agent, Model, ModelError, ModelOptions, ModelRequest, UserMessage
from tether.deltas import BlockEnd, Delta, PartialReply, ReplyEnd
from tether.models.catalogue import model_from_name


async def deltas_of(model: Model, **options: Any) -> list[Delta]:
    request = ModelRequest(messages=[UserMessage("hi")], options=ModelOptions(**options))
    async with model.stream(request) as deltas:
        return [delta async for delta in deltas]


def canned(api: str, answer: Any = None, **settings: Any) -> tuple[Canned, Model]:
    body = json.dumps(WHOLE[api] if answer is None else answer).encode()
    server = Canned([Answer(body, kind="application/json")])
    return server, server.model(PROVIDERS[api], stream=False, **settings)


@each_api
async def test_the_same_deltas_come_at_once(api: str) -> None:
    _, model = canned(api)
    partial = PartialReply()
    for delta in await deltas_of(model, extra={"stream": True}):
        if isinstance(delta, ReplyEnd):
            assert partial.preview().content == delta.message.content
        partial.add(delta)
    streamed = Canned([Answer(events(*STREAMS[api][1]))]).model(PROVIDERS[api])
    whole, piecemeal = partial.complete, PartialReply()
    for delta in await deltas_of(streamed):
        piecemeal.add(delta)
    assert whole is not None
    assert piecemeal.complete is not None
    for aspect in ("text", "thinking", "stop_reason", "usage", "model", "response_id", "api"):
        assert getattr(whole, aspect) == getattr(piecemeal.complete, aspect)
    assert [call.name for call in whole.tool_calls] == ["f"]


@each_api
async def test_the_request_asks_for_no_stream(api: str) -> None:
    server, model = canned(api)
    await deltas_of(model)
    assert server.asked[0].keys() & {"stream", "stream_options"} == set()
    assert ("generateContent" if api == "google" else "/") in server.urls[0]
    assert "streamGenerateContent" not in server.urls[0]


@each_api
async def test_an_error_in_one_piece_is_an_error(api: str) -> None:
    _, model = canned(api, {"error": {"message": "busy", "code": 503}})
    with pytest.raises(ModelError, match="busy"):
        await deltas_of(model)


async def test_an_agent_runs_its_tools_without_a_stream() -> None:
    last = {
        **WHOLE["chat"],
        "choices": [{"message": {"content": "Done."}, "finish_reason": "stop"}],
    }
    server, model = canned("chat")
    server.answers.append(Answer(json.dumps(last).encode(), kind="application/json"))
    called: list[int] = []

    def f(x: int) -> str:
        called.append(x)
        return "ok"

    result = await Agent(model, tools=[f]).prompt("go")
    assert (result.text, called) == ("Done.", [1])


async def test_blocks_end_before_the_reply_does() -> None:
    _, model = canned("anthropic")
    deltas = await deltas_of(model)
    assert [type(delta) for delta in deltas].count(BlockEnd) == 3
    assert isinstance(deltas[-1], ReplyEnd)


def test_the_model_says_whether_it_streams() -> None:
    model: Any = model_from_name("ollama:m", stream=False)
    assert model.streaming is False
    assert "streaming=False" in repr(model)
