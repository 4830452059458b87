"""Attempts to have a key shown: by a server that repeats it, an exception that quotes it, an address that holds it."""

import base64
import html
import json
import logging
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import h11
import httpx
import pytest
from tests.models.replay import SSE, events, serving

from tether import Agent, ModelError, ModelRequest, Session, UsageError, UserMessage
from tether.model import RetryPolicy
from tether.models._http.masking import Masking
from tether.models._http.secrets import printable_url
from tether.models.catalogue import model_from_name

KEY = 'sk-proj/a+b&c="d\\e"-0123456789'
REQUEST = ModelRequest(messages=[UserMessage("hi")])

FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "percent": lambda key: quote(key, safe=""),
    "percent, small": lambda key: quote(key, safe="").replace("%2F", "%2f").replace("%3D", "%3d"),
    "percent, twice": lambda key: quote(quote(key, safe=""), safe=""),
    "percent, all of it": lambda key: "".join(f"%{ord(character):02x}" for character in key),
    "JSON": json.dumps,
    "JSON, twice": lambda key: json.dumps(json.dumps(key)),
    "JSON, slashes too": lambda key: json.dumps(key).replace("/", "\\/"),
    "JSON, all of it": lambda key: "".join(f"\\u{ord(character):04X}" for character in key),
    "Python": lambda key: repr(key.encode()),
    "HTML": html.escape,
    "HTML, numbers": lambda key: "".join(f"&#{ord(character)};" for character in key),
    "HTML, hexadecimal": lambda key: "".join(f"&#x{ord(character):x};" for character in key),
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "base64, of an address": lambda key: base64.urlsafe_b64encode(key.encode()).decode(),
    "base64, behind a name": lambda key: base64.b64encode(f"me:{key}".encode()).decode(),
    "base64, before more": lambda key: base64.b64encode(f"x{key}yz".encode()).decode(),
}


def model_with(handle: Callable[[httpx.Request], httpx.Response], **settings: Any) -> Any:
    settings = {
        "base_url": "http://server/v1",
        "api_key": KEY,
        "retry": RetryPolicy(attempts=1),
        "transport": lambda: httpx.MockTransport(handle),
        **settings,
    }
    return model_from_name("openai-chat:m", **settings)


async def failure_of(model: Any) -> ModelError:
    with anyio.fail_after(60), pytest.raises(ModelError) as caught:
        async with model.stream(REQUEST) as deltas:
            _ = [delta async for delta in deltas]
    return caught.value


def everything_of(error: BaseException) -> str:
    """All that a program or a person sees of an error."""
    parts = ["".join(traceback.format_exception(error)), repr(error), str(error), repr(vars(error))]
    parts += [repr(getattr(error, "failure", None))]
    for link in (error.__cause__, error.__context__):
        parts += [] if link is None else [everything_of(link)]
    return "\n".join(parts)


@pytest.mark.parametrize("form", FORMS)
def test_a_key_is_found_in_every_form(form: str) -> None:
    written = FORMS[form](KEY)
    shown = Masking((KEY,)).without(f"<{written}>")
    assert "[key]" in shown
    pieces = (written[at : at + 12] for at in range(len(written) - 12))
    assert not any(piece in shown for piece in pieces)


def test_the_rest_of_a_text_is_left_as_it_is() -> None:
    masking = Masking((KEY, "x"))
    for text in ("100% of x \\n &amp; c\\u0041", "", "sk-proj/", f"a {KEY} b%20c {KEY}\\"):
        assert masking.without(text) == text.replace(KEY, "[key]")


@pytest.mark.parametrize("length", range(4, len(KEY)))
def test_a_key_that_was_cut_at_the_end_of_a_text_is_found(length: int) -> None:
    shown = Masking((KEY,)).without(f"it says 'x{KEY[:length]}' ...", may_be_cut=True)
    assert re.sub(r'["\\]', "", shown) == "it says 'x[key]' ..."


@pytest.mark.parametrize("piece", ["\\", "%", "&#", "sk-", "\\u00"])
def test_a_text_that_is_nearly_a_key_takes_no_time(piece: str) -> None:
    row = piece * 20_000
    assert Masking((KEY, "sk-" * 2000 + "x")).without(row) == row


