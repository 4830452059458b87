"""Our readers against h11: what is taken and what is refused, wherever the bytes are cut."""

import random
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.transport.answers import ANSWERS, BAD, GOOD, Answer
from tests.transport.reading import Read, by_h11, by_ours, cut

from tether.transport._bodies import body_of
from tether.transport._heads import read_head

READ_SIZE = 32 * 1024


def in_reads(data: bytes) -> list[bytes]:
    return [data[at : at + READ_SIZE] for at in range(0, len(data), READ_SIZE)]


def assert_alike(answer: Answer, pieces: list[bytes]) -> Read:
    ours = by_ours(answer.method, pieces, closes=answer.closes)
    theirs = by_h11(answer.method, pieces, closes=answer.closes)
    assert ours == theirs
    return ours


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_read_like_h11_reads_it_wherever_it_is_cut(name: str) -> None:
    answer = ANSWERS[name]
    read = assert_alike(answer, in_reads(answer.data))
    if name in GOOD:
        assert read.end == "over"
    else:
        assert read.end not in {"over", "waiting"}
    chance = random.Random(name)
    for _ in range(20):
        places = [chance.randrange(len(answer.data) + 1) for _ in range(chance.randrange(1, 9))]
        assert_alike(answer, list(cut(answer.data, places)))
    if len(answer.data) < 300:
        assert_alike(answer, list(cut(answer.data, range(len(answer.data)))))


WELL_FORMED = [answer.data for answer in GOOD.values() if len(answer.data) < 1000]
FRAGMENTS = st.sampled_from(
    [
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\t",
        b":",
        b";",
        b"0",
        b"5",
        b"\0",
        b"\x80",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 103 X\r\n\r\n",
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"A: b\r\n",
        b"5\r\nhello\r\n",
        b"0\r\n\r\n",
        b"hello",
    ]
) | st.binary(max_size=3)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """An answer in which some bytes are others."""
    data = bytearray(draw(st.sampled_from(WELL_FORMED)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 3))] = draw(FRAGMENTS)
    return bytes(data)


@given(
    data=damaged() | st.lists(FRAGMENTS, max_size=12).map(b"".join),
    places=st.lists(st.integers(1, 200), max_size=8),
    closes=st.booleans(),
    method=st.sampled_from(["GET", "HEAD", "POST"]),
)
def test_whatever_bytes_come_they_are_read_like_h11_reads_them(
    data: bytes, places: list[int], closes: bool, method: str
) -> None:
    assert_alike(Answer(data, closes, method), list(cut(data, places)))


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(8))
def test_many_answers_are_read_like_h11_reads_them(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(4000):
        data = bytearray(chance.choice(WELL_FORMED) + chance.choice(WELL_FORMED) * (seed % 2))
        for _ in range(chance.randrange(4)):
            at = chance.randrange(len(data) + 1)
            data[at : at + chance.randrange(3)] = chance.choice(
                [b"\r", b"\n", b"\r\n", b" ", b"0", b":", b";", b"\0", chance.randbytes(2)]
            )
        places = [chance.randrange(len(data) + 1) for _ in range(chance.randrange(9))]
        answer = Answer(bytes(data), chance.random() < 0.5, chance.choice(["GET", "HEAD"]))
        assert_alike(answer, list(cut(answer.data, places)))


@given(pieces=st.lists(st.binary(min_size=1, max_size=40), max_size=20), places=st.data())
def test_a_body_in_chunks_comes_out_as_it_went_in(
    pieces: list[bytes], places: st.DataObject
) -> None:
    framed = b"".join(b"%X;n=%d\r\n%b\r\n" % (len(one), len(one), one) for one in pieces)
    data = framed + b"0\r\n\r\nrest"
    cuts = places.draw(st.lists(st.integers(1, len(data)), max_size=10))
    found = read_head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert found is not None
    body = body_of(found[0], "GET")
    taken, rest = b"", b""
    for piece in cut(data, cuts):
        if body.is_over:
            rest += piece
        else:
            taken += body.feed(piece)
    assert taken == b"".join(pieces)
    assert body.rest + rest == b"rest"


def test_chunks_that_come_together_are_one_piece() -> None:
    found = read_head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert found is not None
    body = body_of(found[0], "GET")
    assert body.feed(b"1\r\na\r\n2\r\nbc\r\n") == b"abc"


def test_what_is_malformed_comes_to_light_behind_what_came_before_it() -> None:
    answer = BAD["a size in letters"]
    read = by_ours("GET", [answer.data], closes=False)
    assert (read.body, read.end) == (b"hello", "illegal chunk header: bytearray(b'xyz\\r\\n')")


RECORDINGS = sorted(
    (Path(__file__).parents[2].parent / "shared" / "recordings").glob("*/*/response.*")
)


@pytest.mark.skipif(not RECORDINGS, reason="the folder shared/recordings is not here")
@pytest.mark.parametrize(
    "most", [12_000, pytest.param(10_000_000, marks=pytest.mark.thorough)], ids=["short", "all"]
)
def test_recordings_come_out_as_they_went_in_byte_by_byte(most: int) -> None:
    found = read_head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert found is not None
    for path in RECORDINGS:
        whole = path.read_bytes()
        if len(whole) > most:
            continue
        lines = whole.splitlines(keepends=True)
        data = b"".join(b"%x\r\n%b\r\n" % (len(line), line) for line in lines) + b"0\r\n\r\n"
        for cuts in ([data], [data[at : at + 1] for at in range(len(data))]):
            body = body_of(found[0], "GET")
            assert b"".join(map(body.feed, cuts)) == whole
            assert body.is_over


@pytest.mark.parametrize(
    "line", [b"X:" + b" \t" * 40_000, b"X:" + b"a " * 40_000, b"X: a" + b" " * 80_000]
)
def test_a_line_of_blanks_is_refused_in_time_that_grows_with_its_length(line: bytes) -> None:
    # With a time that grew with its square, this would take a minute.
    with pytest.raises(httpx.RemoteProtocolError, match="illegal header line"):
        read_head(b"HTTP/1.1 200 OK\r\n" + line + b"\0\r\n\r\n")
