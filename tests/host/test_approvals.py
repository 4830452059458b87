"""Approvals that wait in the host, and are answered by anybody."""

from typing import Any

import anyio
import pytest
from tests.host.hosting import check_log, danger, everything, hosting

import tether
from tether import (
    Agent,
    AgentEnd,
    ApprovalAnswered,
    ApprovalRequested,
    Deny,
    Event,
    ToolExecutionUpdate,
    UsageError,
    Verdict,
)
from tether.host import Conversation, NotFoundError
from tether.testing import ScriptedModel, call


def _verdicts(events: object) -> list[tuple[str, str]]:
    assert isinstance(events, list | tuple)
    return [(e.verdict, e.reason) for e in events if isinstance(e, ApprovalAnswered)]


@pytest.mark.parametrize(
    ("verdict", "outcome", "told"),
    [
        ("once", "ok", ("once", "")),
        (True, "ok", ("once", "")),
        ("always", "ok", ("always", "")),
        (Deny("not today"), "denied", ("denied", "not today")),
        (False, "denied", ("denied", "the user does not want it")),
    ],
)
async def test_a_call_waits_until_somebody_answers(
    verdict: Verdict, outcome: str, told: tuple[str, str]
) -> None:
    async with hosting(call("danger", what="it"), "Fine.") as host:
        talk = await host.conversation()
        talk.say("go")
        async for _, event in talk.follow():
            if isinstance(event, ApprovalRequested):
                assert talk.waiting == (event,)
                assert talk.state == "waiting"
                assert talk.snapshot().waiting == (event,)
                talk.answer(event.call_id, verdict)
                assert not talk.waiting
                break
        await talk.wait_idle()
        events = await everything(talk)
        check_log(events)
        assert _verdicts(events) == [told]
        assert [m.outcome for m in talk.agent.messages if m.role == "tool"] == [outcome]


async def test_of_two_answers_the_second_is_an_error() -> None:
    async with hosting(call("danger", what="it"), "Fine.") as host:
        talk = await host.conversation()
        with pytest.raises(NotFoundError, match="waiting: none"):
            talk.answer("call_1", "once")
        talk.say("go")
        async for _, event in talk.follow():
            if isinstance(event, ApprovalRequested):
                break
        with pytest.raises(NotFoundError, match="waiting: call_1"):
            talk.answer("call_2", "once")
        talk.answer("call_1", "once")
        with pytest.raises(NotFoundError, match="no call 'call_1' waits"):
            talk.answer("call_1", False)
        await talk.wait_idle()
        with pytest.raises(NotFoundError):
            talk.answer("call_1", "once")


@pytest.mark.parametrize("answer", ["yes", None, 1, "", Deny])
async def test_what_is_no_answer_is_refused_and_the_question_stays(answer: Any) -> None:
    async with hosting(call("danger", what="it"), "Fine.") as host:
        talk = await host.conversation()
        talk.say("go")
        async for _, event in talk.follow():
            if isinstance(event, ApprovalRequested):
                break
        with pytest.raises(UsageError, match="an answer is"):
            talk.answer("call_1", answer)
        assert [asked.call_id for asked in talk.waiting] == ["call_1"]
        talk.abort()
        await talk.wait_idle()


@pytest.mark.parametrize("how", ["abort", "interrupt", "cancel_tool", "steer"])
async def test_a_call_that_ends_withdraws_its_question(how: str) -> None:
    async with hosting(call("danger", what="it"), "Fine.", "Fine.") as host:
        talk = await host.conversation()
        talk.say("go")
        async for _, event in talk.follow():
            if isinstance(event, ApprovalRequested):
                break
        match how:
            case "abort":
                talk.abort()
            case "interrupt":
                talk.interrupt()
            case "cancel_tool":
                talk.cancel_tool("call_1")
            case _:
                talk.say("no, this instead", when="interrupt")
        await talk.wait_idle()
        assert talk.waiting == ()
        events = await everything(talk)
        check_log(events)
        assert _verdicts(events) == [("withdrawn", "")]
        with pytest.raises(NotFoundError):
            talk.answer("call_1", "once")


async def test_several_calls_wait_at_once_and_are_answered_in_any_order() -> None:
    calls = [call("danger", what=what) for what in ("a", "b", "c")]
    async with hosting(calls, "Fine.") as host:
        talk = await host.conversation()
        talk.say("go")
        async for _, _event in talk.follow():
            if len(talk.waiting) == 3:
                break
        for asked in reversed(talk.waiting):
            talk.answer(asked.call_id, asked.arguments["what"] != "b")
        await talk.wait_idle()
        outcomes = [m.outcome for m in talk.agent.messages if m.role == "tool"]
        assert outcomes == ["ok", "denied", "ok"]
        check_log(await everything(talk))


async def test_the_calls_of_an_agent_within_the_agent_wait_too() -> None:
    """Also where both have given their calls the same id."""

    def make(talk: Conversation) -> Agent:
        child = Agent(
            ScriptedModel(call("danger", what="deep"), "Done."),
            tools=[danger],
            approve=talk.approve,
        )
        calls = [call("ask", request="do it"), call("danger", what="here")]
        return Agent(
            ScriptedModel(calls, "Fine."),
            tools=[child.as_tool("ask", "Ask."), danger],
            approve=talk.approve,
        )

    with anyio.fail_after(30):
        async with tether.host.open(make) as host:
            talk = await host.conversation()
            talk.say("go")
            asked: list[Event] = []
            async for _, event in talk.follow():
                inner = event.event if isinstance(event, ToolExecutionUpdate) else event
                if isinstance(inner, ApprovalRequested):
                    asked.append(inner)
                    talk.answer(inner.call_id, "once")
                if isinstance(event, AgentEnd):
                    break
            assert len(asked) == 3
            assert [m.text for m in check_log(await everything(talk))][-1] == "Fine."
