"""`ScriptedModel` says what it was told, in the grammar of deltas, to requests that are valid."""

import json
from collections.abc import Sequence
from itertools import pairwise

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st
from tests.waiting import until_blocked

from tether import (
    AssistantMessage,
    CustomMessage,
    Image,
    Model,
    ModelError,
    ModelOptions,
    ModelRequest,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolResultMessage,
    Usage,
    UserMessage,
)
from tether.deltas import (
    BlockEnd,
    Delta,
    PartialReply,
    ReplyEnd,
    ReplyInfo,
    ToolCallDelta,
    ToolCallStart,
)
from tether.model import ModelMessage, ToolSpec
from tether.testing import Part, Pause, Reply, ScriptedModel, call

ASK = ModelRequest(messages=[UserMessage("hi")])


async def hear(model: ScriptedModel, into: list[Delta]) -> None:
    """Iterate a reply and keep what came, also where it is cut off."""
    async with model.stream(ASK) as deltas:
        async for delta in deltas:
            into.append(delta)


async def answers(model: ScriptedModel, request: ModelRequest = ASK) -> list[Delta]:
    with anyio.fail_after(60):
        async with model.stream(request) as deltas:
            return [delta async for delta in deltas]


def said(*content: str) -> AssistantMessage:
    return AssistantMessage([Text(text) for text in content], model="scripted", api="scripted")


def test_it_is_a_model() -> None:
    model: Model = ScriptedModel(name="oracle")
    assert isinstance(model, Model)
    assert model.name == "oracle"


async def test_a_string_is_streamed_word_by_word() -> None:
    assert await answers(ScriptedModel("How are\nyou? ")) == [
        TextDelta("How"),
        TextDelta(" are"),
        TextDelta("\nyou?"),
        TextDelta(" "),
        BlockEnd(Text("How are\nyou? ")),
        ReplyEnd(said("How are\nyou? ")),
    ]


async def test_an_empty_string_is_an_empty_reply() -> None:
    assert await answers(ScriptedModel("")) == [ReplyEnd(said())]


def test_a_call_may_have_an_argument_that_is_called_id() -> None:
    assert call("stop", {"id": "a1"}) == ToolCall("", "stop", {"id": "a1"})
    assert call("f", {"id": 1}, id="c1", x=2) == ToolCall("c1", "f", {"id": 1, "x": 2})


async def test_a_call_is_streamed_in_fragments_and_stops_for_tools() -> None:
    block = call("add", id="c1", first=1, second=22)
    assert await answers(ScriptedModel(block)) == [
        ToolCallStart("c1", "add"),
        ToolCallDelta('{"first'),
        ToolCallDelta('": 1, "'),
        ToolCallDelta('second"'),
        ToolCallDelta(": 22}"),
        BlockEnd(ToolCall("c1", "add", {"first": 1, "second": 22})),
        ReplyEnd(
            AssistantMessage([block], model="scripted", api="scripted", stop_reason="tool_calls")
        ),
    ]


async def test_a_malformed_call_is_streamed_as_it_came() -> None:
    block = ToolCall("c1", "add", malformed='{"a')
    assert (await answers(ScriptedModel(block)))[:3] == [
        ToolCallStart("c1", "add"),
        ToolCallDelta('{"a'),
        BlockEnd(block),
    ]


async def test_blocks_of_every_kind_follow_each_other() -> None:
    picture, sealed = Image(b"png"), Thinking("", "sealed", redacted=True)
    parts: list[Part] = [Thinking("let us see", "sig"), sealed, "look:", picture]
    assert await answers(ScriptedModel(parts)) == [
        ThinkingDelta("let"),
        ThinkingDelta(" us"),
        ThinkingDelta(" see"),
        BlockEnd(Thinking("let us see", "sig")),
        BlockEnd(sealed, 1),
        TextDelta("look:", 2),
        BlockEnd(Text("look:"), 2),
        BlockEnd(picture, 3),
        ReplyEnd(
            AssistantMessage(
                [Thinking("let us see", "sig"), sealed, Text("look:"), picture],
                model="scripted",
                api="scripted",
            )
        ),
    ]


async def test_calls_without_an_id_are_numbered_through_the_script() -> None:
    model = ScriptedModel([call("a"), call("b", id="mine"), call("c")], call("d"))
    ids = [[d.id for d in await answers(model) if isinstance(d, ToolCallStart)] for _ in range(2)]
    assert ids == [["call_1", "mine", "call_2"], ["call_3"]]


async def test_a_message_is_sent_as_it_stands() -> None:
    message = AssistantMessage(
        [Text("well"), call("a")],
        stop_reason="length",
        usage=Usage(input_tokens=3),
        response_id="r1",
    )
    *_, end = await answers(ScriptedModel(message))
    assert end == ReplyEnd(
        AssistantMessage(
            [Text("well"), ToolCall("call_1", "a")],
            model="scripted",
            stop_reason="length",
            usage=Usage(input_tokens=3),
            response_id="r1",
        )
    )


