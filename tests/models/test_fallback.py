"""Models that stand in for each other, and what is known of models."""

import sys
from typing import Any

import anyio
import pytest
from tests.models.replay import Exchange, serving

from tether import (
    Agent,
    AssistantMessage,
    Event,
    Limits,
    MessageUpdate,
    ModelError,
    ModelRequest,
    ModelRetry,
    RetryPolicy,
    TextDelta,
    UnknownModelError,
    Usage,
    UsageError,
    UserMessage,
    context_window,
    fallback,
    known_models,
    model_from_name,
    price_of,
)
from tether.deltas import PartialReply
from tether.testing import Pause, ScriptedModel, call, cancel_at_every_step, check_events
from tether.testing import check_transcript as check_messages

REQUEST = ModelRequest(messages=[UserMessage("hi")])
BUSY = ModelError("busy", kind="overloaded")


async def text_of(model: Any) -> str:
    partial = PartialReply()
    async with model.stream(REQUEST) as deltas:
        async for delta in deltas:
            partial.add(delta)
    assert partial.complete is not None
    return partial.complete.text


async def test_the_next_one_answers_where_one_fails() -> None:
    first, second = ScriptedModel(BUSY, "One."), ScriptedModel("Two.")
    model = fallback(first, second)
    agent = Agent(model)
    events: list[Event] = []
    async with agent.run("hi") as run:
        async for event in run:
            events.append(event)
    check_events(events)
    assert (await run.result()).text == "Two."
    assert [e.error.message for e in events if isinstance(e, ModelRetry)] == ["busy"]
    assert (await agent.prompt("again")).text == "One."
    assert model.name == "scripted or scripted"


async def test_alone_it_does_the_same() -> None:
    first, second = ScriptedModel(BUSY), ScriptedModel("Two.")
    assert await text_of(fallback(first, second)) == "Two."
    assert first.streaming == second.streaming == 0


@pytest.mark.parametrize("alone", [True, False])
async def test_what_is_not_taken_over_is_raised(alone: bool) -> None:
    for model in (
        fallback(ScriptedModel(ModelError("no", kind="invalid_request")), ScriptedModel()),
        fallback(ScriptedModel(BUSY), ScriptedModel(ModelError("no", kind="server"))),
        fallback(ScriptedModel(ModelError("no", kind="server")), ScriptedModel(), on=["timeout"]),
    ):
        with pytest.raises(ModelError, match="no"):
            await (text_of(model) if alone else Agent(model).prompt("hi"))


@pytest.mark.parametrize("alone", [True, False])
async def test_once_something_has_arrived_nobody_else_is_asked(alone: bool) -> None:
    second = ScriptedModel("Two.")
    model = fallback(ScriptedModel([TextDelta("Hel"), BUSY]), second)
    with pytest.raises(ModelError, match="busy"):
        await (text_of(model) if alone else Agent(model).prompt("hi"))
    assert second.requests == []


async def test_each_keeps_its_own_policy_for_retries() -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.answer(b"{}", status=529, kind="application/json")

    async with serving(handler) as server:
        busy = model_from_name(
            "openai-chat:m",
            base_url=server.url,
            api_key="k",
            retry=RetryPolicy(attempts=3, wait_initial=0.001),
        )
        agent = Agent(fallback(busy, ScriptedModel("Two.")))
        with anyio.fail_after(60):
            assert (await agent.prompt("hi")).text == "Two."
        assert len(server.exchanges) == 3


def test_it_takes_names_and_wants_two() -> None:
    assert fallback("offline", "groq:x").name == "offline or groq:x"
    with pytest.raises(UsageError, match="at least two"):
        fallback("offline")
    with pytest.raises(UnknownModelError):
        fallback("offline", "nobody:x")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancelled_anywhere_it_leaves_nothing(backend: Any) -> None:
    async def program(agent: Agent) -> None:
        await agent.prompt("hi")

    report = cancel_at_every_step(
        program,
        setup=lambda: Agent(fallback(ScriptedModel(BUSY), ScriptedModel("Hello there."))),
        check=lambda agent: check_messages(agent.messages),
        backend=backend,
    )
    assert report.points > 5


async def test_a_stand_in_is_left_like_any_model() -> None:
    model = fallback(ScriptedModel(BUSY), ScriptedModel(["Hel", Pause()]))
    async with Agent(model).run("hi") as run:
        async for event in run:
            if isinstance(event, MessageUpdate):
                break


# What is known.

REPLY = AssistantMessage(
    "x",
    model="claude-sonnet-4-5-20250929",
    api="anthropic-messages",
    usage=Usage(input_tokens=1_000_000, output_tokens=0),
)


