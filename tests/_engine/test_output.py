"""Results of a type: given by a tool that works with every model, checked, repaired, and bounded."""

import dataclasses
import enum
import json
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import annotated_types
import anyio
import attrs
import pydantic
import pytest
from tests.waiting import until_blocked

from tether import (
    Agent,
    Limits,
    MessageEnd,
    ModelError,
    ModelOptions,
    OutputError,
    OutputResult,
    RunResult,
    ToolResultMessage,
    UsageError,
    UserMessage,
    blocking,
    tool,
)
from tether.testing import Pause, ScriptedModel, call, cancel_at_every_step, check_transcript


@attrs.frozen
class City:
    """A city."""

    name: str
    people: Annotated[int, annotated_types.Ge(0)]


@dataclasses.dataclass
class Route:
    stops: list[City]


class Options(TypedDict, total=False):
    fast: bool


class Colour(enum.Enum):
    RED = "red"


@attrs.frozen
class Tree:
    name: str
    children: list["Tree"] = attrs.field(factory=list)


class Person(pydantic.BaseModel):
    name: str
    age: int = 0


PARIS = {"name": "Paris", "people": 2}


@tool
async def look_up(name: str) -> str:
    """Look something up."""
    return f"{name}: 2"


def gives(result: Any) -> Any:
    return call("final_result", result=result)


@pytest.mark.parametrize(
    ("kind", "given", "made"),
    [
        (City, PARIS, City("Paris", 2)),
        (Route, {"stops": [PARIS]}, Route([City("Paris", 2)])),
        (Options, {"fast": True}, {"fast": True}),
        (Person, {"name": "Ada"}, Person(name="Ada")),
        (int, "42", 42),
        (bool, False, False),
        (list[City], [PARIS], [City("Paris", 2)]),
        (Literal["a", "b"], "b", "b"),
        (City | None, None, None),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (City | Route, {"stops": [PARIS]}, Route([City("Paris", 2)])),
        (City | str, "Paris", "Paris"),
        (Person | City, PARIS, City("Paris", 2)),
        (str | Path, "a/b", "a/b"),
        (Colour | str, "red", Colour.RED),
        (Literal[Colour.RED], "red", Colour.RED),
        (list[int] | list[str], ["1"], ["1"]),
        (list[City], json.dumps([PARIS]), [City("Paris", 2)]),
        (Tree, {"name": "a", "children": [{"name": "b"}]}, Tree("a", [Tree("b")])),
    ],
)
async def test_a_result_is_of_the_type_that_was_asked_for(
    kind: Any, given: object, made: object
) -> None:
    model = ScriptedModel(gives(given))
    agent = Agent(model)
    result = await agent.prompt("go", output=kind)
    assert isinstance(result, OutputResult)
    assert result.output == made
    assert type(result.output) is type(made)
    check_transcript(agent.messages)
    [request] = model.requests
    assert [spec.name for spec in request.tools] == ["final_result"]
    assert request.options.tool_choice == ("tool", "final_result")


async def test_other_tools_work_as_ever_and_the_tool_is_there_for_this_run_alone() -> None:
    model = ScriptedModel(
        call("look_up", name="Paris"),
        [call("look_up", name="again"), gives(PARIS), call("look_up", name="more")],
        "As I said.",
    )
    agent = Agent(model, tools=[look_up])
    result = await agent.prompt("How many?", output=City)
    assert result.output.people == 2
    assert [request.options.tool_choice for request in model.requests] == ["required"] * 2
    results = [m.text for m in agent.messages if isinstance(m, ToolResultMessage)]
    assert results == ["Paris: 2", "again: 2", "The result was taken.", "more: 2"]
    assert (await agent.prompt("Say it.")).text == "As I said."
    assert [spec.name for spec in model.requests[-1].tools] == ["look_up"]
    check_transcript(agent.messages)


async def test_what_does_not_fit_is_told_with_every_fault_and_may_be_repaired() -> None:
    agent = Agent(ScriptedModel(gives({"people": -1}), gives(PARIS)))
    assert (await agent.prompt("go", output=City)).output == City("Paris", 2)
    told = agent.messages[2]
    assert isinstance(told, ToolResultMessage)
    assert told.outcome == "error"
    assert "result.name: is missing" in told.text
    assert "result.people: expected int >= 0" in told.text


async def test_a_model_that_answers_in_words_is_told_what_to_do() -> None:
    model = ScriptedModel("It is Paris.", gives(PARIS))
    agent = Agent(model)
    assert (await agent.prompt("go", output=City)).output == City("Paris", 2)
    reminder = agent.messages[2]
    assert isinstance(reminder, UserMessage)
    assert "final_result" in reminder.text
    check_transcript(agent.messages)