def repeated(key: str) -> dict[str, httpx.Response]:
    """Answers that repeat a key, each in another place."""
    error = {"error": {"message": f"wrong key {key}", "type": f"a {key}"}, "request_id": key}
    page = f"<html><title>No {html.escape(key)} here</title>"
    ascii_only = key.encode("ascii", "replace").decode()
    return {
        "message": httpx.Response(401, json=error),
        "request id": httpx.Response(401, json={"error": {"message": "no"}, "request_id": key}),
        "header": httpx.Response(401, headers={"x-request-id": ascii_only}),
        "redirect": httpx.Response(307, headers={"location": f"http://x/?k={quote(key)}"}),
        "page": httpx.Response(502, text=page, headers={"content-type": "text/html"}),
        "text": httpx.Response(500, text=f"{'x' * 180}{key}{key}"),
        "broken JSON": httpx.Response(
            200, json=None, text=f'{{"{key}', headers={"content-type": "application/json"}
        ),
        "in the stream": streamed(json.dumps(error)),
        "no JSON in the stream": streamed(f"{{{key}"),
        "cut in the stream": streamed("{" + "x" * 180 + key),
        "nested": httpx.Response(400, json={"detail": [{"msg": [key]}, {"msg": key}]}),
        "wait": httpx.Response(429, headers={"retry-after": ascii_only}),
    }


def streamed(*data: str) -> httpx.Response:
    return httpx.Response(200, headers={"content-type": SSE}, content=events(*data))


@pytest.mark.parametrize("place", repeated(KEY))
async def test_a_server_that_repeats_the_key_does_not_have_it_shown(place: str) -> None:
    error = await failure_of(model_with(lambda _: repeated(KEY)[place]))
    everything = everything_of(error)
    assert not any(KEY[at : at + 8] in everything for at in range(len(KEY) - 8))


async def test_a_key_that_comes_in_two_pieces_is_one_key() -> None:
    body = json.dumps({"error": {"message": f"wrong: {KEY}"}}).encode()

    async def handler(exchange: Any) -> None:
        half = len(body) - 20
        await exchange.answer(body[:half], body[half:], status=401, kind="application/json")

    async with serving(handler) as server:
        model = model_from_name("openai-chat:m", base_url=server.url, api_key=KEY)
        error = await failure_of(model)
    assert error.message == "wrong: [key]"


HELD: dict[str, dict[str, Any]] = {
    "bearer": {"headers": {"Authorization": "Bearer hunter2-hunter2"}},
    "basic": {
        "headers": {"authorization": f"Basic {base64.b64encode(b'me:hunter2-hunter2').decode()}"}
    },
    "cookie": {"headers": {"cookie": "a=b; session=hunter2-hunter2"}},
    "header of a gateway": {"headers": {"x-gateway": "hunter2-hunter2"}},
    "parameter": {"base_url": "http://server/v1?key=hunter2-hunter2&api-version=1"},
    "password": {"base_url": "http://me:hunter2-hunter2@server/v1"},
    "user": {"base_url": "http://hunter2-hunter2@server/v1"},
    "escaped password": {"base_url": "http://me:hunter2%2Dhunter2@server/v1"},
    "function": {"api_key": lambda: "hunter2-hunter2"},
}


@pytest.mark.parametrize("held", HELD)
async def test_whatever_holds_a_secret_it_is_kept(held: str) -> None:
    model = model_with(lambda _: repeated("hunter2-hunter2")["message"], **HELD[held])
    error = await failure_of(model)
    assert "hunter2" not in everything_of(error) + repr(model)
    assert (error.message, error.request_id) == ("wrong key [key]", "[key]")


async def test_what_is_no_secret_is_shown() -> None:
    model = model_with(
        lambda _: httpx.Response(
            400, json={"error": {"message": "beta-2025-01 and x are unknown"}}
        ),
        headers={"anthropic-beta": "beta-2025-01"},
        api_key="x",
        base_url="http://server/v1?api-version=2025-01",
    )
    assert (await failure_of(model)).message == "beta-2025-01 and x are unknown"
    assert "api-version=2025-01" in repr(model)


QUOTING: dict[str, Callable[[], Exception]] = {
    "text": lambda: httpx.ReadError(f"lost with {KEY}"),
    "bytes": lambda: httpx.LocalProtocolError(f"Illegal header value {KEY.encode()!r}"),
    "attribute": lambda: UnicodeEncodeError("ascii", KEY, 0, 1, "no"),
    "cause": lambda: caused(httpx.ConnectError("refused"), h11.LocalProtocolError(KEY)),
    "cause of a cause": lambda: caused(
        httpx.ConnectError("refused"), caused(ValueError("x"), OSError(1, KEY))
    ),
}


@pytest.mark.parametrize("way", QUOTING)
async def test_an_exception_that_quotes_the_key_is_no_cause(way: str) -> None:
    def handle(_: httpx.Request) -> httpx.Response:
        raise QUOTING[way]()

    assert KEY[8:] not in everything_of(await failure_of(model_with(handle)))


def caused(error: Exception, by: Exception) -> Exception:
    error.__cause__ = error.__context__ = by
    return error


