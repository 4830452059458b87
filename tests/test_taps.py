"""A tap sees everything that a run does, and the run does the same as without it."""

import cProfile
import pstats
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import pytest
from msgspec.structs import replace

from tether import Agent, ModelError, Session, UsageError
from tether.events import Event, MessageUpdate, ToolExecutionEnd, ToolExecutionStart
from tether.hooks import RequestContext
from tether.loop import AskModel, End, RunTools, Step
from tether.messages import CustomMessage, Message, Queued, QueueName, ToolResultMessage
from tether.model import ModelRequest, RetryPolicy
from tether.taps import Input, RunBegun, Tap
from tether.testing import ScriptedModel, call
from tether.tools import ToolContext, tool


class _Notes(Tap):
    """Notes everything."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, Any]] = []

    def begun(self, run: RunBegun) -> None:
        self.notes.append(("begun", [message.text for message in run.prompts]))

    def stepped(self, step: Step) -> None:
        self.notes.append(("stepped", step))

    def answered(self, step: Step, outcome: object, ending: End | None) -> None:
        self.notes.append(("answered", (step, outcome, ending)))

    def published(self, event: Event) -> None:
        self.notes.append(("published", event))

    def requested(self, model: object, request: ModelRequest) -> None:
        self.notes.append(("requested", len(request.messages)))

    def arrived(self, fact: object) -> None:
        self.notes.append(("arrived", type(fact).__name__))

    def recorded(self, message: CustomMessage) -> None:
        self.notes.append(("recorded", message.kind))

    def priced(self, reply: object, price: float | Exception) -> None:
        self.notes.append(("priced", price))

    def waiting(self, answer: bool) -> None:
        self.notes.append(("waiting", answer))

    def queued(self, queue: QueueName, message: Queued) -> None:
        self.notes.append(("queued", (queue, message.text)))

    def taken(self, messages: Sequence[Queued]) -> None:
        self.notes.append(("taken", [message.text for message in messages]))

    def input(self, what: Input, call_id: str | None = None) -> None:
        self.notes.append((what, call_id))

    def ended(self, result: object) -> None:
        self.notes.append(("ended", result))

    def of(self, *kinds: str) -> list[Any]:
        return [note for kind, note in self.notes if kind in kinds]


@tool
async def wait_for_ever() -> str:
    """Wait."""
    await anyio.sleep_forever()
    return ""


def _counting() -> dict[str, Any]:
    ids, times = count(1), count(1000)
    return {"new_id": lambda: f"id-{next(ids)}", "clock": lambda: float(next(times))}


def _agent(**options: Any) -> Agent:
    model = ScriptedModel(call("wait_for_ever"), "One two three.", "Four.")
    return Agent(model, tools=[wait_for_ever], **_counting(), **options)


async def _cancelling_its_call(agent: Agent) -> list[Event]:
    events: list[Event] = []
    async with agent.run("Go.") as run:
        async for event in run:
            events.append(event)
            if isinstance(event, ToolExecutionStart):
                agent.follow_up("More.")
                run.cancel_tool(event.call_id)
    return events


def _without_time(event: Event) -> Event:
    return replace(event, duration=0.0) if isinstance(event, ToolExecutionEnd) else event


async def test_it_sees_steps_outcomes_events_and_inputs_in_their_order() -> None:
    agent, tap = _agent(), _Notes()
    agent.tap(tap)
    events = await _cancelling_its_call(agent)
    assert tap.of("published") == events
    assert tap.notes[0] == ("begun", ["Go."])
    assert tap.of("requested") == [1, 3, 5]
    assert tap.of("arrived") == ["ReplyEnd"] * 3
    assert tap.of("queued", "cancel_tool", "taken") == [
        ("follow_up", "More."),
        "call_1",
        ["More."],
    ]
    steps = tap.of("stepped")
    assert [step for step in steps if isinstance(step, AskModel)] == [AskModel()] * 3
    answers = tap.of("answered")
    assert [step for step, _, _ in answers] == steps
    [tools] = [outcome for step, outcome, _ in answers if isinstance(step, RunTools)]
    assert [one.result.outcome for one in tools] == ["interrupted"]
    assert tap.of("priced") == [0.0] * 3
    [result] = tap.of("ended")
    assert result.text == "Four."


async def test_a_run_is_the_same_with_it() -> None:
    plain, tapped = _agent(), _agent()
    untap = tapped.tap(_Notes())
    events = [_without_time(event) for event in await _cancelling_its_call(plain)]
    assert [_without_time(event) for event in await _cancelling_its_call(tapped)] == events
    assert plain.messages == tapped.messages
    untap()


async def test_listening_consumes_no_id() -> None:
    plain, watched = _agent(), _agent()
    watched.subscribe(lambda event: None)
    watched.subscribe(lambda event: None)()
    await _cancelling_its_call(plain)
    await _cancelling_its_call(watched)
    assert plain.messages == watched.messages


async def test_it_leaves_the_short_way_of_events_open() -> None:
    """No listener is there, so that a piece of a reply is handed to the consumer without a trip."""
    agent = _agent()
    agent.tap(Tap())
    assert agent.hooks.at("on_event") == ()
    await _cancelling_its_call(agent)


async def test_an_abort_and_an_interruption_are_each_seen_once() -> None:
    agent, tap = _agent(), _Notes()
    agent.tap(tap)
    async with agent.run("Go.") as run:
        async for event in run:
            if isinstance(event, ToolExecutionStart):
                run.steer("Stop that.", interrupt=True)
            if isinstance(event, MessageUpdate) and event.text:
                agent.abort()
                break
        await run.result()
    assert tap.of("interrupt", "abort") == [None, None]
    assert [kind for kind, _ in tap.notes if kind in {"interrupt", "abort"}] == [
        "interrupt",
        "abort",
    ]
    assert [end.stop_reason for _, _, end in tap.of("answered") if end is not None] == ["aborted"]


async def test_what_ends_a_run_is_seen() -> None:
    agent, tap = Agent(ScriptedModel(ModelError("no", kind="authentication"))), _Notes()
    agent.tap(tap)
    with pytest.raises(ModelError) as caught:
        await agent.prompt("Go.")
    assert tap.of("ended") == [caught.value]
    agent = Agent(ScriptedModel("Hi."))
    agent.tap(tap := _Notes())
    with anyio.CancelScope() as scope:
        async with agent.run("Go."):
            scope.cancel()
            await anyio.sleep_forever()
    [error] = tap.of("ended")
    assert isinstance(error, anyio.get_cancelled_exc_class())


async def test_what_the_loop_asks_is_seen_and_what_a_price_raises() -> None:
    def price(reply: object) -> float:
        raise ValueError("no price")

    agent, tap = Agent(ScriptedModel("Hi."), price=price), _Notes()
    agent.tap(tap)
    with pytest.raises(ValueError, match="no price") as caught:
        await agent.prompt("Go.")
    assert tap.of("priced") == [caught.value]


async def test_a_message_that_a_hook_records_is_seen() -> None:
    async def note(messages: list[Message], context: RequestContext) -> None:
        await context.record(CustomMessage("note", {}))

    agent, tap = Agent(ScriptedModel("Hi."), transform_context=note), _Notes()
    agent.tap(tap)
    await agent.prompt("Go.")
    assert tap.of("recorded") == ["note"]


async def test_several_see_the_same_and_copies_have_none() -> None:
    agent, first, second = _agent(), _Notes(), _Notes()
    agent.tap(first)
    remove = agent.tap(second)
    await _cancelling_its_call(agent)
    remove()
    assert first.notes == second.notes
    await agent.copy(model=ScriptedModel("Hi.")).prompt("Go.")
    agent.model = ScriptedModel("Hi.")
    before = len(second.notes)
    await agent.prompt("Again.")
    assert len(second.notes) == before
    assert len(first.of("ended")) == 2


def test_what_is_no_tap_is_refused() -> None:
    given: Any = print
    with pytest.raises(UsageError, match="tap must be of the class Tap"):
        Agent().tap(given)


def test_a_program_without_one_makes_no_call_for_it() -> None:
    """Counted, not timed: of the functions that serve taps, none is called."""
    agent = Agent(ScriptedModel("One two three four five six seven eight nine ten."))

    async def program() -> None:
        await agent.prompt("Go.")

    profile = cProfile.Profile()
    profile.runcall(anyio.run, program)
    called = {f"{place}:{name}" for place, _, name in pstats.Stats(profile).stats}  # type: ignore[attr-defined]
    assert {
        one for one in called if "/tether/taps.py" in one or one.endswith((":_priced", ":_waiting"))
    } == set()


async def test_chance_decides_how_long_to_wait_before_another_attempt() -> None:
    class Failing(ScriptedModel):
        retry = RetryPolicy(attempts=4, wait_initial=1.0, wait_max=5.0)

    busy = ModelError("busy", kind="overloaded")
    asked = iter([0.25, 0.5, 0.75])
    agent = Agent(Failing(busy, busy, busy, "Hi."), random=lambda: next(asked))
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stamina._core._smart_sleep", sleep)
        assert (await agent.prompt("Go.")).text == "Hi."
    assert slept == [1.25, 2.5, 4.75]


def test_a_session_given_by_its_path_goes_by_the_clock_and_the_ids_of_its_agent(
    tmp_path: Path,
) -> None:
    def said() -> bytes:
        path = tmp_path / "session.jsonl"
        path.unlink(missing_ok=True)
        agent = Agent(ScriptedModel("Hi."), session=path, **_counting())
        anyio.run(agent.prompt, "Go.")
        assert agent.session is not None
        agent.session.close()
        return path.read_bytes()

    assert said() == said()


def test_ids_that_begin_anew_do_not_meet_in_a_session(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    for _ in range(3):
        with Session(path, new_id=lambda: "same") as session:
            session.append("label", {"text": "x"})
    assert list(Session.read(path).entries) == ["same", "same-2", "same-3"]


@pytest.mark.parametrize("takes_context", [True, False])
@pytest.mark.parametrize("is_async", [True, False])
async def test_what_wraps_a_tool_knows_the_call(takes_context: bool, is_async: bool) -> None:
    def plain(text: str) -> str:
        """Say it."""
        return text

    def plain_with(text: str, context: ToolContext[None]) -> str:
        """Say it."""
        return f"{text} {context.name}"

    async def asynchronous(text: str) -> str:
        """Say it."""
        return text

    async def asynchronous_with(text: str, context: ToolContext[None]) -> str:
        """Say it."""
        return f"{text} {context.name}"

    of: dict[tuple[bool, bool], Callable[..., Any]] = {
        (False, False): plain,
        (False, True): plain_with,
        (True, False): asynchronous,
        (True, True): asynchronous_with,
    }
    own = tool(name="say")(of[is_async, takes_context])

    def around(context: ToolContext[Any], proceed: Any) -> Any:
        return f"{context.call_id}: {proceed()}"

    async def around_async(context: ToolContext[Any], proceed: Any) -> Any:
        return f"{context.call_id}: {await proceed()}"

    wrapped = own.wrapped(around_async if is_async else around)
    assert wrapped.parameters == own.parameters
    agent = Agent(ScriptedModel(call("say", id="c1", text="hi"), "Done."), tools=[wrapped])
    await agent.prompt("Go.")
    [result] = [message for message in agent.messages if isinstance(message, ToolResultMessage)]
    assert result.text == ("c1: hi say" if takes_context else "c1: hi")
