"""What ships as advice: that it does what it says, on both backends, and is as small as it should be."""

import ast
import io
import json
import re
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.waiting import until_blocked

import tether.advice
from tether import (
    Agent,
    AssistantMessage,
    Deny,
    Event,
    Invocation,
    MessageUpdate,
    ModelError,
    TextDelta,
    ToolResultMessage,
    UserMessage,
    tool,
)
from tether.advice import (
    approval_by_person,
    audit,
    compact,
    rate_limit,
    redaction,
    response_cache,
    time_limit,
)
from tether.testing import (
    Pause,
    ScriptedModel,
    call,
    cancel_at_every_step,
    check_events,
    check_transcript,
    virtual_clock,
)

FOLDER = Path(tether.advice.__file__).parent
LARGER = {"compaction", "rules", "shell_commands"}
SMALL = [path for path in sorted(FOLDER.glob("[a-z]*.py")) if path.stem not in LARGER]
GUARD = 60


@tool
async def add(a: int, b: int) -> int:
    """Add."""
    return a + b


@tool
async def hang() -> None:
    """Hang."""
    await anyio.sleep_forever()


async def events_of(agent: Agent, prompt: str = "go") -> list[Event]:
    events: list[Event] = []
    with anyio.fail_after(GUARD):
        async with agent.run(prompt) as run:
            async for event in run:
                events.append(event)
    check_events(events)
    check_transcript(agent.messages)
    return events


def results(agent: Agent) -> list[tuple[str, str]]:
    return [(m.outcome, m.text) for m in agent.messages if isinstance(m, ToolResultMessage)]


# What they are made of.


@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.stem)
def test_each_is_made_of_the_public_face_in_fewer_than_forty_lines(path: Path) -> None:
    tree = ast.parse(path.read_text())
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom | ast.Import)]
    ours = [
        node.module or ""
        for node in imported
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tether")
    ]
    assert ours
    assert not [module for module in ours if "._" in module]
    passed_over: set[int] = set()
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_text or node in imported:
            assert isinstance(node, ast.stmt)
            passed_over |= set(range(node.lineno, (node.end_lineno or 0) + 1))
    lines = enumerate(path.read_text().splitlines(), 1)
    code = [line for number, line in lines if line.strip() and number not in passed_over]
    assert 5 < len(code) < 40


def test_there_is_one_for_each_thing_people_need() -> None:
    assert [path.stem for path in SMALL] == [
        "approval",
        "audit",
        "rate_limit",
        "redaction",
        "response_cache",
        "time_limit",
    ]


# Approvals.


async def test_a_call_runs_once_it_is_approved() -> None:
    asked: list[str] = []

    def approve(invocation: Invocation) -> Any:
        asked.append(f"{invocation.call.arguments['a']}")
        return {"1": "once", "2": Deny("not the two"), "3": False, "4": "always"}[asked[-1]]

    calls = [call("add", a=number, b=1) for number in (1, 2, 3, 4, 5)]
    agent = Agent(ScriptedModel(calls, "ok"), tools=[add], approve=approve, sequential=True)
    await events_of(agent)
    assert results(agent) == [
        ("ok", "2"),
        ("denied", "This call was denied: not the two"),
        ("denied", "This call was denied: the user does not want it"),
        ("ok", "5"),
        ("ok", "6"),
    ]
    assert asked == ["1", "2", "3", "4"]


async def test_calls_are_asked_about_at_once_and_answered_in_any_order_and_hold_nobody_up() -> None:
    answers = {"a": anyio.Event(), "b": anyio.Event()}
    waiting: list[str] = []

    async def approve(invocation: Invocation) -> bool:
        name = str(invocation.call.id)
        if name in answers:
            waiting.append(name)
            await answers[name].wait()
        return True

    limited = tool(name="add", max_concurrency=1, timeout=1)(add.function)
    script = [call("add", id=name, a=1, b=1) for name in ("a", "b", "c")]
    agent = Agent(ScriptedModel(script, "ok"), tools=[limited], approve=approve)
    done: list[str] = []
    with anyio.fail_after(GUARD):
        async with agent.run("go") as run, anyio.create_task_group() as tasks:

            async def person() -> None:
                while (sorted(waiting), done) != (["a", "b"], ["c"]):
                    await anyio.sleep(0.01)
                await anyio.sleep(1.1)  # longer than the tool may take
                assert done == ["c"]
                answers["b"].set()
                await until_blocked()
                answers["a"].set()

            tasks.start_soon(person)
            async for event in run:
                if isinstance(event, tether.ToolExecutionEnd):
                    done.append(event.call_id)
    assert done == ["c", "b", "a"]
    assert {outcome for outcome, _ in results(agent)} == {"ok"}


