"""Cassettes: recorded through a real server on this machine, replayed without one."""

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tether import Agent, ModelError, UsageError
from tether.replay.masking import Masking
from tether.testing._answers import masked_answer
from tether.testing.cassette import Cassette, CassetteError, Mode

pytest_plugins = ["pytester"]

KEY = "sk-very-secret"
SAID = ["The key sk-ve", "ry-secr", "et is grü", "n."]


class _Server:
    """Says the same to everyone, in pieces that cut the key and a character."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    async def serve(self, stream: Any) -> None:
        async with stream:
            head = b""
            while b"\r\n\r\n" not in head:
                head += await stream.receive()
            self.asked.append(head)
            start = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nset-cookie: mine\r\n"
            await stream.send(
                start + b"x-request-id: " + KEY.encode() + b"\r\nconnection: close\r\n\r\n"
            )
            for piece in _pieces():
                await stream.send(piece)
                await anyio.lowlevel.checkpoint()


def _pieces() -> list[bytes]:
    def chunk(delta: dict[str, str], reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        said = json.dumps({"choices": [choice], "model": "m"}, ensure_ascii=False)
        return f"data: {said}\n\n"

    whole = "".join([chunk({"content": "".join(SAID)}), chunk({}, "stop"), "data: [DONE]\n\n"])
    data = whole.encode()
    cuts = [0, data.index(b"very") + 1, data.index("ü".encode()) + 1, len(data)]
    return [data[one:other] for one, other in pairwise(cuts)]


@asynccontextmanager
async def _serving() -> AsyncIterator[tuple[_Server, str]]:
    server = _Server()
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        tasks.start_soon(listener.serve, server.serve)
        yield server, f"http://127.0.0.1:{port}/v1"
        tasks.cancel_scope.cancel()


async def _ask(path: Path, mode: Mode, url: str, prompt: str = "Hello?") -> str:
    cassette = Cassette(path, mode)
    model = cassette(
        "openai-chat:m", base_url=url, **({} if mode == "replay" else {"api_key": KEY})
    )
    try:
        return (await Agent(model).prompt(f"{prompt} {KEY}" if mode != "replay" else prompt)).text
    finally:
        cassette.save()


async def test_what_was_recorded_is_replayed_in_its_pieces_and_without_keys(tmp_path: Path) -> None:
    path = tmp_path / "cassettes" / "x.json"
    async with _serving() as (server, url):
        assert "grün" in await _ask(path, "record", url)
        assert KEY.encode() in server.asked[0]
    text = path.read_text()
    assert "secret is" not in text
    assert "sk-ve" not in text
    assert "mine" not in text
    assert '"x-request-id": "[secret]"' in text
    [exchange] = json.loads(text)["exchanges"]
    assert len(exchange["response"]["pieces"]) >= 2
    assert exchange["request"]["body"]["messages"][-1]["content"] == "Hello? [secret]"
    assert await _ask(path, "replay", url, "Hello? [secret]") == "The key [secret] is grün."
    assert await _ask(path, "record", url) == "The key [secret] is grün."


@pytest.mark.parametrize("secrets", [["rd"], "sk-123456", ["content"]])
def test_what_can_be_no_secret_is_refused_at_once(tmp_path: Path, secrets: Any) -> None:
    cassette = Cassette(tmp_path / "x.json", "record")
    with pytest.raises(UsageError, match="secrets must be"):
        cassette("openai-chat:m", base_url="http://127.0.0.1:1/v1", secrets=secrets)


async def test_a_key_that_is_too_short_to_be_one_masks_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    async with _serving() as (_, url):
        cassette = Cassette(path, "record")
        await Agent(cassette("openai-chat:m", base_url=url, api_key="e")).prompt("Hello?")
        cassette.save()
    assert '"Hello?"' in path.read_text()
    assert "[secret]" not in path.read_text()


async def test_a_changed_request_fails_with_a_diff(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    async with _serving() as (_, url):
        await _ask(path, "record", url)
    for mode in ("replay", "record"):
        with pytest.raises(CassetteError) as caught:
            await _ask(path, "replay" if mode == "replay" else "record", url, "Good bye?")
        assert "--cassettes=rewrite" in str(caught.value)
        assert any(
            line.startswith("-") and "Hello?" in line for line in str(caught.value).splitlines()
        )
        assert any(
            line.startswith("+") and "Good bye?" in line for line in str(caught.value).splitlines()
        )
        assert len(str(caught.value).splitlines()) < 20


async def test_all_is_recorded_anew_on_request(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    async with _serving() as (server, url):
        await _ask(path, "record", url)
        await _ask(path, "rewrite", url, "Good bye?")
        assert len(server.asked) == 2
    assert "Good bye?" in path.read_text()
    assert "Hello?" not in path.read_text()


async def test_what_is_not_recorded_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CassetteError, match=r"nothing is recorded.*--cassettes=record"):
        await _ask(tmp_path / "x.json", "replay", "http://127.0.0.1:1/v1")
    path = tmp_path / "y.json"
    async with _serving() as (_, url):
        await _ask(path, "record", url, "Hello?")
    cassette = Cassette(path)
    agent = Agent(cassette("openai-chat:m", base_url=url))
    await agent.prompt("Hello? [secret]")
    with pytest.raises(CassetteError, match=r"y\.json has 1 requests, and this is one more"):
        await agent.prompt("More")


async def test_a_server_that_is_away_is_recorded_as_nothing(tmp_path: Path) -> None:
    cassette = Cassette(tmp_path / "x.json", "record")
    model = cassette("openai-chat:m", base_url="http://127.0.0.1:1/v1", retry=_once(), api_key=KEY)
    with pytest.raises(ModelError):
        await Agent(model).prompt("Hello?")
    assert not cassette.save()


def _once() -> Any:
    from tether.model import RetryPolicy

    return RetryPolicy(attempts=1)


def test_what_is_no_cassette_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for data, said in (
        ("no", "no cassette"),
        ("[]", "no cassette"),
        ('{"version": 9, "exchanges": []}', "version 9"),
        ('{"version": 1, "exchanges": null}', "no cassette"),
        ('{"version": 1, "exchanges": [{"request": {}}]}', "no cassette.*response"),
        (
            '{"version": 1, "exchanges": [{"request": {}, "response":'
            ' {"status": 200, "headers": {}, "pieces": [1]}}]}',
            "no cassette.*pieces",
        ),
    ):
        path.write_text(data)
        with pytest.raises(UsageError, match=said):
            Cassette(path)


def test_the_fixture_keeps_one_file_for_all_event_loops(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it="""
        import pytest
        from tether import Agent

        @pytest.fixture(params=["asyncio", "trio"])
        def anyio_backend(request):
            return request.param

        @pytest.mark.anyio
        @pytest.mark.parametrize("word", ["a", "b/c"])
        async def test_weather(cassette, word, anyio_backend):
            await Agent(cassette("openai-chat:m", base_url="http://127.0.0.1:1/v1")).prompt(word)
        """
    )
    kept: dict[str, Any] = {"version": 1, "exchanges": []}
    folder = pytester.path / "cassettes" / "test_it"
    folder.mkdir(parents=True)
    for name, word in (("test_weather-a", "a"), ("test_weather-b_c", "b/c")):
        kept["exchanges"] = [_exchange(word)]
        (folder / f"{name}.json").write_text(json.dumps(kept))
    arguments = ("-p", "tether.pytest_plugin", "-p", "no:cacheprovider", "-n", "0", "-q")
    result = pytester.runpytest_inprocess(*arguments)
    result.assert_outcomes(passed=4)
    (folder / "test_weather-a.json").unlink()
    result = pytester.runpytest_inprocess(*arguments)
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(
        ["*nothing is recorded in *test_weather-a.json; pytest --cassettes=record*"]
    )


def _exchange(word: str) -> dict[str, Any]:
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": word}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return {
        "request": {
            "method": "POST",
            "url": "http://127.0.0.1:1/v1/chat/completions",
            "headers": {"content-type": "application/json", "accept": "text/event-stream"},
            "body": body,
        },
        "response": {
            "status": 200,
            "headers": {"content-type": "text/event-stream"},
            "pieces": [piece.decode("utf-8", "replace") for piece in _pieces()],
        },
    }


def _sse(*events: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def _chat(text: str) -> Any:
    return {"choices": [{"index": 0, "delta": {"content": text}}]}


def _argument(call: int, text: str) -> Any:
    function = {"arguments": text}
    return {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": call, **function}]}}]}


def _anthropic(block: int, text: str) -> Any:
    delta = {"type": "text_delta", "text": text}
    return {"type": "content_block_delta", "index": block, "delta": delta}


def _responses(number: int, text: str) -> Any:
    kind = "response.output_text.delta"
    return {"type": kind, "sequence_number": number, "output_index": 0, "delta": text}


def _google(text: str) -> Any:
    return {"candidates": [{"content": {"parts": [{"text": text}]}, "index": 0}]}


SAID_IN_TOKENS = {
    "chat": [_chat(text) for text in ("Say sk-", "very", "-sec", "ret. ü")],
    "calls at once": [
        _argument(*part) for part in ((0, '{"a": "sk-v'), (1, '"sk-ve'), (0, 'ery-secret"}'))
    ]
    + [_argument(1, 'ry-secret"')],
    "anthropic": [_anthropic(*part) for part in ((0, "sk-very-"), (1, "x"), (0, "secret"))],
    "responses": [_responses(*part) for part in enumerate(("sk", "-very-secre", "t", "!"))],
    "google": [_google(text) for text in ("a sk-very-s", "ecret b")],
}


@pytest.mark.parametrize("events", SAID_IN_TOKENS.values(), ids=SAID_IN_TOKENS)
@pytest.mark.parametrize("width", [1, 7, 10_000])
def test_a_secret_that_a_model_says_token_by_token_is_masked(events: list[Any], width: int) -> None:
    whole = _sse(*events)
    pieces = [whole[at : at + width] for at in range(0, len(whole), width)]
    masked = masked_answer(pieces, Masking([KEY]))
    assert len(masked) == len(pieces)
    got = [json.loads(line[6:]) for line in b"".join(masked).split(b"\n\n") if line]
    assert len(got) == len(events)
    said = json.dumps(got)
    assert said.count("[secret]") == (2 if "tool_calls" in said else 1)
    said = said.replace("[secret]", "")
    for part in ("sk", "very", "ery", "ecr"):
        assert part not in said, part


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"data: [DONE]\n\n",
        b'data: {"a": "sk-"\n\ndata: nonsense}\n\n',
        b"\xff\xfe\x00{}\n{" + b"[" * 3000,
        b'{"a": "b"}\n{"a": "c"}\n',
        _sse({"t": "sk-"}, {"u": "very-secret"}),
    ],
)
def test_an_answer_without_a_secret_stays_as_it_is(body: bytes) -> None:
    assert b"".join(masked_answer([body[:9], body[9:]], Masking([KEY]))) == body


HIDDEN = "QXZJ-VWQZXX"

FORMS: dict[str, Callable[[int, str], bytes]] = {
    "chat": lambda _, part: _sse(_chat(part)),
    "one block each": lambda place, part: _sse(_anthropic(place, part)),
    "parts of one event": lambda _, part: _sse({"parts": [{"text": one} for one in ("", part)]}),
    "no JSON": lambda _, part: b'data: {"n": NaN, "text": "%b"}\n\n' % part.encode(),
    "too deep": lambda _, part: (
        b'data: {"text": "%b", "a": %b%b}\n\n' % (part.encode(), b"[" * 3000, b"]" * 3000)
    ),
    "half a character": lambda _, part: b'data: {"text":"%b", "a": "\xff"}\n\n' % part.encode(),
    "cut off": lambda _, part: b'data: {"text":"%b\n\n' % part.encode(),
    "several lines": lambda _, part: b'data: {\ndata: "text": "%b"\ndata: }\n\n' % part.encode(),
    "all, as a document": lambda place, part: (
        b'%b{"text":\n"%b"}' % (b"," if place else b"[", part.encode())
    ),
}


@settings(max_examples=15)
@given(
    st.lists(st.integers(1, len(HIDDEN) - 1), min_size=1, max_size=3), st.sampled_from([7, 9999])
)
@pytest.mark.parametrize("form", FORMS)
def test_a_secret_cut_anywhere_is_masked_whatever_the_events_are(
    form: str, cuts: list[int], width: int
) -> None:
    ends = [0, *sorted({*cuts}), len(HIDDEN)]
    parts = [HIDDEN[one:other] for one, other in pairwise(ends)]
    parts = [f"the {parts[0]}", *parts[1:-1], f"{parts[-1]} ends"]
    body = b"".join(FORMS[form](place, part) for place, part in enumerate(parts))
    body += b"]" * body.startswith(b"[")
    pieces = [body[at : at + width] for at in range(0, len(body), width)]
    masked = b"".join(masked_answer(pieces, Masking([HIDDEN]))).decode("latin-1")
    said = re.findall(r'"(?:text|content)":\s*"([^"\n]*)', masked)
    assert "".join(said).replace("text_delta", "") == "the [secret] ends"
    for part in parts:
        assert part.removeprefix("the ").removesuffix(" ends") not in masked or len(part) < 3


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n", "\r\r"])
@pytest.mark.parametrize("begin", ["data:", "data: ", "data:  "])
def test_events_are_found_however_their_lines_begin_and_end(begin: str, end: str) -> None:
    body = "".join(f'{begin}{{"text":"{part}"}} {end}' for part in ("a key-", "xxyz b"))
    [made] = masked_answer([body.encode()], Masking(["key-xxyz"]))
    assert made.decode() == f'{begin}{{"text":"a [secret]"}} {end}{begin}{{"text":" b"}} {end}'


def test_an_event_that_is_too_deep_to_read_hides_no_secret_in_others() -> None:
    deep = b'data: {"a":' + b"[" * 5000 + b"]" * 5000 + b"}\n"
    pieces = [b'{"text":"key-"}\n', deep, b'{"text":"xxyz"}\n']
    made = masked_answer(pieces, Masking(["key-xxyz"]))
    assert made == [b'{"text":"[secret]"}\n', deep, b'{"text":""}\n']


def test_lines_of_json_are_masked_too() -> None:
    body = b'{"text": "sk-very"}\n{"text": "-secret"}\n'
    assert masked_answer([body], Masking([KEY])) == [b'{"text":"[secret]"}\n{"text":""}\n']
