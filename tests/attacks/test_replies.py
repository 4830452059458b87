"""Replies that would fill the memory, or take more work with each event, on all four wires."""

import json
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest
from tests.models.decoding import Decoding

from tether import AssistantMessage, ModelError, Text, ToolCall
from tether.messages import unique
from tether.models._wire.body import frame_body
from tether.models._wire.holdings import Holdings
from tether.models.anthropic.reply import decode as decode_anthropic
from tether.models.google.reply import decode as decode_google
from tether.models.openai_chat.reply import decode as decode_chat
from tether.models.openai_responses.reply import decode as decode_responses
from tether.transcript import with_unique_calls

CHAT = Decoding("openai-chat", decode_chat)
RESPONSES = Decoding("openai-responses", decode_responses)
ANTHROPIC = Decoding("anthropic-messages", decode_anthropic)
GOOGLE = Decoding("google-generate", decode_google)


def delta(**fields: Any) -> Any:
    return {"choices": [{"delta": fields}]}


def call(number: int | None, arguments: str = "", **more: Any) -> Any:
    function = {"arguments": arguments, **more.pop("function", {})}
    return delta(tool_calls=[{"index": number, "function": function, **more}])


def candidate(*parts: Any, **more: Any) -> Any:
    return {"candidates": [{"content": {"parts": list(parts)}, **more}]}


def block(number: int, **fields: Any) -> Any:
    return {"type": "content_block_start", "index": number, "content_block": fields}


def field_of(number: int, **fields: Any) -> Any:
    return {"type": "content_block_delta", "index": number, "delta": fields}


def item(kind: str = "added", **fields: Any) -> Any:
    return {"type": f"response.output_item.{kind}", "item": fields}


# Memory: each piece of a reply that is kept, in the form that costs least to send.

MANY = 500
NOTHING: list[Any] = [[]] * MANY
OBJECTS: list[Any] = [{}] * MANY
DEEP = json.loads("[" * 30 + "]" * 30)

KEPT: dict[str, tuple[Decoding, Callable[[int], Any]]] = {
    "chat: annotations": (CHAT, lambda _: delta(annotations=NOTHING)),
    "chat: few annotations": (CHAT, lambda _: delta(annotations=[[], {}, []] * 20)),
    "chat: nested annotations": (CHAT, lambda _: delta(annotations=[DEEP] * 50)),
    "chat: short texts": (CHAT, lambda _: delta(annotations=["ab"] * MANY)),
    "chat: reasoning_details": (CHAT, lambda _: delta(reasoning_details=OBJECTS)),
    "chat: parts": (CHAT, lambda _: delta(content=OBJECTS)),
    "chat: images": (CHAT, lambda _: delta(images=OBJECTS)),
    "chat: executed_tools": (CHAT, lambda _: delta(executed_tools=OBJECTS)),
    "chat: calls": (
        CHAT,
        lambda n: delta(tool_calls=[{"index": n * 200 + i, "id": "c"} for i in range(200)]),
    ),
    "chat: texts": (
        CHAT,
        lambda _: delta(content=[{"text": "a"}, {"thinking": 1, "type": "thinking"}] * 200),
    ),
    "anthropic: blocks": (
        ANTHROPIC,
        lambda _: {"type": "message_start", "message": {"content": OBJECTS}},
    ),
    "anthropic: a block": (ANTHROPIC, lambda n: block(n, x=NOTHING)),
    "anthropic: citations": (ANTHROPIC, lambda n: block(0, type="text", citations=NOTHING)),
    "anthropic: usage": (
        ANTHROPIC,
        lambda n: {"type": "message_delta", "usage": {f"{n}-{i}": [] for i in range(MANY)}},
    ),
    "anthropic: fields": (ANTHROPIC, lambda n: field_of(0, type="x", **{str(n): OBJECTS})),
    "google: parts": (GOOGLE, lambda _: candidate(*[{"a": 1}] * MANY)),
    "google: calls": (GOOGLE, lambda _: candidate(*[{"functionCall": {"name": ""}}] * MANY)),
    "google: arguments": (
        GOOGLE,
        lambda n: candidate({"functionCall": {"args": {str(n): OBJECTS}, "willContinue": True}}),
    ),
    "google: pieces of arguments": (
        GOOGLE,
        lambda n: candidate(
            {
                "functionCall": {
                    "willContinue": True,
                    "partialArgs": [
                        {"jsonPath": f".{n}-{i}" + ".a" * 30, "nullValue": 0} for i in range(200)
                    ],
                }
            }
        ),
    ),
    "responses: items": (RESPONSES, lambda n: item(type="x", id=str(n), y=OBJECTS)),
    "responses: output": (
        RESPONSES,
        lambda _: {"type": "response.completed", "response": {"output": OBJECTS * 100}},
    ),
    "responses: annotations": (
        RESPONSES,
        lambda _: {"type": "response.output_text.annotation.added", "annotation": NOTHING},
    ),
    "responses: parts": (
        RESPONSES,
        lambda n: item(
            "done", type="reasoning", id=str(n), summary=[{"type": "summary_text"}] * MANY
        ),
    ),
}


