"""Fields of an unexpected kind neither run a call that is not whole, nor get into the next request."""

from typing import Any

import pytest
from tests.models.decoding import Decoding
from tests.models.streams import STREAMS, call, candidate, chunk, each_api

from tether.messages import ProviderItem
from tether.models.bedrock.reply import decode

BEDROCK = Decoding("bedrock-converse", decode)


def with_arguments(api: str, given: Any) -> list[Any]:
    """A reply with a call of these arguments."""
    match api:
        case "chat":
            return [chunk("tool_calls", **call(name="f", arguments=given))]
        case "responses":
            item = {"type": "function_call", "call_id": "c", "name": "f", "arguments": given}
            return [{"type": "response.completed", "response": {"output": [item]}}]
        case "anthropic":
            delta = {"type": "input_json_delta", "partial_json": given}
            return with_block({"type": "tool_use", "id": "c", "name": "f", "input": {}}, delta)
        case _:
            return [candidate({"functionCall": {"name": "f", "args": given}}, finishReason="STOP")]


def with_block(block: Any, *deltas: Any) -> list[Any]:
    return [
        {"type": "content_block_start", "index": 0, "content_block": block},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        {"type": "message_stop"},
    ]


@pytest.mark.parametrize("given", [{"x": 1}, '{"x": 1}'])
@each_api
def test_arguments_come_as_a_text_or_as_an_object(api: str, given: Any) -> None:
    (read,) = STREAMS[api][0].decoded(*with_arguments(api, given)).tool_calls
    assert (read.arguments, read.malformed) == ({"x": 1}, None)


@pytest.mark.parametrize(("given", "told"), [([1], "[1]"), (5, "5"), ([{"x": 1}], '[{"x": 1}]')])
@each_api
def test_arguments_that_are_no_object_are_not_taken_for_none(
    api: str, given: Any, told: str
) -> None:
    (read,) = STREAMS[api][0].decoded(*with_arguments(api, given)).tool_calls
    assert (read.arguments, read.malformed) == ({}, told)


@pytest.mark.parametrize(
    ("given", "read"),
    [({"x": 1}, ({"x": 1}, None)), ([1], ({}, "[1]")), (5, ({}, "5"))],
)
def test_bedrock_gives_arguments_in_any_kind(given: Any, read: Any) -> None:
    (one,) = BEDROCK.decoded(
        {"contentBlockStart": {"start": {"toolUse": {"toolUseId": "c", "name": "f"}}}},
        {"contentBlockDelta": {"delta": {"toolUse": {"input": given}}}},
        {"messageStop": {"stopReason": "tool_use"}},
    ).tool_calls
    assert (one.arguments, one.malformed) == read


@pytest.mark.parametrize("block", [3, {}, {"type": None, "a": 1}, {"type": []}])
def test_a_block_without_a_type_does_not_go_back(block: Any) -> None:
    events = with_block(block, {"type": "text_delta", "text": "hi"})
    message = STREAMS["anthropic"][0].decoded(*events)
    assert message.text == "hi"
    assert not any(isinstance(one, ProviderItem) for one in message.content)


@pytest.mark.parametrize("item", [{"id": "x"}, {"type": 5, "id": "x"}])
def test_an_item_without_a_type_does_not_go_back(item: Any) -> None:
    done = {"type": "response.output_item.done", "output_index": 0, "item": item}
    end = {"type": "response.completed", "response": {}}
    assert STREAMS["responses"][0].decoded(done, end).content == ()
