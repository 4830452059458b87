"""A character that is cut into two halves, in two fragments, is one character."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.streams import STREAMS, candidate, chunk, each_api

from tether import TextDelta
from tether.deltas import Delta, ReplyEnd, ThinkingDelta

FACE = "\U0001f600"


def streamed(api: str, kind: str, pieces: list[str]) -> list[Any]:
    """A reply of one text or thinking block, in pieces."""
    thinks = kind == "thinking"
    match api:
        case "chat":
            key = "reasoning_content" if thinks else "content"
            return [*(chunk(**{key: piece}) for piece in pieces), chunk("stop")]
        case "responses":
            name = "reasoning_text" if thinks else "output_text"
            where = {"item_id": "x", "output_index": 0, "content_index": 0}
            told = [{"type": f"response.{name}.delta", "delta": piece, **where} for piece in pieces]
            return [*told, {"type": "response.completed", "response": {"status": "completed"}}]
        case "anthropic":
            key = "thinking" if thinks else "text"
            delta = {"type": "content_block_delta", "index": 0}
            return [
                {"type": "content_block_start", "index": 0, "content_block": {"type": key}},
                *({**delta, "delta": {"type": f"{key}_delta", key: piece}} for piece in pieces),
                {"type": "content_block_stop", "index": 0},
                {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
                {"type": "message_stop"},
            ]
        case _:
            parts = [candidate({"text": piece, "thought": thinks}) for piece in pieces]
            return [*parts, candidate(finishReason="STOP")]


def shown(deltas: list[Delta]) -> str:
    return "".join(one.text for one in deltas if isinstance(one, TextDelta | ThinkingDelta))


def read(api: str, kind: str, pieces: list[str]) -> str:
    """Decode the pieces; what is shown on the way is what there is at the end."""
    decoding = STREAMS[api][0]
    events = streamed(api, kind, pieces)
    deltas = list(decoding.deltas_of(*events))
    assert isinstance(deltas[-1], ReplyEnd)
    message = decoding.decoded(*events)
    text = message.thinking if kind == "thinking" else message.text
    assert shown(deltas) == text
    return text


def halves(text: str) -> str:
    """The text with each surrogate pair as two characters, as JSON escapes it."""
    data = text.encode("utf-16-le", "surrogatepass")
    return "".join(chr(data[n] | data[n + 1] << 8) for n in range(0, len(data), 2))


@each_api
@pytest.mark.parametrize("kind", ["text", "thinking"])
@given(text=st.text(st.sampled_from(f"ab\u00e9\u732b{FACE}"), min_size=1), data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_text_may_be_cut_anywhere(api: str, kind: str, text: str, data: st.DataObject) -> None:
    cut = halves(text)
    places = sorted(data.draw(st.sets(st.integers(1, len(cut)))) | {0, len(cut)})
    pieces = [cut[a:b] for a, b in itertools.pairwise(places)]
    assert read(api, kind, pieces) == text


@each_api
@pytest.mark.parametrize("kind", ["text", "thinking"])
@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["a\ud83d", "\ude00b"], f"a{FACE}b"),
        (["a\ud83d", "b", "\ude00c"], "a\ufffdb\ufffdc"),
        (["a\ud83d", "b", "c"], "a\ufffdbc"),
        (["a\ud83d", "\ud83d", "\ude00"], f"a\ufffd{FACE}"),
        (["\ude00a"], "\ufffda"),
        (["a", "b\ud83d"], "ab\ufffd"),
        (["a\ud83db", "c"], "a\ufffdbc"),
        (["\ud83d", "\ude00"], FACE),
    ],
    ids=ascii,
)
def test_half_a_character_alone_is_replaced_where_it_stands(
    api: str, kind: str, pieces: list[str], text: str
) -> None:
    assert read(api, kind, pieces) == text


@each_api
def test_nothing_but_whole_characters_leaves_a_decoder(api: str) -> None:
    decoding, stream = STREAMS[api]
    told = json.dumps(stream).replace('"f"', json.dumps("f\ud83d")).replace('"r"', '"r\\ud83d"')
    message = decoding.decoded(*json.loads(told))
    assert ascii(message).count("\\ud83d") == 0
    assert message.tool_calls[0].name == "f\ufffd"
