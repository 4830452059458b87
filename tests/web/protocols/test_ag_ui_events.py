"""What a client of AG-UI reads of approvals, agents inside calls, progress, steering and the ends of runs."""

from typing import Any

from tests.web.protocols.ag_ui_rules import EVENTS
from tests.web.protocols.test_every_run import ag_ui_runs
from tests.web.protocols.told import Plan, plan_of, told

import tether
from tether.testing import call
from tether.web.protocols.ag_ui_events import AgUiRun
from tether.web.protocols.ag_ui_messages import messages_as_ag_ui


def kinds(run: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in run]


def only(run: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (event,) = (event for event in run if event["type"] == kind)
    return event


def test_a_reply_is_told_from_its_first_piece_to_its_end() -> None:
    plan = plan_of([tether.Thinking("Hm."), "Hi."])
    (run,) = ag_ui_runs(told(plan))
    assert kinds(run) == [
        "RUN_STARTED",
        "STEP_STARTED",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "REASONING_START",
        "REASONING_MESSAGE_START",
        "REASONING_MESSAGE_CONTENT",
        "REASONING_MESSAGE_END",
        "REASONING_END",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "STEP_FINISHED",
        "RUN_FINISHED",
    ]
    assert run[0]["protocolVersion"] == "1.0"
    assert run[-1]["outcome"] == {"type": "success"}


def test_tokens_are_counted_for_each_model() -> None:
    reply = tether.AssistantMessage(
        "Hi.", model="m", usage=tether.Usage(input_tokens=3, output_tokens=4, reasoning_tokens=1)
    )
    (run,) = ag_ui_runs(told(plan_of(reply)))
    (usage,) = run[-1]["usage"]
    assert (usage["model"], usage["inputTokens"], usage["outputTokens"]) == ("m", 3, 4)
    assert (usage["totalTokens"], usage["reasoningTokens"]) == (7, 1)


def test_what_the_client_has_said_is_not_told_again() -> None:
    events = told(plan_of(["Hi."]))
    said = next(e.message.id for e in events if isinstance(e, tether.MessageStart))
    fold = AgUiRun("t", "r", known=[said])
    run = [*fold.begin(), *(one for event in events for one in fold.take(event))]
    assert kinds(run).count("TEXT_MESSAGE_START") == 1


def test_an_approval_ends_a_run_with_an_interrupt() -> None:
    first, second = ag_ui_runs(told(plan_of([call("ask", what="it")], ["Done."])))
    call_id = only(first, "TOOL_CALL_START")["toolCallId"]
    (interrupt,) = first[-1]["outcome"]["interrupts"]
    assert interrupt["id"] == interrupt["toolCallId"] == call_id
    assert interrupt["metadata"] == {"toolName": "ask", "arguments": {"what": "it"}}
    assert interrupt["responseSchema"]["required"] == ["approved"]
    assert first[-2]["type"] == "STEP_FINISHED"
    assert kinds(second)[:3] == ["RUN_STARTED", "TOOL_CALL_RESULT", "STEP_STARTED"]
    assert second[1]["content"] == "did it"
    assert second[-1]["outcome"] == {"type": "success"}


def test_an_agent_inside_a_call_is_suspended_and_goes_on_in_the_next_run() -> None:
    plan = plan_of(
        [call("inner", request="go")], ["Done."], child=[["Hm.", call("ask", what="it")]]
    )
    first, second = ag_ui_runs(told(plan))
    started = only(first, "SUBAGENT_STARTED")
    assert started["name"] == "inner"
    assert (
        started["parentToolCallId"]
        == only([e for e in first if "subagentRunId" not in e], "TOOL_CALL_START")["toolCallId"]
    )
    (interrupt,) = first[-1]["outcome"]["interrupts"]
    assert interrupt["subagentRunId"] == started["subagentRunId"]
    finished = only(first, "SUBAGENT_FINISHED")
    assert finished["outcome"] == {"type": "suspended", "interruptIds": [interrupt["id"]]}
    assert only(second, "SUBAGENT_STARTED") == started
    assert only(second, "SUBAGENT_FINISHED") == {
        "type": "SUBAGENT_FINISHED",
        "subagentRunId": started["subagentRunId"],
    }


def test_progress_of_a_call_is_an_activity() -> None:
    (run,) = ag_ui_runs(told(plan_of([call("read", path="a")], ["Done."])))
    activity = only(run, "ACTIVITY_SNAPSHOT")
    assert activity["activityType"] == "tool_progress"
    assert activity["content"]["text"] == "half"
    assert activity["content"]["details"] == {"path": "a"}


def test_a_picture_that_a_tool_returns_is_a_part() -> None:
    (run,) = ag_ui_runs(told(plan_of([call("picture")], ["Done."])))
    (part,) = only(run, "TOOL_CALL_RESULT")["content"]
    assert part["type"] == "image"
    assert part["source"]["mimeType"] == "image/png"


def test_a_run_that_is_stopped_is_cancelled() -> None:
    (run,) = ag_ui_runs(told(plan_of(["One two three."], abort_after=6)))
    assert run[-1]["outcome"] == {"type": "cancelled"}


def test_a_failure_of_the_model_is_the_error_of_the_run() -> None:
    plan = plan_of(["Hal", tether.ModelError("it broke", kind="server")])
    (run,) = ag_ui_runs(told(plan))
    assert run[-1]["type"] == "RUN_ERROR"
    assert run[-1]["message"] == "it broke"
    assert run[-1]["code"] == "server"


def test_a_run_that_is_not_told_to_its_end_says_so() -> None:
    fold = AgUiRun("t", "r")
    run = [*fold.begin(), *fold.break_off("the conversation was deleted")]
    for event in run:
        EVENTS.validate_python(event)
    assert run[-1]["message"] == "the conversation was deleted"


def test_a_snapshot_has_the_ids_that_the_events_have_given() -> None:
    plan: Plan = plan_of(["Let me.", call("read", path="a")], ["Done."])
    events = told(plan)
    (run,) = ag_ui_runs(events)
    messages = messages_as_ag_ui([e.message for e in events if isinstance(e, tether.MessageEnd)])
    EVENTS.validate_python({"type": "MESSAGES_SNAPSHOT", "messages": messages})
    shown = {e["messageId"] for e in run if e["type"] in {"TEXT_MESSAGE_START", "TOOL_CALL_RESULT"}}
    assert {m["id"] for m in messages} - shown == {only(run, "TOOL_CALL_START")["parentMessageId"]}
    (calls,) = (m["toolCalls"] for m in messages if "toolCalls" in m)
    assert calls[0]["id"] == only(run, "TOOL_CALL_START")["toolCallId"]
