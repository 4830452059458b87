"""A run that goes on where a process has ended in the middle of calls: what it runs, keeps and says."""

from collections.abc import Callable, Iterable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from tests.agent.checked_runs import GUARD, events_of, results
from tests.session.stores import BatchingStore, MemoryStore

from tether import (
    Agent,
    ApprovalRequested,
    AssistantMessage,
    Deny,
    Event,
    Invocation,
    Limits,
    MessageEnd,
    Session,
    Text,
    Tool,
    ToolCall,
    ToolContext,
    ToolExecutionEnd,
    ToolExecutionStart,
    ToolResult,
    ToolResultMessage,
    TurnStart,
    UsageError,
    UserMessage,
    tool,
)
from tether.calls import CallBegun, CallEnded, CallNote, OpenCalls
from tether.session import SessionStore
from tether.testing import (
    Backend,
    ScriptedModel,
    call,
    cancel_at_every_step,
    check_events,
    check_transcript,
)

Ran = list[tuple[str, str]]


def tools(ran: Ran) -> list[Tool]:
    @tool
    async def once(context: ToolContext[None]) -> str:
        """Do it."""
        ran.append(("once", context.call_id))
        await anyio.lowlevel.checkpoint()
        return "done now"

    @tool(idempotent=True)
    async def again(context: ToolContext[None]) -> str:
        """Do it, a second time too."""
        ran.append(("again", context.call_id))
        return "done now"

    return [once, again]


def ended(call_id: str, text: str = "done then", **fields: Any) -> CallEnded:
    return CallEnded(ToolResultMessage(call_id, "once", text, id=f"{call_id}.then"), **fields)


def left(
    calls: str = "a b", *notes: CallNote, store: SessionStore | None = None, **reply: Any
) -> Session:
    """A session as a process has left it that ended after these notes; `x!` is a call of an idempotent tool."""
    session = Session(MemoryStore() if store is None else store)
    session.record(UserMessage("go", id="prompt"))
    made = [ToolCall(n.strip("!"), "again" if "!" in n else "once", {}) for n in calls.split()]
    fields = {"stop_reason": "tool_calls", "id": "reply", **reply}
    session.record(AssistantMessage([Text("I will."), *made], **fields))
    for note in notes:
        session.note_call(note)
    return session


def outcomes(agent: Agent) -> list[tuple[str, str, str]]:
    return [(one.call_id, one.outcome, one.text[:9]) for one in results(agent)]


async def test_each_call_becomes_what_its_notes_say() -> None:
    ran: Ran = []
    session = left(
        "new kept cut twice! other!",
        CallBegun("cut"),
        CallBegun("kept"),
        CallBegun("twice"),
        ended("kept"),
    )
    agent = Agent(model := ScriptedModel("Fine."), tools=tools(ran), session=session)
    events = await events_of(agent, None)
    assert sorted(ran) == [("again", "other"), ("again", "twice"), ("once", "new")]
    assert outcomes(agent) == [
        ("new", "ok", "done now"),
        ("kept", "ok", "done then"),
        ("cut", "interrupted", "This call"),
        ("twice", "ok", "done now"),
        ("other", "ok", "done now"),
    ]
    assert agent.messages[-1].text == "Fine."
    assert [*model.requests[0].messages] == [*agent.messages[:-1]]
    assert session.messages == agent.messages
    assert session.open_calls is None
    announced = [e.message for e in events if isinstance(e, MessageEnd)]
    assert announced == [*agent.messages[2:]]
    started = {e.call_id for e in events if isinstance(e, ToolExecutionStart)}
    assert started == {one.call_id for one in results(agent)}


async def test_results_that_are_in_the_conversation_are_not_told_again() -> None:
    ran: Ran = []
    session = left("a b c", CallBegun("a"), ended("a"), CallBegun("b"), ended("b"))
    session.record(ended("a").result)
    agent = Agent(ScriptedModel("Fine."), tools=tools(ran), session=session)
    async with agent.run() as run:
        told = [e.message.id async for e in run if isinstance(e, MessageEnd)]
        result = await run.result()
    assert told[:2] == ["b.then", "reply.3"]
    assert [message.id for message in result.messages] == told
    assert ran == [("once", "c")]


