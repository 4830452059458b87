"""Models that stand in for each other need not be the library's own: any that name their alternatives will do."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

import pytest
from attrs import field, frozen

from tether import Agent, Event, Model, ModelError, ModelRequest, ModelRetry, RetryPolicy
from tether.model import DeltaStream
from tether.testing import ScriptedModel, check_events


@frozen
class Router:
    """A model of an application's own, that sends what is busy elsewhere."""

    alternatives: Sequence[Model]
    name: str = "router"

    def stream(self, request: ModelRequest) -> AbstractAsyncContextManager[DeltaStream]:
        raise AssertionError("an agent asks the alternatives")

    def passes_on(self, model: Model, error: ModelError) -> bool:
        return error.kind == "overloaded"


@frozen
class Retrying:
    """A model with a policy for retries, which do not wait."""

    model: ScriptedModel
    retry: RetryPolicy = field(factory=lambda: RetryPolicy(wait_initial=0))
    name: str = "retrying"

    def stream(self, request: ModelRequest) -> AbstractAsyncContextManager[DeltaStream]:
        return self.model.stream(request)


BUSY = ModelError("busy", kind="overloaded")


async def _told(agent: Agent) -> Sequence[str]:
    events: list[Event] = []
    async with agent.run("hi") as run:
        async for event in run:
            events.append(event)
    check_events(events)
    return [event.error.message for event in events if isinstance(event, ModelRetry)]


async def test_an_agent_asks_the_alternatives_in_order_each_by_its_own_policy() -> None:
    first = Retrying(ScriptedModel(*[BUSY] * 4))
    agent = Agent(Router([first, ScriptedModel("Two.")]))
    assert await _told(agent) == ["busy"] * 4
    assert len(first.model.requests) == 4
    assert agent.messages[-1].text == "Two."


async def test_alternatives_may_have_alternatives() -> None:
    inner = Router([ScriptedModel(BUSY), ScriptedModel(BUSY)])
    agent = Agent(Router([inner, ScriptedModel("Three.")]))
    assert await _told(agent) == ["busy", "busy"]
    assert agent.messages[-1].text == "Three."


async def test_what_is_not_passed_on_and_what_the_last_one_fails_with_is_raised() -> None:
    refused = ModelError("no key", kind="authentication")
    with pytest.raises(ModelError, match="no key"):
        await Agent(Router([ScriptedModel(refused), ScriptedModel("Two.")])).prompt("hi")
    with pytest.raises(ModelError, match="busy"):
        await Agent(Router([ScriptedModel(BUSY)])).prompt("hi")


async def test_a_router_without_alternatives_is_an_error_that_names_it() -> None:
    with pytest.raises(ModelError, match="router has no alternatives to ask"):
        await Agent(Router([])).prompt("hi")
