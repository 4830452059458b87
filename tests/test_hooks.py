"""Hooks by themselves: their order, their names, and the points that runs do not reach."""

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tether import (
    Agent,
    AssistantMessage,
    CustomMessage,
    Deny,
    Text,
    ToolResult,
    UsageError,
    UserMessage,
    tool,
)
from tether.hooks import HookPoint, Hooks
from tether.testing import ScriptedModel, call, cancel_at_every_step, check_transcript


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

    @agent.hook("agent_opened")
    def start(whose: Agent) -> None:
        assert whose is agent
        told.append("start")

    @agent.hook("agent_closed")
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

        @agent.hook("agent_opened")
        async def start(_: Agent) -> None:
            await anyio.lowlevel.checkpoint()
            told.append("start")

        agent.hooks.add("agent_closed", lambda _: told.append("end"))
        return agent

    async def program(agent: Agent) -> None:
        async with agent.opened():
            await agent.prompt("hi")

    def check(_: Agent) -> None:
        assert told in ([], ["start", "end"])

    report = cancel_at_every_step(program, setup=setup, check=check, backend=backend)
    assert report.points > 5


def _answers(answer: object) -> Callable[..., Any]:
    def hook(*_: object) -> Any:
        return answer

    return hook


async def _async_function(*_: object) -> None: ...


WRONG: dict[HookPoint, list[object]] = {
    "transform_context": [False, "text", "", 1, {}, ["text"], [None], UserMessage("not in a list")],
    "convert": [False, "text", {}, [CustomMessage("note")], ["text"]],
    "before_model": [False, "text", [UserMessage("a list")], AssistantMessage("a reply")],
    "around_model": [None, False, "text", AssistantMessage("a reply")],
    "around_run": [None, False, "text", 1],
    "after_model": [False, "text", [], UserMessage("no reply")],
    "before_tool": [False, True, "", "no", "deny", 0, Deny, ToolResult("a result")],
    "around_tool": [None, False, [1], 1],
    "after_tool": [False, "text", "", Text("a block"), [Text("a block")]],
    "should_stop": ["", "yes", 0, 1, []],
}


@pytest.mark.parametrize(
    ("point", "answer"), [(point, answer) for point, answers in WRONG.items() for answer in answers]
)
@pytest.mark.parametrize("is_async", [False, True])
async def test_an_answer_that_a_point_does_not_take_ends_the_run_and_says_what_would_be_right(
    point: HookPoint, answer: object, is_async: bool
) -> None:
    ran: list[str] = []

    @tool
    def work() -> str:
        ran.append("work")
        return "done"

    async def later(*_: object) -> object:
        return answer

    agent = Agent(
        ScriptedModel(call("work"), "Done."), tools=[work], messages=[CustomMessage("note")]
    )
    # Those return a context manager, and are never awaited.
    is_plain = point in {"around_model", "around_run"}
    function = later if is_async and not is_plain else _answers(answer)
    agent.hooks.add(point, function, name="mine")
    with pytest.raises(TypeError, match=rf"the {point} hook 'mine' answered .*; it may answer ."):
        await agent.prompt("Work.")
    before_the_tool = point in {"before_tool", "around_tool", "transform_context", "before_model"}
    assert not (ran and before_the_tool)
    check_transcript(agent.messages)


@pytest.mark.parametrize("point", ["around_model", "around_run"])
async def test_an_async_function_for_a_context_manager_is_refused_and_leaves_no_coroutine(
    point: Any,
) -> None:
    agent = Agent(ScriptedModel("Hello."))
    agent.hooks.add(point, _async_function)
    with pytest.raises(TypeError, match="asynccontextmanager"):
        await agent.prompt("Hi.")


@pytest.mark.parametrize("point", [point for point in WRONG if not point.startswith("around_")])
async def test_none_changes_nothing_at_a_point_that_need_not_answer(point: HookPoint) -> None:
    agent = Agent(
        ScriptedModel(call("work"), "Done."),
        tools=[tool(name="work", description="")(lambda: "done")],
        messages=[CustomMessage("note")],
    )
    agent.hooks.add(point, _answers(None))
    assert (await agent.prompt("Work.")).text == "Done."


@pytest.mark.parametrize("answer", [None, False, 17, "text"])
async def test_what_a_listener_answers_is_not_looked_at(answer: object) -> None:
    agent = Agent(ScriptedModel("Hello."))
    agent.subscribe(_answers(answer))
    assert (await agent.prompt("Hi.")).text == "Hello."


@pytest.mark.parametrize("answer", [None, 1, "no", "deny", "", [], ToolResult("done")])
async def test_an_approval_that_is_no_verdict_ends_the_run(answer: Any) -> None:
    ran: list[str] = []
    agent = Agent(
        ScriptedModel(call("work"), "Done."),
        tools=[tool(name="work", description="")(lambda: ran.append("work"))],
        approve=_answers(answer),
    )
    with pytest.raises(
        TypeError, match="approve must answer 'once', 'always', True, False or Deny"
    ):
        await agent.prompt("Work.")
    assert ran == []


def test_what_is_no_function_is_no_hook() -> None:
    with pytest.raises(UsageError, match="a hook at before_tool must be a function, not 'deny'"):
        Hooks().add("before_tool", "deny")  # type: ignore[type-var]  # the mistake
