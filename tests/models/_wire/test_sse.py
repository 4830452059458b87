"""Framing, after WHATWG HTML 9.2.6."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.models.replay import pieces

from tether import ModelError
from tether.models._wire.sse import ServerSentEvent, frame_events


def framed(*chunks: bytes, limit: int = 1000) -> list[ServerSentEvent]:
    frames = frame_events(limit)
    next(frames)
    return [event for chunk in chunks for event in frames.send(chunk)]


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b"data: a\n\n", [("", b"a")]),
        (b"data: a\r\n\r\ndata: b\r\rdata: c\n\n", [("", b"a"), ("", b"b"), ("", b"c")]),
        (b"data: a\ndata: b\n\n", [("", b"a\nb")]),
        (b"data\n\n", [("", b"")]),
        (b"data:a\n\ndata:  b\n\n", [("", b"a"), ("", b" b")]),
        (b"event: x\ndata: a\n\ndata: b\n\n", [("x", b"a"), ("", b"b")]),
        (b"event: x\n\ndata: a\n\n", [("", b"a")]),
        (b": comment\n\n: more\ndata: a\n\n", [("", b"a")]),
        (b"id: 1\nretry: 5\nother: x\ndata: a\n\n", [("", b"a")]),
        (b"\xef\xbb\xbfdata: a\n\n", [("", b"a")]),
        (b"data: a\n\n\n\ndata: b\n\n", [("", b"a"), ("", b"b")]),
        (b"data: never\n", []),
        (b"", []),
        ("data: \u2028\x85\x0b\x0c\n\n".encode(), [("", "\u2028\x85\x0b\x0c".encode())]),
    ],
)
def test_a_body_is_framed_as_the_standard_says_however_it_is_cut(
    body: bytes, events: list[ServerSentEvent]
) -> None:
    assert framed(body) == events
    assert framed(*[body[n : n + 1] for n in range(len(body))]) == events


LINES = [
    b"data: x",
    b"data",
    b":c",
    b"event: e",
    b"",
    b"",
    b"x",
    b"\xc3\xa9",
    b"data:",
    b" data: x",
]
ENDS = [b"\n", b"\r\n", b"\r"]


@given(
    st.lists(st.tuples(st.sampled_from(LINES), st.sampled_from(ENDS))),
    st.lists(st.integers(0, 200)),
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
)
def test_cutting_changes_nothing_whatever_the_line_ends(
    lines: list[tuple[bytes, bytes]], cuts: list[int], start: bytes
) -> None:
    body = b"".join(line + end for line, end in lines)
    whole = framed(start + body)
    assert whole == _slowly(body)
    assert framed(*pieces(start + body, cuts)) == whole
    assert framed(*pieces(start + body, range(300))) == whole


def _slowly(body: bytes) -> list[ServerSentEvent]:
    """The standard's own algorithm, line by line."""
    out, name, data = [], "", None
    for line in re.split(rb"\r\n|\n|\r", body)[:-1]:
        key, _, value = line.partition(b":")
        value = value[1:] if value.startswith(b" ") else value
        if not line:
            if data is not None:
                out.append((name, data.removesuffix(b"\n")))
            name, data = "", None
        elif key == b"data":
            data = (data or b"") + value + b"\n"
        elif key == b"event":
            name = value.decode()
    return out


@pytest.mark.parametrize("cut", [1, 10, 100])
def test_an_event_without_end_is_refused_before_it_fills_memory(cut: int) -> None:
    body = b"data: " + b"x" * 5000
    with pytest.raises(ModelError, match="more than 1,000 bytes") as caught:
        framed(*[body[n : n + cut] for n in range(0, len(body), cut)])
    assert caught.value.kind == "malformed"
