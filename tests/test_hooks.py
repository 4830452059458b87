"""Hooks by themselves: their order, their names, and the points that runs do not reach."""

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tether import Agent, Hooks, UsageError
from tether.testing import ScriptedModel, cancel_at_every_step


def named(name: str) -> Callable[..., None]:
    def hook(*_: object) -> None: ...

    hook.__name__ = name
    return hook


def test_they_run_by_depth_and_then_in_the_order_in_which_they_came() -> None:
    hooks = Hooks()
    for name, depth in (("c", 0), ("d", 0), ("b", -5), ("e", 9), ("a", -9)):
        hooks.add("on_event", named(name), depth=depth)
    assert [hook.name for hook in hooks.at("on_event")] == ["a", "b", "c", "d", "e"]
    assert [hook.depth for hook in hooks] == [-9, -5, 0, 0, 9]


def test_one_of_a_name_takes_the_place_of_another_and_functions_share_none_by_accident() -> None:
    hooks = Hooks()
    first, second = named("f"), named("f")
    hooks.add("on_event", first)
    hooks.add("on_event", second)
    assert [hook.name for hook in hooks.at("on_event")] == ["f", "f-2"]
    third = named("g")
    hooks.add("on_event", third, name="f")
    assert hooks.functions("on_event") == [second, third]
    hooks.remove("on_event", "f")
    hooks.remove("on_event", second)
    assert hooks.functions("on_event") == []


def test_what_is_not_there_is_told_with_what_is() -> None:
    hooks = Hooks()
    hooks.add("on_event", named("f"))
    with pytest.raises(UsageError, match="no hook 'g' at on_event; there are: f"):
        hooks.remove("on_event", "g")
    with pytest.raises(UsageError, match="no hook point 'on_vent'; there are: transform_context"):
        hooks.add("on_vent", named("f"))  # type: ignore[arg-type]  # the mistake


async def test_a_session_starts_and_ends_once_however_it_ends() -> None:
    agent = Agent(ScriptedModel("Hello."))
    told: list[str] = []

    @agent.hook("session_start")
    def start(whose: Agent) -> None:
        assert whose is agent
        told.append("start")

    @agent.hook("session_end")
    async def end(_: Agent) -> None:
        await anyio.lowlevel.checkpoint()
        told.append("end")

    async with agent.opened() as same:
        assert (await same.prompt("hi")).text == "Hello."
        assert told == ["start"]
    with pytest.raises(LookupError):
        async with agent.opened():
            raise LookupError
    with anyio.CancelScope() as scope:
        async with agent.opened():
            scope.cancel()
            await anyio.lowlevel.checkpoint()
    assert told == ["start", "end"] * 3


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_session_that_has_started_ends_wherever_it_is_cancelled(backend: Any) -> None:
    told: list[str] = []

    def setup() -> Agent:
        told.clear()
        agent = Agent(ScriptedModel("Hello there."))

        @agent.hook("session_start")
        async def start(_: Agent) -> None:
            await anyio.lowlevel.checkpoint()
            told.append("start")

        agent.hooks.add("session_end", lambda _: told.append("end"))
        return agent

    async def program(agent: Agent) -> None:
        async with agent.opened():
            await agent.prompt("hi")

    def check(_: Agent) -> None:
        assert told in ([], ["start", "end"])

    report = cancel_at_every_step(program, setup=setup, check=check, backend=backend)
    assert report.points > 5
