"""Runs of agents that talk, think, call tools, ask a person, have agents inside a call, fail and are stopped."""

from collections.abc import Iterator, Sequence
from typing import Any

import anyio
from anyio.lowlevel import checkpoint
from attrs import frozen
from hypothesis import strategies as st

import tether
from tether.approvals import approval
from tether.deltas import ToolCallStart
from tether.testing import ScriptedModel, call, check_events

PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)


@tether.tool
async def read(path: str, context: tether.ToolContext[Any]) -> str:
    """Read, in two parts."""
    await context.update("half", details={"path": path})
    return f"read {path}"


@tether.tool
async def picture() -> tether.Image:
    """Return more than text."""
    return tether.Image(PNG, "image/png")


@tether.tool
async def fail() -> str:
    """Fail."""
    raise ValueError("it went wrong")


@tether.tool
async def ask(what: str) -> str:
    """Do what a person has to allow."""
    await checkpoint()
    return f"did {what}"


@frozen
class Plan:
    """What the models of a run say, and what a person answers."""

    replies: Sequence[Any]
    child: Sequence[Any]
    grandchild: Sequence[Any]
    verdicts: Sequence[Any]
    steering: Sequence[str]
    abort_after: int | None
    """Events after which the run is stopped."""


texts = st.sampled_from(["Hello.", "Two\n\nparagraphs", "é 😀"])


def _calls(tools: Sequence[str]) -> st.SearchStrategy[tether.ToolCall]:
    arguments = {"read": {"path": "a"}, "ask": {"what": "this"}, "inner": {"request": "go"}}
    arguments["deeper"] = {"request": "go"}
    return st.sampled_from([call(name, arguments.get(name, {})) for name in tools])


def _replies(tools: Sequence[str], *, may_fail: bool) -> st.SearchStrategy[list[Any]]:
    block = texts | st.builds(tether.Thinking, texts) | _calls(tools)
    ends: list[Any] = [["Done."], ["So.", "Done."]]
    if may_fail:
        ends += [["Hal", tether.ModelError("it broke", kind="server")]]
        ends += [[ToolCallStart("c", "read"), tether.ModelError("it broke", kind="server")]]
    # A reply without a call would end the run before the script has come to its end.
    turn = st.tuples(st.lists(block, max_size=2), st.lists(_calls(tools), min_size=1, max_size=3))
    turns = st.lists(turn.map(lambda two: [*two[0], *two[1]]), min_size=1, max_size=3)
    return st.tuples(turns, st.sampled_from(ends)).map(lambda two: [*two[0], two[1]])


TOOLS = ("read", "picture", "fail", "ask", "unknown")
plans = st.builds(
    Plan,
    _replies((*TOOLS, "inner"), may_fail=True),
    _replies((*TOOLS, "deeper"), may_fail=True),
    _replies(TOOLS, may_fail=False),
    st.lists(
        st.sampled_from(["once", "always", tether.Deny("not now"), False]), min_size=1, max_size=4
    ),
    st.lists(st.sampled_from(["Faster.", "Slower."]), max_size=2),
    st.none() | st.none() | st.integers(1, 40),
)


def plan_of(*replies: Any, **others: Any) -> Plan:
    """Plan a run: what its models say, and else that a person allows each call once."""
    usual = {
        "child": [],
        "grandchild": [],
        "verdicts": ["once"],
        "steering": (),
        "abort_after": None,
    }
    return Plan(replies, **{**usual, **others})


def told(plan: Plan) -> list[tether.Event]:
    """Carry out a plan, and return the events of its run. What reads them knows nothing of event loops: one will do."""
    return anyio.run(_carried_out, plan)


async def _carried_out(plan: Plan) -> list[tether.Event]:
    agent = _agent(plan)
    events: list[tether.Event] = []
    for text in plan.steering:
        agent.follow_up(text)
    try:
        async with agent.run("Go.") as run:
            async for event in run:
                events.append(event)
                if len(events) == plan.abort_after:
                    run.abort()
    except tether.ModelError:
        pass
    check_events(events)
    return events


def _agent(plan: Plan) -> tether.Agent:
    verdicts = _again(plan.verdicts)
    tools = [read, picture, fail, ask]

    async def approve(_: tether.Invocation) -> Any:
        await checkpoint()
        return next(verdicts)

    def agent(name: str, replies: Sequence[Any], more: Sequence[tether.Tool]) -> tether.Agent:
        model = ScriptedModel(*_without_end(replies))
        made = tether.Agent(model, tools=[*tools, *more], name=name)
        made.around_tool(approval(approve, tools=["ask"]))
        return made

    deeper = agent("deeper", plan.grandchild, []).as_tool("deeper", "Go deeper.")
    inner = agent("inner", plan.child, [deeper]).as_tool("inner", "Go in.")
    return agent("outer", plan.replies, [inner])


def _again(verdicts: Sequence[Any]) -> Iterator[Any]:
    while True:
        yield from verdicts


def _without_end(replies: Sequence[Any]) -> list[Any]:
    """The script, and the same answer to whatever is asked after it."""
    return [*replies, *(["Done."] for _ in range(20))]