@pytest.mark.parametrize("steers", [False, True])
async def test_where_something_new_is_said_nothing_is_run(steers: bool) -> None:
    ran: Ran = []
    session = left("new kept cut twice!", CallBegun("cut"), CallBegun("twice"), ended("kept"))
    agent = Agent(ScriptedModel("Fine."), tools=tools(ran), session=session)
    if steers:
        agent.steer("No, wait.")
    await events_of(agent, None if steers else "No, wait.")
    assert ran == []
    assert [outcome for _, outcome, _ in outcomes(agent)] == [
        "skipped",
        "ok",
        "interrupted",
        "interrupted",
    ]
    assert agent.messages[-2].text == "No, wait."
    assert session.messages == agent.messages


async def test_nothing_runs_before_a_run_and_the_conversation_is_valid_meanwhile() -> None:
    ran: Ran = []
    session = left("new kept", CallBegun("kept"), ended("kept"))
    agent = Agent(ScriptedModel(), tools=tools(ran), session=session)
    for messages in (session.messages, agent.messages):
        check_transcript(messages)
        assert messages[-1].text == "done then"
    assert ran == []
    opened = session.open_calls
    assert opened is not None
    assert [opened.fate(one, idempotent=False) for one in opened.calls] == ["run", "kept"]


@pytest.mark.parametrize("stop_reason", ["aborted", "error"])
async def test_a_reply_that_was_cut_off_never_runs_its_calls(stop_reason: Any) -> None:
    ran: Ran = []
    agent = Agent(
        ScriptedModel("Fine."), tools=tools(ran), session=left("a b", stop_reason=stop_reason)
    )
    await events_of(agent, None)
    assert ran == []
    assert [outcome for _, outcome, _ in outcomes(agent)] == ["skipped", "skipped"]


async def test_a_call_that_an_output_limit_has_cut_does_not_run() -> None:
    ran: Ran = []
    agent = Agent(
        ScriptedModel("Fine."), tools=tools(ran), session=left("a b", stop_reason="length")
    )
    await events_of(agent, None)
    assert ran == [("once", "a")]
    assert outcomes(agent)[1][1] == "error"
    assert "output limit" in results(agent)[1].text


async def test_hooks_approvals_and_limits_apply_as_ever() -> None:
    ran: Ran = []
    asked: list[str] = []

    async def approve(invocation: Invocation) -> Deny | bool:
        asked.append(invocation.context.call_id)
        return Deny("no") if invocation.context.call_id == "b" else True

    session = left("a b c d", CallBegun("c"))
    agent = Agent(ScriptedModel(), tools=tools(ran), session=session, approve=approve)
    async with agent.run(limits=Limits(tool_calls=3)) as run:
        events = [event async for event in run]
        result = await run.result()
    check_events(events)
    check_transcript(agent.messages)
    assert (result.stop_reason, result.limit) == ("limit", "tool_calls")
    assert sorted(asked) == ["a", "b"]
    assert [outcome for _, outcome, _ in outcomes(agent)] == [
        "ok",
        "denied",
        "interrupted",
        "skipped",
    ]
    assert ran == [("once", "a")]


async def test_results_that_end_the_run_do_so_also_where_some_are_of_an_earlier_one() -> None:
    @tool
    async def once() -> ToolResult:
        """Do it."""
        return ToolResult("enough", terminate=True)

    session = left("a b", CallBegun("a"), ended("a", terminate=True))
    agent = Agent(ScriptedModel(), tools=[once], session=session)
    assert (await agent.prompt()).stop_reason == "terminated"


async def test_a_result_of_a_type_is_taken_from_an_open_call() -> None:
    session = Session(MemoryStore())
    session.record(UserMessage("How many?"))
    give = ToolCall("c", "final_result", {"result": 4})
    session.record(AssistantMessage([give], stop_reason="tool_calls"))
    assert (await Agent(ScriptedModel(), session=session).prompt(output=int)).output == 4