@pytest.mark.parametrize("how", ["cancel", "abort", "steer", "cancel_tool"])
async def test_a_person_who_never_answers_can_be_left(how: str) -> None:
    asked = anyio.Event()

    async def approve(_: Invocation) -> bool:
        asked.set()
        await anyio.sleep_forever()
        return True

    agent = Agent(ScriptedModel(call("add", a=1, b=2), "ok"), tools=[add], approve=approve)
    with anyio.fail_after(GUARD), anyio.CancelScope() as scope:
        async with agent.run("go") as run:
            await asked.wait()
            match how:
                case "cancel":
                    scope.cancel()
                case "abort":
                    run.abort()
                case "steer":
                    agent.steer("Never mind.", interrupt=True)
                case _:
                    run.cancel_tool(run.running_tools[0])
            await run.result()
    check_transcript(agent.messages)
    assert [outcome for outcome, _ in results(agent)] == ["skipped"]


async def test_an_answer_that_is_none_is_told() -> None:
    agent = Agent(ScriptedModel(call("add", a=1, b=2)), tools=[add], approve=lambda _: "maybe")  # type: ignore[arg-type, return-value]  # the mistake
    with pytest.raises(TypeError, match="approve must answer 'once'"):
        await agent.prompt("go")
    check_transcript(agent.messages)


async def test_a_person_is_asked_one_question_at_a_time() -> None:
    questions: list[str] = []
    said = {"1": "y", "2": "", "3": "too large", "4": "a"}

    def ask(question: str) -> str:
        questions.append(question)
        return said[question.split("'a': ")[1][0]]

    calls = [call("add", a=number, b=1) for number in (1, 2, 3, 4, 5)]
    agent = Agent(ScriptedModel(calls, "ok"), tools=[add], sequential=True)
    agent.around_tool(approval_by_person(ask=ask))
    await events_of(agent)
    assert [outcome for outcome, _ in results(agent)] == ["ok", "denied", "denied", "ok", "ok"]
    assert results(agent)[2][1] == "This call was denied: too large"
    assert len(questions) == 4


async def test_an_always_also_answers_the_calls_that_wait_for_their_question() -> None:
    questions: list[str] = []

    async def ask(question: str) -> str:
        questions.append(question)
        await until_blocked()
        return "always"

    calls = [call("add", a=number, b=1) for number in (1, 2, 3)]
    agent = Agent(ScriptedModel(calls, "ok"), tools=[add])
    agent.around_tool(approval_by_person(ask=ask))
    await events_of(agent)
    assert results(agent) == [("ok", "2"), ("ok", "3"), ("ok", "4")]
    assert len(questions) == 1


# The others.


async def test_the_same_question_is_asked_once() -> None:
    replies: dict[str, AssistantMessage] = {}
    model = ScriptedModel([call("add", a=1, b=2), "Let me see."], "Three.", "Other.")
    for _ in range(2):
        agent = Agent(model, tools=[add])
        agent.around_model(response_cache(replies))
        await events_of(agent)
        assert agent.messages[-1].text == "Three."
    assert len(model.requests) == 2
    agent.system = "Be brief."
    assert (await agent.prompt("go")).text == "Other."


async def test_a_reply_that_was_cut_off_is_not_kept() -> None:
    replies: dict[str, AssistantMessage] = {}
    agent = Agent(ScriptedModel(["Hel", Pause()]))
    agent.around_model(response_cache(replies))
    async with agent.run("go") as run:
        async for event in run:
            if isinstance(event, MessageUpdate):
                break
    assert replies == {}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_requests_wait_for_their_turn(backend: Any) -> None:
    starts: list[float] = []

    async def main() -> None:
        agent = Agent(ScriptedModel(*["ok"] * 5))
        agent.around_model(rate_limit(2, per=60))
        for _ in range(5):
            await agent.prompt("go")
            starts.append(anyio.current_time())

    name, options = virtual_clock(backend)
    anyio.run(main, backend=name, backend_options=options)
    assert starts == [0, 0, 60, 60, 120]