async def test_attempts_are_bounded_and_each_is_told() -> None:
    agent = Agent(ScriptedModel(gives({}), "Paris!", gives("Paris"), "Never asked."))
    with pytest.raises(OutputError, match="3 attempts failed") as caught:
        await agent.prompt("go", output=City)
    first, second, third = caught.value.attempts
    assert "result.name: is missing" in first
    assert second == "the reply was plain text instead of a call of final_result"
    assert "result: expected object, got str" in third
    check_transcript(agent.messages)
    with pytest.raises(OutputError) as caught:
        await Agent(ScriptedModel("Paris!", "Paris!")).prompt("go", output=City, output_attempts=2)
    assert str(caught.value).count("plain text") == 1, "the same fault is named once"
    assert len(caught.value.attempts) == 2
    with pytest.raises(OutputError, match="1 attempt failed"):
        await Agent(ScriptedModel(gives({}))).prompt("go", output=City, output_attempts=1)


async def test_a_run_that_ends_before_says_how_it_ended() -> None:
    agent = Agent(
        ScriptedModel(call("look_up", name="x"), "Never asked."),
        tools=[look_up],
        limits=Limits(turns=1),
    )
    with pytest.raises(OutputError, match="the run reached its limit of turns"):
        await agent.prompt("go", output=City)
    with pytest.raises(ModelError, match="gone"):
        await Agent(ScriptedModel(ModelError("gone", kind="server"))).prompt("go", output=City)


async def test_a_model_that_thinks_is_not_forced() -> None:
    """Providers refuse to force a model that is to think."""
    model = ScriptedModel(gives(PARIS))
    await Agent(model, options=ModelOptions(thinking="low")).prompt("go", output=City)
    assert model.requests[0].options.tool_choice is None


async def test_a_result_may_be_followed() -> None:
    agent = Agent(ScriptedModel(gives(PARIS)))
    seen: list[str] = []
    async with agent.run("go", output=City) as run:
        async for event in run:
            if isinstance(event, MessageEnd):
                seen.append(event.message.role)
        result: RunResult = await run.result()
    assert seen == ["user", "assistant", "tool"]
    assert result.output == City("Paris", 2)


async def test_of_two_results_the_first_counts() -> None:
    agent = Agent(ScriptedModel([gives(1), gives(2)]), sequential=True)
    assert (await agent.prompt("go", output=int)).output == 1


async def test_what_was_steered_meanwhile_comes_first() -> None:
    agent = Agent(ScriptedModel("Words.", gives(1)))

    @agent.hook("on_event")
    def steer(event: object) -> None:
        if isinstance(event, MessageEnd) and event.message.text == "Words.":
            agent.steer("In metres.")

    assert (await agent.prompt("go", output=int)).output == 1
    texts = [message.text for message in agent.messages]
    assert texts[:3] == ["go", "Words.", "In metres."]


@pytest.mark.parametrize(
    ("kind", "attempts", "told"),
    [
        (complex, 3, "cannot be described"),
        (City, 0, "output_attempts must be a whole number from 1 on"),
    ],
)
async def test_what_cannot_be_asked_for_is_refused_before_anything_is_asked(
    kind: Any, attempts: int, told: str
) -> None:
    model = ScriptedModel("Never asked.")
    agent = Agent(model)
    with pytest.raises(UsageError, match=told):
        await agent.prompt("go", output=kind, output_attempts=attempts)
    assert (model.requests, agent.messages) == ([], ())
    assert not agent.state.running


async def test_a_tool_of_that_name_is_in_the_way() -> None:
    taken = tool(name="final_result")(look_up.function)
    with pytest.raises(UsageError, match="final_result"):
        await Agent(ScriptedModel("Never asked."), tools=[taken]).prompt("go", output=int)


def test_programs_without_an_event_loop_have_it_too() -> None:
    agent = Agent(ScriptedModel(gives(PARIS), gives(3)))
    assert blocking.prompt(agent, "go", output=City).output == City("Paris", 2)
    with blocking.run(agent, "go", output=int) as run:
        assert run.result().output == 3


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancelled_anywhere_the_conversation_goes_on(backend: Any) -> None:
    async def program(agent: Agent) -> None:
        assert (await agent.prompt("go", output=int)).output == 3

    def check(agent: Agent) -> None:
        check_transcript(agent.messages)
        agent.model = ScriptedModel(gives(4))
        assert blocking.prompt(agent, "Go on.", output=int).output == 4

    report = cancel_at_every_step(
        program,
        setup=lambda: Agent(ScriptedModel("Words.", gives("many"), gives(3))),
        check=check,
        backend=backend,
    )
    assert report.points > 10


async def test_an_abort_is_no_result() -> None:
    agent = Agent(ScriptedModel(["Hm", Pause()]))
    async with anyio.create_task_group() as tasks:

        async def abort() -> None:
            await until_blocked()
            agent.abort()

        tasks.start_soon(abort)
        with pytest.raises(OutputError, match=r"\(aborted\)"):
            await agent.prompt("go", output=int)