async def test_a_log_that_notes_no_calls_is_answered_as_interrupted() -> None:
    """What an older version wrote does not say whether a call has begun."""
    ran: Ran = []
    store = MemoryStore()
    store.kept = [
        entry.__class__(entry.id, entry.parent, entry.kind, entry.data, entry.time)
        for entry in left("a").entries.values()
    ]
    session = Session(store)
    assert session.open_calls is None
    agent = Agent(ScriptedModel("Fine."), tools=tools(ran), session=session)
    await events_of(agent, None)
    assert ran == []
    assert outcomes(agent) == [("a", "interrupted", "This call")]


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("begun", {}),
        ("begun", {"call_id": 1}),
        ("asked", {"call_id": "a"}),
        ("asked", {"call_id": "a", "name": "once", "arguments": None}),
        ("result", {"of": "a program of its own"}),
        ("result", {"message": "fine"}),
        ("result", {"message": {"role": "user", "call_id": "a"}}),
    ],
)
async def test_entries_of_the_same_kinds_that_are_no_notes_are_passed_over(
    kind: str, data: dict[str, Any]
) -> None:
    ran: Ran = []
    session = left("a")
    session.append(kind, data)
    opened = session.open_calls
    assert opened is not None
    assert not opened.asked
    check_transcript(session.messages)
    agent = Agent(ScriptedModel("Fine."), tools=tools(ran), session=session)
    await events_of(agent, None)
    assert ran == [("once", "a")]


@pytest.mark.parametrize("ids", [("a", "a"), ("", "a"), ("",)])
async def test_calls_that_their_ids_do_not_tell_apart_are_not_run(ids: tuple[str, ...]) -> None:
    ran: Ran = []
    session = Session(MemoryStore())
    session.record(UserMessage("go", id="prompt"))
    made = [ToolCall(call_id, "once", {}) for call_id in ids]
    session.record(AssistantMessage(made, stop_reason="tool_calls", id="reply"))
    agent = Agent(ScriptedModel("Fine."), tools=tools(ran), session=session)
    await agent.prompt()
    assert ran == []
    assert [outcome for _, outcome, _ in outcomes(agent)] == ["interrupted"] * len(ids)


async def test_a_result_that_cannot_be_read_is_one_of_a_call_that_began() -> None:
    ran: Ran = []
    session = left("a")
    session.append("result", {"message": {"role": "tool", "call_id": "a", "outcome": "odd"}})
    agent = Agent(ScriptedModel("Fine."), tools=tools(ran), session=session)
    await events_of(agent, None)
    assert ran == []
    assert outcomes(agent) == [("a", "interrupted", "This call")]


async def test_what_was_said_behind_open_calls_closes_them() -> None:
    session = left("a")
    session.record(UserMessage("And now?"))
    assert session.open_calls is None
    check_transcript(session.messages)


async def test_a_fork_has_the_notes_of_its_branch() -> None:
    ran: Ran = []
    session = left("a b", CallBegun("a"))
    begun = session.head
    session.note_call(ended("a"))
    session.fork(begun)
    agent = Agent(ScriptedModel("Fine."), tools=tools(ran), session=session)
    await agent.prompt()
    assert ran == [("once", "b")]
    assert [outcome for _, outcome, _ in outcomes(agent)] == ["interrupted", "ok"]


async def test_notes_are_written_as_calls_go_on_and_none_are_needed_afterwards() -> None:
    ran: Ran = []
    session = Session(MemoryStore())
    model = ScriptedModel([call("once"), call("again")], "Fine.")
    agent = Agent(model, tools=tools(ran), session=session)
    await agent.prompt("go")
    noted = [(e.kind, e.data.get("role")) for e in session.branch][2:]
    assert noted.count(("begun", None)) == noted.count(("result", None)) == 2
    assert noted.index(("result", None)) < noted.index(("message", "tool"))
    assert session.open_calls is None