async def test_secrets_are_left_out_of_what_goes_to_the_model_and_comes_from_tools() -> None:
    @tool
    async def read() -> str:
        """Read."""
        return "key: sk-12345 and hunter2"

    model = ScriptedModel(call("read"), "ok")
    agent = Agent(model, tools=[read])
    before_model, after_tool = redaction(["hunter2", re.compile(r"sk-\d+")])
    agent.hooks.add("before_model", before_model)
    agent.hooks.add("after_tool", after_tool)
    await events_of(agent, "My password is hunter2.")
    assert results(agent) == [("ok", "key: [redacted] and [redacted]")]
    [asked, *_] = model.requests[0].messages
    assert isinstance(asked, UserMessage)
    assert asked.text == "My password is [redacted]."
    assert agent.messages[0].text == "My password is hunter2.", "the transcript is the person's own"


async def test_what_was_said_and_done_is_written_line_by_line() -> None:
    told = io.BytesIO()
    agent = Agent(ScriptedModel(call("add", a=1, b=2), "Three."), tools=[add])
    agent.hooks.add("on_event", audit(told.write))
    await events_of(agent)
    assert [json.loads(line)["type"] for line in told.getvalue().splitlines()] == [
        "message_end",
        "message_end",
        "tool_execution_start",
        "tool_execution_end",
        "message_end",
        "message_end",
        "agent_end",
    ]

    async def fail(_: bytes) -> None:
        raise OSError("disk full")

    agent.model = ScriptedModel("Never said.")
    agent.hooks.add("on_event", audit(fail))
    with pytest.raises(OSError, match="disk full"):
        await agent.prompt("go")


async def test_everything_has_its_time() -> None:
    model, calls = time_limit(0.05)
    agent = Agent(ScriptedModel(call("hang"), [TextDelta("Hel"), Pause()]), tools=[hang])
    agent.around_model(model)
    agent.around_tool(calls)
    with anyio.fail_after(GUARD), pytest.raises(ModelError, match=r"longer than 0\.05 s") as caught:
        await agent.prompt("go")
    assert caught.value.kind == "timeout"
    assert results(agent) == [("timeout", "It took longer than 0.05 s.")]
    assert agent.messages[-1].text == "Hel"
    check_transcript(agent.messages)


def _everything(agent: Agent) -> None:
    model, calls = time_limit(60)
    before_model, after_tool = redaction(["secret"])
    agent.around_model(model)
    agent.around_model(rate_limit(100, per=1))
    agent.around_model(response_cache({}))
    agent.around_tool(calls)
    agent.hooks.add("before_model", before_model)
    agent.hooks.add("after_tool", after_tool)
    agent.hooks.add("on_event", audit(lambda _: None))


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_all_together_may_be_cancelled_anywhere(backend: Any) -> None:
    def setup() -> Agent:
        async def approve(_: Invocation) -> bool:
            await anyio.lowlevel.checkpoint()
            return True

        model = ScriptedModel([call("add", a=1, b=2)], "Two.")
        agent = Agent(model, tools=[add], approve=approve)
        _everything(agent)
        return agent

    async def program(agent: Agent) -> None:
        assert (await agent.prompt("go")).text == "Two."

    report = cancel_at_every_step(
        program, setup=setup, check=lambda agent: check_transcript(agent.messages), backend=backend
    )
    assert report.points > 15


def test_each_hook_says_by_its_name_what_it_is() -> None:
    agent = Agent(ScriptedModel(), transform_context=compact())
    _everything(agent)
    agent.around_tool(approval_by_person())
    assert {hook.name for hook in agent.hooks} == {
        "approval",
        "audit",
        "compaction",
        "limit_call",
        "limit_reply",
        "rate_limit",
        "redact_request",
        "redact_result",
        "response_cache",
    }