@pytest.fixture
def _prices() -> None:
    pytest.importorskip("genai_prices", reason="genai-prices is not installed")


@pytest.mark.usefixtures("_prices")
def test_prices_and_windows_are_looked_up_and_unknown_models_have_none() -> None:
    assert price_of(REPLY) > 0
    cached = AssistantMessage(
        "x",
        model=REPLY.model,
        api=REPLY.api,
        usage=Usage(input_tokens=1_000_000, cache_read_tokens=900_000),
    )
    assert 0 < price_of(cached) < price_of(REPLY)
    assert price_of(AssistantMessage("x", model="nobody's")) == 0
    assert context_window("anthropic:claude-sonnet-4-5") == 200_000
    assert context_window("ollama:nobody's") is None
    assert "claude-sonnet-4-5" in known_models("anthropic")
    assert known_models("nobody") == ()


@pytest.mark.usefixtures("_prices")
async def test_a_limit_of_cost_needs_no_prices_of_ones_own() -> None:
    agent = Agent(ScriptedModel(REPLY, "Never asked."), limits=Limits(cost=1.0))
    agent.model = ScriptedModel(REPLY, name="anthropic:claude-sonnet-4-5")
    result = await agent.prompt("hi")
    assert result.cost == price_of(REPLY)


async def test_a_limit_of_cost_without_prices_is_refused_before_anything_is_spent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    model = ScriptedModel("Never asked.")
    with pytest.raises(UsageError, match=r"tether\[prices\]"):
        await Agent(model, limits=Limits(cost=1.0)).prompt("hi")
    assert model.requests == []
    assert context_window("openai:gpt-5") is None
    assert (await Agent(model, limits=Limits(cost=1.0), price=lambda _: 0.0).prompt("hi")).text


@pytest.mark.usefixtures("_prices")
@pytest.mark.parametrize(
    "names", [["scripted"], ["ollama:qwen3:8b"], ["openai:gpt-4o", "openai-chat:mine"]]
)
async def test_a_limit_of_cost_is_refused_where_the_price_of_a_model_is_not_known(
    names: list[str],
) -> None:
    models = [ScriptedModel("Never asked.", name=name) for name in names]
    agent = Agent(fallback(*models) if len(models) > 1 else models[0], limits=Limits(cost=1.0))
    with pytest.raises(UsageError, match=rf"price of {names[-1]} is not known.*`price=`"):
        await agent.prompt("hi")
    assert [model.requests for model in models] == [[] for _ in models]
    agent.limits = Limits()
    await agent.prompt("hi", limits=Limits(turns=1))
    assert not agent.state.running


@pytest.mark.usefixtures("_prices")
async def test_a_model_of_unknown_price_is_refused_also_in_the_middle_of_a_run() -> None:
    agent = Agent(ScriptedModel(call("look"), name="openai:gpt-4o"), limits=Limits(cost=1.0))

    @agent.tool
    async def look() -> str:
        """Look, while somebody changes the model."""
        agent.model = ScriptedModel("Never asked.")
        return "seen"

    with pytest.raises(UsageError, match="price of scripted is not known"):
        await agent.prompt("hi")
    check_messages(agent.messages)


@pytest.mark.usefixtures("_prices")
async def test_a_model_that_runs_here_costs_nothing() -> None:
    assert (await Agent("offline", limits=Limits(cost=1.0)).prompt("hi")).cost == 0


@pytest.mark.usefixtures("_prices")
async def test_each_model_that_stands_in_has_its_own_price() -> None:
    """Also one that reports a name that nobody knows."""
    answer = AssistantMessage("x", model="gpt-4o-of-today", usage=Usage(input_tokens=1_000_000))
    model = fallback(
        ScriptedModel(BUSY, name="anthropic:claude-sonnet-4-5"),
        ScriptedModel(answer, name="openai:gpt-4o"),
    )
    assert (await Agent(model, limits=Limits(cost=99.0)).prompt("hi")).cost > 0


@pytest.mark.usefixtures("_prices")
async def test_a_model_that_is_not_found_comes_with_the_closest_names() -> None:
    body = (
        b'{"type":"error","error":{"type":"not_found_error","message":"model: claude-sonet-4-5"}}'
    )

    async def handler(exchange: Exchange) -> None:
        await exchange.answer(body, status=404, kind="application/json")

    async with serving(handler) as server:
        model = model_from_name("anthropic:claude-sonet-4-5", base_url=server.url, api_key="k")
        with pytest.raises(ModelError) as caught:
            await text_of(model)
    assert (caught.value.kind, caught.value.message) == ("not_found", "model: claude-sonet-4-5")
    assert caught.value.closest[0] == "claude-sonnet-4-5"
    assert "did you mean claude-sonnet-4-5" in str(caught.value)