async def test_a_result_is_kept_while_another_call_still_runs() -> None:
    store = BatchingStore()
    seen: list[list[str]] = []

    async def slow(context: ToolContext[None]) -> str:
        """Wait for the other."""
        while "result" not in [entry.kind for entry in store.kept]:
            await anyio.lowlevel.checkpoint()
        seen.append([entry.kind for entry in store.kept])
        return "slow"

    async def quick() -> str:
        """Be quick."""
        return "quick"

    model = ScriptedModel([call("slow"), call("quick")], "Fine.")
    agent = Agent(model, tools=[slow, quick], session=Session(store))
    with anyio.fail_after(GUARD):
        await agent.prompt("go")
    assert seen[0].count("begun") == 2


@pytest.mark.parametrize("batching", [False, True])
async def test_a_call_is_kept_as_begun_before_its_tool_and_ended_before_that_is_told(
    batching: bool,
) -> None:
    store = BatchingStore() if batching else MemoryStore()

    def ids(kind: str) -> list[Any]:
        notes = [entry.data for entry in store.kept if entry.kind == kind]
        return [
            note["message"]["call_id"] if kind == "result" else note["call_id"] for note in notes
        ]

    @tool
    async def once(context: ToolContext[None]) -> str:
        """Do it."""
        assert context.call_id in ids("begun")
        assert "tool_calls" in [entry.data.get("stop_reason") for entry in store.kept]
        return "done"

    async def approve(invocation: Invocation) -> bool:
        assert invocation.context.call_id in ids("asked")
        assert invocation.context.call_id not in ids("begun")
        return True

    def listen(event: Event) -> None:
        if isinstance(event, ToolExecutionEnd):
            assert event.call_id in ids("result")

    model = ScriptedModel([call("once"), call("once"), call("missing")], "Fine.")
    agent = Agent(model, tools=[once], session=Session(store), approve=approve)
    agent.subscribe(listen)
    await agent.prompt("go")
    assert [outcome for _, outcome, _ in outcomes(agent)] == ["ok", "ok", "error"]
    assert len(ids("begun")) == len(ids("asked")) == 2
    assert len(ids("result")) == 3


async def test_a_tool_does_not_start_where_its_beginning_cannot_be_kept() -> None:
    ran: Ran = []
    store = BatchingStore(fails_with=("begun",))
    agent = Agent(ScriptedModel(call("once")), tools=tools(ran), session=Session(store))
    with pytest.raises(OSError, match="No space left"):
        await agent.prompt("go")
    assert ran == []
    check_transcript(agent.messages)


async def test_a_run_that_is_aborted_leaves_nothing_open() -> None:
    ran: Ran = []

    async def stop() -> None:
        """Stop."""
        agent.abort()
        await anyio.sleep_forever()

    session = Session(MemoryStore())
    model = ScriptedModel([call("stop"), call("once")], "Fine.")
    agent = Agent(model, tools=[stop, *tools(ran)], session=session, sequential=True)
    with anyio.fail_after(GUARD):
        assert (await agent.prompt("go")).stop_reason == "aborted"
    assert session.open_calls is None
    reopened = Agent(ScriptedModel("Fine."), tools=tools(ran), session=session)
    assert reopened.messages == agent.messages
    await events_of(reopened, None)
    assert ran == []
    assert [outcome for _, outcome, _ in outcomes(reopened)] == ["interrupted", "skipped"]


async def test_the_calls_of_an_agent_within_the_agent_are_not_run_again() -> None:
    """The call that it works for began; what it has said is kept beside."""
    ran: Ran = []
    session = Session(MemoryStore())
    session.record(UserMessage("go"))
    asks = ToolCall("h", "ask", {"request": "x"})
    session.record(AssistantMessage([asks], stop_reason="tool_calls"))
    session.note_call(CallBegun("h"))
    child = session.child("agent", "h")
    child.record(UserMessage("x"))
    child.record(AssistantMessage([ToolCall("c", "once", {})], stop_reason="tool_calls"))
    helper = Agent(ScriptedModel(), tools=tools(ran))
    agent = Agent(ScriptedModel("Fine."), tools=[helper.as_tool("ask", "Ask.")], session=session)
    await events_of(agent, None)
    assert ran == []
    assert [outcome for _, outcome, _ in outcomes(agent)] == ["interrupted"]
    assert child.open_calls is not None


