"""Counts only grow within a reply, whatever its events say of them."""

import itertools
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.decoding import Decoding
from tests.models.streams import STREAMS, chunk, each_api

from tether import ModelError, Usage
from tether.deltas import Delta, ReplyEnd, ReplyInfo

NUMBER: st.SearchStrategy[Any] = st.integers(0, 50) | st.sampled_from(
    [None, True, -1, 2.0, "7", {}]
)


def some(**shape: Any) -> st.SearchStrategy[dict[str, Any]]:
    """An object of which any field may be missing, or of an unexpected kind."""
    return st.fixed_dictionaries({}, optional={key: NUMBER | one for key, one in shape.items()})


N = st.nothing()
USAGES: dict[str, st.SearchStrategy[Any]] = {
    "chat": some(
        prompt_tokens=N,
        completion_tokens=N,
        total_tokens=N,
        prompt_tokens_details=some(cached_tokens=N, cache_write_tokens=N),
        completion_tokens_details=some(reasoning_tokens=N),
    ),
    "responses": some(
        input_tokens=N,
        output_tokens=N,
        input_tokens_details=some(cached_tokens=N),
        output_tokens_details=some(reasoning_tokens=N),
    ),
    "anthropic": some(
        input_tokens=N,
        output_tokens=N,
        cache_read_input_tokens=N,
        cache_creation_input_tokens=N,
        output_tokens_details=some(thinking_tokens=N),
    ),
    "google": some(
        promptTokenCount=N,
        candidatesTokenCount=N,
        thoughtsTokenCount=N,
        cachedContentTokenCount=N,
        toolUsePromptTokenCount=N,
    ),
}


def counting(api: str, usage: Any) -> Any:
    """An event that brings counts alone."""
    match api:
        case "chat":
            return {"choices": [], "usage": usage}
        case "responses":
            return {"type": "response.in_progress", "response": {"usage": usage}}
        case "anthropic":
            return {"type": "message_delta", "delta": {}, "usage": usage}
        case _:
            return {"usageMetadata": usage}


def usages_of(decoding: Decoding, events: list[Any]) -> list[Usage]:
    deltas: list[Delta] = list(decoding.deltas_of(*events))
    told = [one.usage for one in deltas if isinstance(one, ReplyInfo) and one.usage is not None]
    end = deltas[-1]
    assert isinstance(end, ReplyEnd)
    return [*told, end.message.usage]


@each_api
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_no_count_is_ever_less_than_before(api: str, data: st.DataObject) -> None:
    decoding, stream = STREAMS[api]
    events = list(stream)
    for usage in data.draw(st.lists(USAGES[api], min_size=1, max_size=5)):
        # Not behind the last event, which ends the reply of some.
        events.insert(data.draw(st.integers(0, len(events) - 1)), counting(api, usage))
    counted = usages_of(decoding, events)
    for before, after in itertools.pairwise(counted):
        if api == "google" and not before.output_tokens and after.input_tokens:
            continue  # what was there is an estimate of the input
        pairs = zip(attrs.astuple(before), attrs.astuple(after), strict=True)
        assert all(old <= new for old, new in pairs)
    assert counted[-1].input_tokens >= 5


@each_api
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_a_reply_that_is_cut_off_has_the_counts_that_came(api: str, data: st.DataObject) -> None:
    decoding, stream = STREAMS[api]
    events = [counting(api, usage) for usage in data.draw(st.lists(USAGES[api], max_size=3))]
    seen = Usage()
    with pytest.raises(ModelError) as caught:
        for delta in decoding.deltas_of(*stream[:1], *events):
            seen = delta.usage or seen if isinstance(delta, ReplyInfo) else seen
    assert caught.value.partial is not None
    assert caught.value.partial.usage == seen


def test_zeros_after_counts_change_nothing() -> None:
    counts = {"prompt_tokens": 5, "completion_tokens": 3}
    zeros = {"prompt_tokens": 0, "completion_tokens": 0}
    decoding = STREAMS["chat"][0]
    message = decoding.decoded(
        chunk(content="Hi"), *(counting("chat", one) for one in (counts, counts, zeros)), b"[DONE]"
    )
    assert message.usage == Usage(input_tokens=5, output_tokens=3)


def test_what_a_later_event_counts_elsewhere_is_added() -> None:
    start = {"id": "r", "model": "m", "usage": {"input_tokens": 100, "output_tokens": 1}}
    end = {"input_tokens": 0, "cache_read_input_tokens": 80, "output_tokens": 9}
    message = STREAMS["anthropic"][0].decoded(
        {"type": "message_start", "message": start},
        counting("anthropic", end),
        {"type": "message_stop"},
    )
    assert message.usage == Usage(input_tokens=180, output_tokens=9, cache_read_tokens=80)


def test_geminis_first_count_of_the_input_is_an_estimate() -> None:
    """Its first chunks may count more than the one that counts the output."""
    counts = [{"promptTokenCount": 15}, {"promptTokenCount": 13, "candidatesTokenCount": 8}]
    decoding = STREAMS["google"][0]
    for last in ([], [{"promptTokenCount": 13}], [{"promptTokenCount": 0}]):
        told = [counting("google", usage) for usage in [*counts, *last]]
        message = decoding.decoded(*told, {"candidates": [{"finishReason": "STOP"}]})
        assert message.usage == Usage(input_tokens=13, output_tokens=8)