@pytest.mark.parametrize("kept", KEPT)
def test_what_is_kept_is_bounded_by_what_it_has_cost_to_send(
    kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tether.models._wire.holdings._FREE", 100_000)
    decoding, event = KEPT[kept]
    error = None
    sent = 0
    decoder = decoding.decode("m")
    next(decoder)
    if decoding is ANTHROPIC:
        decoder.send(("", json.dumps(block(0, type="text")).encode()))
    tracemalloc.start()
    try:
        for number in range(100_000):
            data = json.dumps(event(number), separators=(",", ":")).encode()
            sent += len(data)
            decoder.send(("", data))
            if sent > 150_000:
                break
    except (ModelError, StopIteration) as stop:
        error = stop
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 600_000 + 10 * sent
    if isinstance(error, ModelError):
        assert error.message == "the reply holds far more than it has cost to send"
        assert error.partial is not None


def test_an_event_that_is_too_dense_is_not_even_read() -> None:
    with pytest.raises(ModelError, match="far more than it has cost"):
        CHAT.decoded(b'{"x":[' + b"[]," * 1_000_000 + b"[]]}")


def test_an_answer_in_one_piece_that_is_too_dense_is_not_even_read() -> None:
    frames = frame_body()
    next(frames)
    frames.send(b"[" + b"{}," * 1_000_000 + b"{}]")
    with pytest.raises(ModelError, match="far more than it has cost"):
        frames.send(None)


def test_brackets_in_a_text_are_no_structure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tether.models._wire.holdings._FREE", 2_000)
    matrix = "[" + "[1]," * 20_000 + '["\\"[1]"]]'
    reply = CHAT.decoded(
        call(0, matrix, id="c", function={"name": "f", "arguments": matrix}),
        {"choices": [{"delta": {}, "finish_reason": "stop"}]},
    )
    assert reply.tool_calls[0].malformed == matrix


def test_what_servers_send_is_kept_however_long_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tether.models._wire.holdings._FREE", 0)
    holdings = Holdings()
    token = {"token": "ab", "logprob": -0.123456, "bytes": [97, 98], "top_logprobs": []}
    citation = {
        "type": "url_citation",
        "url": "https://example.org/a",
        "title": "Title",
        "index": 3,
    }
    for value in (token, citation) * 100:
        holdings.sent += len(json.dumps(value))
        holdings.keep(value)


@pytest.mark.parametrize("decoding", [CHAT, ANTHROPIC, GOOGLE, RESPONSES], ids=lambda one: one.api)
def test_what_is_kept_is_not_nested_without_end(decoding: Decoding) -> None:
    deep = json.loads('{"a":' * 400 + "1" + "}" * 400)
    events = {
        CHAT.api: delta(annotations=[deep]),
        ANTHROPIC.api: block(0, type="tool_use", input=deep),
        GOOGLE.api: candidate({"functionCall": {"name": "f", "args": deep}}),
        RESPONSES.api: item(type="x", y=deep),
    }
    assert decoding.failing(events[decoding.api]).kind == "malformed"


# Work: the events of a reply take as many steps late as early.


def steps_of(function: Callable[[], object]) -> int:
    """Count the steps that Python takes."""
    steps = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal steps
        frame.f_trace_opcodes = True
        steps += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return steps


def chat_call(number: int) -> Iterator[Any]:
    yield call(number, "{", id=f"c{number}", function={"name": "f"})


def chat_call_of_one_id(number: int) -> Iterator[Any]:
    yield call(number, '{"a":1}', id="c", function={"name": "f"})


def responses_call(number: int) -> Iterator[Any]:
    fields = {"type": "function_call", "id": f"i{number}", "call_id": f"c{number}", "name": "f"}
    yield {**item(**fields), "output_index": number}


def responses_reasoning(number: int) -> Iterator[Any]:
    yield {
        "type": "response.reasoning_summary_text.delta",
        "delta": "a",
        "item_id": "r",
        "summary_index": number,
    }


def anthropic_call(number: int) -> Iterator[Any]:
    yield block(number, type="tool_use", id="c", name="f")


def google_call(number: int) -> Iterator[Any]:
    yield candidate({"functionCall": {"name": "f", "willContinue": True, "id": "c"}})


GROWING: dict[str, tuple[Decoding, Callable[[int], Iterator[Any]], Callable[[int], Any]]] = {
    "chat: other calls": (CHAT, chat_call, lambda n: call(n % 7, "x")),
    "chat: other calls by id": (CHAT, chat_call, lambda n: call(None, "x", id=f"c{n % 7}")),
    "chat: one id": (
        CHAT,
        chat_call_of_one_id,
        lambda n: call(None, "{}", id="c", function={"name": "f"}),
    ),
    "chat: a name in each fragment": (
        CHAT,
        chat_call,
        lambda n: call(None, '{"a":{}}', id="c1", function={"name": "f"}),
    ),
    "chat: text and thinking": (
        CHAT,
        lambda n: iter([delta(content="a"), delta(reasoning="b")]),
        lambda n: delta(content="a") if n % 2 else delta(reasoning="b"),
    ),
    "responses: calls": (
        RESPONSES,
        responses_call,
        lambda n: {
            "type": "response.function_call_arguments.delta",
            "delta": "x",
            "item_id": f"i{n % 7}",
            "output_index": n % 7,
        },
    ),
    "responses: calls without id": (
        RESPONSES,
        responses_call,
        lambda n: {
            "type": "response.function_call_arguments.delta",
            "delta": "x",
            "output_index": n % 7,
        },
    ),
    "responses: new parts": (
        RESPONSES,
        responses_reasoning,
        lambda n: next(responses_reasoning(100_000 + n)),
    ),
    "responses: annotations": (
        RESPONSES,
        lambda n: iter([{"type": "response.output_text.annotation.added", "annotation": {}}]),
        lambda n: {"type": "response.output_text.annotation.added", "annotation": {}},
    ),
    "responses: ends of a text": (
        RESPONSES,
        lambda n: iter([{"type": "response.output_text.delta", "delta": "a"}]),
        lambda n: {"type": "response.output_text.done", "text": "b"},
    ),
    "anthropic: calls": (
        ANTHROPIC,
        anthropic_call,
        lambda n: field_of(n % 7, type="input_json_delta", partial_json="x"),
    ),
    "anthropic: unknown fields": (
        ANTHROPIC,
        anthropic_call,
        lambda n: field_of(0, type="x", code="abc"),
    ),
    "google: calls": (
        GOOGLE,
        google_call,
        lambda n: candidate(
            {
                "functionCall": {
                    "willContinue": True,
                    "partialArgs": [{"jsonPath": "$.a", "stringValue": "x"}],
                }
            }
        ),
    ),
}


@pytest.mark.parametrize("growing", GROWING)
def test_an_event_takes_as_many_steps_late_as_early(growing: str) -> None:
    decoding, grow, event = GROWING[growing]

    def steps_after(size: int) -> int:
        decoder = decoding.decode("m")
        next(decoder)
        for number in range(size):
            for one in grow(number):
                decoder.send(("", json.dumps(one).encode()))
        late = [("", json.dumps(event(number)).encode()) for number in range(12)]
        decoder.send(late[0])
        return steps_of(lambda: [decoder.send(one) for one in late[1:]])

    assert steps_after(600) < 1.2 * steps_after(20) + 200


@pytest.mark.parametrize(
    ("decoding", "begin", "more", "value"),
    [
        (
            ANTHROPIC,
            block(0, type="server_thing", code=""),
            lambda n: field_of(0, type="x", code=f"{n % 10}"),
            lambda reply: reply.content[0].data["code"],
        ),
        (
            GOOGLE,
            google_call(0).__next__(),
            lambda n: candidate(
                {
                    "functionCall": {
                        "willContinue": True,
                        "partialArgs": [{"jsonPath": "$.a[0].b", "stringValue": f"{n % 10}"}],
                    }
                }
            ),
            lambda reply: reply.tool_calls[0].arguments["a"][0]["b"],
        ),
    ],
    ids=["anthropic", "google"],
)
def test_a_long_text_in_tiny_pieces_is_put_together_once(
    decoding: Decoding, begin: Any, more: Any, value: Any
) -> None:
    """Without being copied at each piece: what is allocated by the late pieces is as little as by the early ones."""
    ends = {
        ANTHROPIC.api: [{"type": "message_delta", "delta": {"stop_reason": "end_turn"}}],
        GOOGLE.api: [candidate(finishReason="STOP")],
    }
    decoder = decoding.decode("m")
    next(decoder)
    decoder.send(("", json.dumps(begin).encode()))
    pieces = [("", json.dumps(more(number)).encode()) for number in range(600)]
    peaks = []
    tracemalloc.start()
    for piece in pieces:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        decoder.send(piece)
        peaks.append(tracemalloc.get_traced_memory()[1] - before)
    tracemalloc.stop()
    assert sorted(peaks[-100:])[50] <= sorted(peaks[:100])[50] + 100
    whole = decoding.decoded(begin, *(more(number) for number in range(50)), *ends[decoding.api])
    assert value(whole) == "0123456789" * 5


def test_thousands_of_calls_of_one_id_are_told_apart_quickly() -> None:
    reply = AssistantMessage([Text("a"), *(ToolCall("c", "f", {}) for _ in range(600))])
    asked = 0

    class Taken(set[str]):
        def __contains__(self, name: object) -> bool:
            nonlocal asked
            asked += 1
            return super().__contains__(name)

    taken = Taken()
    for _ in range(600):
        taken.add(unique("c", taken))
    assert len(taken) == 600
    assert asked < 600 * 25
    assert len({one.id for one in with_unique_calls(reply).tool_calls}) == 600