@pytest.mark.parametrize(
    "settings",
    [
        {"headers": {"authorization": "Bearer hunter2-hunter2\n"}},
        {"headers": {"x-token": "hunter2-hunter2\0"}},
        {"headers": {"x-token": "hunter2-hunter2 "}},
        {"headers": {"x-token": "hunter2-\u00e9-hunter2"}},
        {"headers": {"x-token": b"hunter2-hunter2"}},
        {"headers": {"hunter2 hunter2": "x"}},
        {"headers": {"hunter2-hunter2:": "x"}},
        {"api_key": "hunter2\r\nhunter2"},
        {"api_key": "hunter2-\x7f-hunter2"},
        {"base_url": "ftp://me:hunter2-hunter2@server"},
        {"base_url": "http://me:hunter2-hunter2@[server"},
    ],
)
def test_what_cannot_be_sent_is_refused_when_it_is_given_without_showing_it(settings: Any) -> None:
    with pytest.raises(UsageError) as refused:
        model_with(lambda _: httpx.Response(200), **settings)
    error = refused.value
    assert "hunter2" not in f"{error} {error!r} {error.__cause__} {error.__context__}"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://server/v1", "http://server/v1"),
        ("http://me:pass@server/v1", "http://server/v1"),
        ("http://me@server/v1", "http://server/v1"),
        ("http://user:pa/ss@server/v1", "http://server/v1"),
        ("http://user:pa?ss@server/v1?key=a", "http://server/v1?key=[key]"),
        ("http://user:pa#ss@server/v1", "http://server/v1"),
        ("http://user:pa@ss@server/v1", "http://server/v1"),
        ("http://user:12/ss@server/v1", "http://server/v1"),
        ("https://server/v1/@cf/m", "https://server/v1/@cf/m"),
        ("http://server/v1?key=a&api-version=2", "http://server/v1?key=[key]&api-version=2"),
        ("http://server/v1?abc", "http://server/v1?[key]"),
        ("http://server/v1#abc", "http://server/v1"),
    ],
)
def test_an_address_is_shown_without_what_is_secret_in_it(url: str, shown: str) -> None:
    assert printable_url(url) == shown


@pytest.mark.parametrize(
    "url", ["http://user:pa/ss-word@127.0.0.1:1/v1", "http://user:wordword@a:b:c"]
)
async def test_an_address_that_cannot_be_read_is_told_without_its_password(url: str) -> None:
    everything = everything_of(await failure_of(model_from_name("vllm:m", base_url=url)))
    assert not any(part in everything for part in ("pa/", "'pa'", "ss-word", "wordword"))


async def test_a_password_in_the_address_is_sent() -> None:
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(500)

    await failure_of(model_with(handle, base_url="http://me:p%2Fw@server/v1?key=k"))
    [request] = seen
    assert request.headers["authorization"] == f"Basic {base64.b64encode(b'me:p/w').decode()}"
    assert request.url.query == b"key=k"


async def test_no_log_holds_an_address_or_a_key(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(exchange: Any) -> None:
        await exchange.answer(
            b'{"error":{"message":"hunter2-hunter2"}}', status=503, kind="text/plain"
        )

    caplog.set_level(logging.DEBUG)
    async with serving(handler) as server:
        url = server.url.replace("http://", "http://me:hunter2-hunter2@") + "?key=hunter2-hunter2"
        retry = RetryPolicy(attempts=2, wait_initial=0)
        model = model_from_name("vllm:m", base_url=url, api_key="hunter2-hunter2", retry=retry)
        with pytest.raises(ModelError):
            await Agent(model).prompt("hi")
    assert caplog.records != []
    assert "hunter2" not in "\n".join(record.getMessage() for record in caplog.records)


def chunk(text: str, **fields: Any) -> str:
    return json.dumps({"choices": [{"index": 0, "delta": {"content": text}, **fields}]})


async def test_what_a_server_reports_of_a_reply_holds_no_key_and_the_text_is_left(
    tmp_path: Path,
) -> None:
    facts = json.dumps({"id": f"r-{KEY}", "model": f"m-{KEY}", "citations": [{KEY: [KEY]}]})
    answers = iter(
        [
            httpx.Response(429, json={"error": {"message": KEY, "request_id": KEY}}),
            streamed(facts, chunk(f"You said {KEY}."), chunk("", finish_reason="stop"), "[DONE]"),
        ]
    )
    model = model_with(lambda _: next(answers), retry=RetryPolicy(attempts=2, wait_initial=0))
    with Session.open(tmp_path / "s.jsonl") as session:
        agent = Agent(model, session=session)
        async with agent.run("hi") as run:
            seen = [event async for event in run]
    reply: Any = (await run.result()).messages[-1]
    assert reply.text == f"You said {KEY}."
    assert (reply.model, reply.response_id) == ("m-[key]", "r-[key]")
    assert reply.details == {"citations": [{"[key]": ["[key]"]}]}
    kept = (tmp_path / "s.jsonl").read_text()
    said = json.dumps(f"You said {KEY}.")
    assert json.dumps(KEY)[1:-1] not in kept.replace(said[1:-1], "")
    assert KEY not in repr([event for event in seen if f"You said {KEY}" not in repr(event)])