async def test_deltas_are_sent_as_they_are_and_open_blocks_are_closed() -> None:
    deltas: list[Part] = [
        ReplyInfo(model="m-1", usage=Usage(output_tokens=2)),
        TextDelta("a"),
        ToolCallStart("c1", "add", 1),
        TextDelta("b"),
        ToolCallDelta('{"x": 1}', 1),
    ]
    block = ToolCall("c1", "add", {"x": 1})
    assert await answers(ScriptedModel(deltas)) == [
        *deltas,
        BlockEnd(Text("ab")),
        BlockEnd(block, 1),
        ReplyEnd(
            AssistantMessage(
                [Text("ab"), block],
                model="m-1",
                api="scripted",
                stop_reason="tool_calls",
                usage=Usage(output_tokens=2),
            )
        ),
    ]


async def test_an_end_that_the_script_has_stays_the_end() -> None:
    end = ReplyEnd(AssistantMessage([Text("x")]))
    assert await answers(ScriptedModel([TextDelta("x"), end])) == [
        TextDelta("x"),
        BlockEnd(Text("x")),
        end,
    ]


async def test_an_error_alone_is_raised_before_anything_is_sent() -> None:
    error = ModelError("busy", kind="overloaded")
    model = ScriptedModel(error, "better")
    with pytest.raises(ModelError) as raised:
        async with model.stream(ASK):
            pytest.fail("the reply was opened")
    assert raised.value is error
    assert (await answers(model))[-1] == ReplyEnd(said("better"))
    model.expect_done()


async def test_an_error_in_a_list_cuts_the_reply_there() -> None:
    error = ModelError("gone", kind="connection")
    seen: list[Delta] = []
    model = ScriptedModel(["one", TextDelta("tw", 1), error, "never"])
    with pytest.raises(ModelError) as raised:
        await hear(model, seen)
    assert raised.value is error
    assert seen == [TextDelta("one"), BlockEnd(Text("one")), TextDelta("tw", 1)]
    model.expect_done()


async def test_a_function_answers_from_the_request() -> None:
    model = ScriptedModel(
        lambda request: f"{len(request.messages)} said", lambda _: lambda _: call("again")
    )
    assert (await answers(model))[-1] == ReplyEnd(said("1 said"))
    assert (await answers(model))[0] == ToolCallStart("call_1", "again")


async def test_a_pause_waits_until_it_is_told() -> None:
    go, reached = anyio.Event(), anyio.Event()
    model = ScriptedModel([TextDelta("a"), Pause(go, reached=reached), TextDelta("b")])
    seen: list[Delta] = []

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hear, model, seen)
            await reached.wait()
            assert seen == [TextDelta("a")]
            assert model.streaming == 1
            go.set()
    assert seen == [
        TextDelta("a"),
        TextDelta("b"),
        BlockEnd(Text("ab")),
        ReplyEnd(said("ab")),
    ]


async def test_a_pause_waits_for_ever_until_it_is_cancelled() -> None:
    reached = anyio.Event()
    model = ScriptedModel(Pause(reached=reached))
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answers, model)
            await reached.wait()
            await until_blocked()
            tasks.cancel_scope.cancel()
    model.expect_done()


async def test_a_pause_waits_no_longer_than_its_seconds() -> None:
    assert (await answers(ScriptedModel([Pause(seconds=0.001), "on"])))[-1] == ReplyEnd(said("on"))


async def test_a_request_that_is_cancelled_on_entering_takes_no_reply() -> None:
    model = ScriptedModel("hello")
    with anyio.CancelScope() as scope:
        scope.cancel()
        await answers(model)
    assert (model.remaining, model.requests, model.streaming) == (1, [], 0)


async def test_other_tasks_run_between_two_deltas() -> None:
    model = ScriptedModel("a b c")
    seen: list[Delta] = []
    counts: list[int] = []

    async def watch() -> None:
        while len(seen) < 5:
            counts.append(len(seen))
            await checkpoint()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hear, model, seen)
            tasks.start_soon(watch)
    # trio shuffles each round of tasks: two deltas may come from one round to the next.
    assert all(later - earlier <= 2 for earlier, later in pairwise([*counts, 5]))


@given(
    st.lists(
        st.one_of(
            st.text(),
            st.builds(Text, st.text()),
            st.builds(Thinking, st.text()),
            st.builds(
                ToolCall,
                st.uuids().map(str),
                st.text(min_size=1),
                st.dictionaries(st.text(), st.none() | st.integers() | st.text()),
            ),
        )
    )
)
async def test_every_script_is_a_reply_by_the_grammar(parts: Sequence[Part]) -> None:
    """Fragments concatenate to their block, every block is closed once, the end carries the fold."""
    fold = PartialReply(model="scripted", api="scripted")
    fragments: dict[int, str] = {}
    closed: list[int] = []
    deltas = await answers(ScriptedModel(list(parts)))
    for delta in deltas[:-1]:
        match delta:
            case TextDelta(text, index) | ThinkingDelta(text, index) | ToolCallDelta(text, index):
                fragments[index] = fragments.get(index, "") + text
            case BlockEnd(Text(text) | Thinking(text), index):
                assert fragments.get(index, "") == text
                closed.append(index)
            case BlockEnd(ToolCall(arguments=arguments), index):
                assert json.loads(fragments[index]) == arguments
                closed.append(index)
            case _:
                pass
        fold.add(delta)
    wanted = [Text(part) if isinstance(part, str) else part for part in parts if part != ""]
    assert closed == list(range(len(wanted)))
    assert fold.complete is None
    assert isinstance(deltas[-1], ReplyEnd)
    assert list(deltas[-1].message.content) == wanted
    assert fold.preview().content == deltas[-1].message.content