async def test_open_calls_are_given_with_messages_too() -> None:
    ran: Ran = []
    session = left("a b", CallBegun("a"))
    agent = Agent(ScriptedModel("Fine."), tools=tools(ran))
    agent.reset(session.messages, open_calls=session.open_calls)
    await events_of(agent, None)
    assert ran == [("once", "b")]
    with pytest.raises(UsageError, match="open calls"):
        agent.reset(agent.messages, open_calls=OpenCalls(reply=AssistantMessage(""), calls=()))


async def test_messages_that_follow_leave_nothing_to_go_on_with() -> None:
    ran: Ran = []
    more = [UserMessage("And now?")]
    agent = Agent(ScriptedModel("Fine."), tools=tools(ran), session=left("a"), messages=more)
    await events_of(agent, None)
    assert ran == []


async def test_the_first_turn_begins_with_the_calls() -> None:
    agent = Agent(ScriptedModel("Fine."), tools=tools([]), session=left("a"))
    events = await events_of(agent, None)
    assert [type(event) for event in events[1:3]] == [TurnStart, ToolExecutionStart]
    turns = [event.turn for event in events if isinstance(event, TurnStart)]
    assert turns == [1]


async def test_a_question_is_put_again() -> None:
    ran: Ran = []

    async def never(_: Invocation) -> bool:
        await anyio.sleep_forever()
        raise AssertionError

    store = MemoryStore()
    agent = Agent(
        ScriptedModel(call("once")), tools=tools(ran), session=Session(store), approve=never
    )
    kept: Iterable[Any] = ()
    with anyio.fail_after(GUARD):
        async with agent.run("go") as run:
            async for event in run:
                if isinstance(event, ApprovalRequested):
                    kept = [*store.kept]  # as a process leaves it that is killed now
                    break
    session = Session(MemoryStore(kept))
    opened = session.open_calls
    assert opened is not None
    assert [question.name for question in opened.asked.values()] == ["once"]
    again = Agent(ScriptedModel("Fine."), tools=tools(ran), session=session, approve=lambda _: True)
    events = await events_of(again, None)
    assert any(isinstance(event, ApprovalRequested) for event in events)
    assert [name for name, _ in ran] == ["once"]


def _program(
    batching: bool,
) -> tuple[Callable[[], Any], Callable[[Any], Any], Callable[[Any], Any]]:
    def setup() -> tuple[Agent, Ran, SessionStore]:
        ran: Ran = []
        store = BatchingStore() if batching else MemoryStore()
        notes = (CallBegun("cut"), CallBegun("twice"), ended("kept"))
        session = left("new kept cut twice! more", *notes, store=store)
        session.catch_up()
        return Agent(ScriptedModel("Fine."), tools=tools(ran), session=session), ran, store

    async def program(state: tuple[Agent, Ran, SessionStore]) -> None:
        await state[0].prompt()

    async def check(state: tuple[Agent, Ran, SessionStore]) -> None:
        agent, ran, store = state
        check_transcript(agent.messages)
        assert agent.session is not None
        agent.session.catch_up()
        reopened = Session(store)
        check_transcript(reopened.messages)
        again = Agent(ScriptedModel("Fine."), tools=tools(ran), session=reopened)
        await events_of(again, None if again.messages[-1].text != "Fine." else "more")
        once = [call_id for name, call_id in ran if name == "once"]
        assert len(once) == len(set(once))
        assert "cut" not in once
        assert outcomes(again)[1:3] == [
            ("kept", "ok", "done then"),
            ("cut", "interrupted", "This call"),
        ]

    return setup, program, check


@pytest.mark.parametrize("batching", [False, True])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancelled_at_any_step_it_begins_no_call_twice(backend: Backend, batching: bool) -> None:
    setup, program, check = _program(batching)
    report = cancel_at_every_step(program, setup=setup, check=check, backend=backend)
    assert report.points > 5
