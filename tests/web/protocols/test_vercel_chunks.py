"""What a page of the AI SDK reads of approvals, agents inside calls, steering and failures."""

import pytest
from tests.web.protocols.test_every_run import ui_streams
from tests.web.protocols.told import plan_of, told

import tether
from tether.testing import call
from tether.web.protocols.vercel_chunks import Version


def test_an_approval_splits_a_run_into_two_streams() -> None:
    events = told(plan_of(["Let me.", call("ask", what="it")], ["Done."]))
    first, second = ui_streams(events, 7)
    id_ = next(chunk["toolCallId"] for chunk in first if chunk["type"] == "tool-input-start")
    assert first[-4:] == [
        {
            "type": "tool-input-available",
            "toolCallId": id_,
            "toolName": "ask",
            "input": {"what": "it"},
            "dynamic": True,
        },
        {"type": "tool-approval-request", "approvalId": id_, "toolCallId": id_},
        {"type": "finish-step"},
        {"type": "finish", "finishReason": "tool-calls"},
    ]
    assert [chunk["type"] for chunk in second] == [
        "start",
        "tool-approval-response",
        "tool-output-available",
        "start-step",
        "text-start",
        "text-delta",
        "text-end",
        "finish-step",
        "finish",
    ]


def test_a_call_that_is_denied_says_so() -> None:
    plan = plan_of([call("ask", what="it")], ["Done."], verdicts=[tether.Deny("not now")])
    _, second = ui_streams(told(plan), 7)
    assert second[1]["approved"] is False
    assert second[1]["reason"] == "not now"
    assert second[2]["type"] == "tool-output-denied"


def test_a_call_of_an_agent_inside_a_call_is_asked_about_in_a_step_of_its_own() -> None:
    plan = plan_of(
        [call("inner", request="go")], ["Done."], child=[["Hm.", call("ask", what="it")]]
    )
    first, second = ui_streams(told(plan), 7)
    assert [chunk["type"] for chunk in first][-6:] == [
        "start-step",
        "tool-input-start",
        "tool-input-available",
        "tool-approval-request",
        "finish-step",
        "finish",
    ]
    outputs = [chunk for chunk in second if chunk["type"] == "tool-output-available"]
    shown = [chunk["output"] for chunk in outputs if chunk.get("preliminary")][-1]
    assert shown["metadata"] == {"agent": "inner"}
    assert [part["type"] for part in shown["parts"]] == ["text", "dynamic-tool", "text"]
    assert outputs[-1]["output"] == "Done."


@pytest.mark.parametrize("version", [6, 7])
def test_what_is_said_meanwhile_is_part_of_the_message(version: Version) -> None:
    (stream,) = ui_streams(told(plan_of(["One."], ["Two."], steering=["Faster."])), version)
    kinds = [chunk["type"] for chunk in stream]
    part = "steering-message" if version == 7 else "data-steering"
    assert kinds.count(part) == 1
    assert kinds[kinds.index(part) + 1] == "start-step"


def test_a_failure_of_the_model_is_an_error_and_no_end() -> None:
    plan = plan_of(["Hal", tether.ModelError("it broke", kind="server")])
    (stream,) = ui_streams(told(plan), 7)
    assert stream[-1] == {"type": "error", "errorText": "it broke"}
    assert {"type": "text-end", "id": stream[2]["id"]} in stream