async def test_a_script_that_ran_out_says_how_far_it_got() -> None:
    model = ScriptedModel("one")
    await answers(model)
    with pytest.raises(AssertionError) as raised:
        await answers(model, ModelRequest(messages=[UserMessage("more")]))
    text = "scripted has a script of 1 replies, and this is request 2; its last message is user: 'more'"
    assert str(raised.value) == text
    assert [request.messages[-1] for request in model.requests] == [
        UserMessage("hi"),
        UserMessage("more"),
    ]
    with pytest.raises(AssertionError, match="this is request 2"):
        model.expect_done()


def test_a_script_that_was_not_played_out_is_not_done() -> None:
    with pytest.raises(AssertionError) as raised:
        ScriptedModel("one", call("two"), name="oracle").expect_done()
    assert str(raised.value) == (
        "oracle has 2 of 2 replies left after 0 requests; the next is 'one'"
    )


async def test_a_reply_that_nobody_closed_is_not_done() -> None:
    model = ScriptedModel("one")
    async with model.stream(ASK):
        with pytest.raises(AssertionError, match="1 replies were not closed"):
            model.expect_done()
    model.expect_done()


@pytest.mark.parametrize(
    ("reply", "complaint"),
    [
        ([ToolCallDelta("{")], "ToolCallDelta for block 0, which is not open"),
        ([TextDelta("a"), ThinkingDelta("b")], "ThinkingDelta for block 0, which is text"),
        ([ReplyEnd(said()), "more"], "the script goes on after the end of the reply"),
    ],
)
async def test_a_bad_script_is_refused_before_it_is_played(reply: Reply, complaint: str) -> None:
    model = ScriptedModel(reply)
    with pytest.raises(AssertionError, match=complaint):
        async with model.stream(ASK):
            pytest.fail("the reply was opened")
    with pytest.raises(AssertionError, match=complaint):
        model.expect_done()


CALLING = AssistantMessage([ToolCall("c1", "add")])
ANSWER = ToolResultMessage("c1", "add", "3")
CUT_OFF = AssistantMessage((), stop_reason="aborted")
HI = UserMessage("hi")
ADD = ToolSpec("add", "Add.", {"type": "object"})


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        (ModelRequest(messages=[]), "the last message must be a user's or a result; it is missing"),
        (ModelRequest(messages=[HI, said("yes")]), "it is assistant: 'yes'"),
        (ModelRequest(messages=[HI, CALLING, HI]), "message 2: no result yet for 'c1'"),
        (ModelRequest(messages=[HI, CALLING]), "the end: no result yet for 'c1'"),
        (ModelRequest(messages=[HI, ANSWER]), "message 1: a result for 'c1', which no call"),
        (ModelRequest(messages=[UserMessage(())]), "message 0: it is empty"),
        (ModelRequest(messages=[HI, CUT_OFF, HI]), "message 1: it is empty"),
        (
            ModelRequest(messages=[AssistantMessage([call("add")]), ANSWER]),
            "message 0: a tool call has no id",
        ),
        (
            ModelRequest(messages=[HI, CustomMessage("note"), HI]),  # type: ignore[list-item]
            "message 1: a model cannot be sent a CustomMessage",
        ),
        (ModelRequest(messages=[HI], tools=[ADD, ADD]), "two tools have the same name: add, add"),
        (
            ModelRequest(
                messages=[HI], tools=[ADD], options=ModelOptions(tool_choice=("tool", "sub"))
            ),
            "it must call 'sub', which is not offered",
        ),
    ],
)
async def test_a_request_no_provider_would_take_is_refused(
    request_: ModelRequest, complaint: str
) -> None:
    model = ScriptedModel("never")
    with pytest.raises(AssertionError, match=complaint):
        await answers(model, request_)
    assert model.remaining == 1
    with pytest.raises(AssertionError, match=complaint):
        model.expect_done()


async def test_a_whole_history_is_taken() -> None:
    history: list[ModelMessage] = [HI, said(), HI, CALLING, ANSWER]
    request = ModelRequest(messages=history, tools=[ADD])
    assert (await answers(ScriptedModel("fine"), request))[-1] == ReplyEnd(said("fine"))


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_a_pause_of_no_length_there_can_be_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="'seconds' must be"):
        Pause(seconds=seconds)
