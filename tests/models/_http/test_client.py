"""A model over HTTP, against a real server on loopback: what goes wrong, and what it costs to leave."""

import asyncio
import functools
import gc
import json
import sys
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.abc
import httpx
import pytest
from tests.models.replay import SSE, Exchange, Server, events, serving, until_closed

from tether import (
    Agent,
    Model,
    ModelError,
    ModelRequest,
    ModelRetry,
    TextDelta,
    UsageError,
    UserMessage,
    fallback,
    model_from_name,
)
from tether.deltas import ReplyEnd
from tether.model import RetryPolicy

REQUEST = ModelRequest(messages=[UserMessage("hi")])
GUARD = 60


def chunk(text: str = "", **fields: Any) -> str:
    choice = {"index": 0, "delta": {"content": text} if text else {}, **fields}
    return json.dumps({"id": "r1", "model": "m", "choices": [choice]})


WHOLE = events(chunk("Hel"), chunk("lo"), chunk(finish_reason="stop"), "[DONE]")


def model_at(server: Server, **settings: Any) -> Model:
    settings = {"retry": RetryPolicy(attempts=1), "api_key": "sk-secret", **settings}
    return model_from_name("openai-chat:m", base_url=server.url, **settings)


async def text_of(model: Model) -> str:
    with anyio.fail_after(GUARD):
        async with model.stream(REQUEST) as deltas:
            return "".join([delta.text async for delta in deltas if isinstance(delta, TextDelta)])


async def failure_of(model: Model) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await text_of(model)
    return caught.value


def answering(*body: bytes, **settings: Any) -> Callable[[Exchange], Any]:
    async def handler(exchange: Exchange) -> None:
        await exchange.answer(*body, **settings)

    return handler


@asynccontextmanager
async def stalling(*body: bytes) -> AsyncIterator[tuple[Server, anyio.Event]]:
    """Serve a beginning, then nothing; the event is set when the client has gone."""
    gone = anyio.Event()

    async def handler(exchange: Exchange) -> None:
        await exchange.start()
        for piece in body:
            await exchange.send(piece)
        await until_closed(exchange)
        gone.set()

    async with serving(handler) as server:
        yield server, gone


async def test_a_reply_is_streamed_and_the_request_says_what_it_should() -> None:
    async with serving(answering(WHOLE)) as server:
        assert await text_of(model_at(server)) == "Hello"
    [exchange] = server.exchanges
    assert b"authorization: Bearer sk-secret" in exchange.head
    assert exchange.head.startswith(b"POST /chat/completions ")
    assert json.loads(exchange.body)["messages"] == [{"role": "user", "content": "hi"}]


async def test_a_reply_ends_with_its_last_event_also_where_the_server_keeps_the_stream_open() -> (
    None
):
    async with stalling(WHOLE) as (server, gone):
        assert await text_of(model_at(server)) == "Hello"
        with anyio.fail_after(GUARD):
            await gone.wait()


async def test_requests_of_a_connected_model_share_a_connection() -> None:
    async with serving(answering(WHOLE)) as server:
        model: Any = model_at(server)
        async with model.connected() as connected:
            for _ in range(3):
                assert await text_of(connected) == "Hello"
        assert server.connections == 1


async def test_the_turns_of_a_run_share_a_connection() -> None:
    call = {"index": 0, "id": "c", "function": {"name": "nope", "arguments": "{}"}}
    calling = events(
        chunk(delta={"tool_calls": [call]}), chunk(finish_reason="tool_calls"), "[DONE]"
    )

    async def handler(exchange: Exchange) -> None:
        await exchange.answer(WHOLE if b'"tool"' in exchange.body else calling)

    async with serving(handler) as server:
        assert (await Agent(model_at(server)).prompt("hi")).text == "Hello"
        assert (len(server.exchanges), server.connections) == (2, 1)


@pytest.fixture
def unfinished() -> Iterator[list[str]]:
    """The async generators that nobody finished: trio warns of them, asyncio finishes them in silence."""
    hooks = sys.get_asyncgen_hooks()
    found: list[str] = []
    yield found
    sys.set_asyncgen_hooks(*hooks)


def watch_generators(found: list[str]) -> None:
    """Note each async generator of this thread that the garbage collector has to finish."""
    theirs = sys.get_asyncgen_hooks()

    def finalizer(generator: AsyncGenerator[Any, Any]) -> None:
        found.append(repr(generator))
        if theirs.finalizer is not None:
            theirs.finalizer(generator)

    sys.set_asyncgen_hooks(theirs.firstiter, finalizer)


@pytest.mark.parametrize("way", ["break", "raise", "cancel", "read on"])
async def test_leaving_early_closes_the_connection_at_once_and_leaks_nothing(
    way: str, unfinished: list[str]
) -> None:
    watch_generators(unfinished)
    async with stalling(events(chunk("Hel"))) as (server, gone):
        with anyio.fail_after(GUARD), anyio.CancelScope() as scope:
            try:
                async with model_at(server).stream(REQUEST) as deltas:
                    async for delta in deltas:
                        if not isinstance(delta, TextDelta):
                            continue
                        if way == "break":
                            break
                        if way == "raise":
                            raise LookupError
                        scope.cancel()
                        if way == "cancel":
                            await anyio.lowlevel.checkpoint()
            except LookupError:
                pass
        with anyio.fail_after(GUARD):
            await gone.wait()
    gc.collect()
    assert unfinished == []


@pytest.mark.parametrize(
    ("status", "kind_of_body", "body", "kind", "message"),
    [
        (
            401,
            "application/json",
            b'{"error":{"message":"bad key sk-secret"}}',
            "authentication",
            "bad key [key]",
        ),
        (403, "application/json", b'{"error":{"message":"no"}}', "permission", "no"),
        (
            404,
            "application/json",
            b'{"error":{"message":"no such model"}}',
            "not_found",
            "no such model",
        ),
        (429, "application/json", b'{"error":{"message":"slow down"}}', "rate_limit", "slow down"),
        (529, "application/json", b'{"error":{"message":"busy"}}', "overloaded", "busy"),
        (500, "application/json", b'{"detail":"oops"}', "server", "oops"),
        (
            400,
            "application/json",
            b'{"error":{"message":"This model\'s maximum context length is 8192 tokens."}}',
            "context_overflow",
            "This model's maximum context length is 8192 tokens.",
        ),
        (
            400,
            "application/json",
            b'{"error":{"code":"content_filter","message":"filtered"}}',
            "content_filter",
            "filtered",
        ),
        (400, "application/json", b'[{"error":{"message":"listed"}}]', "invalid_request", "listed"),
        (
            502,
            "text/html",
            b"<html><head><title>Bad Gateway</title></head></html>",
            "server",
            "the server answered HTTP 502 with an HTML page: Bad Gateway",
        ),
        (503, "text/plain", b"", "overloaded", "the server answered HTTP 503 with an empty body"),
        (200, "application/json", b'{"error":{"message":"not here"}}', "malformed", "not here"),
        (
            200,
            "text/html",
            b"<html></html>",
            "malformed",
            "the server answered HTTP 200 with an HTML page",
        ),
    ],
)
async def test_an_answer_that_is_no_reply_has_its_kind_and_its_message(
    status: int, kind_of_body: str, body: bytes, kind: str, message: str
) -> None:
    handler = answering(body, status=status, kind=kind_of_body, headers={"x-request-id": "q1"})
    async with serving(handler) as server:
        error = await failure_of(model_at(server))
    assert (error.kind, error.message, error.status, error.request_id) == (
        kind,
        message,
        status,
        "q1",
    )


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        # What stands inside counts where the answer itself says that all is well.
        ({"error": {"code": 429, "message": "m"}}, "rate_limit", 429),
        ({"error": {"code": "context_length_exceeded", "message": "m"}}, "context_overflow", 200),
        ({"error": {"code": "odd", "message": "m"}}, "malformed", 200),
    ],
)
async def test_an_error_that_is_answered_with_200_has_the_kind_it_names(
    body: Any, kind: str, status: int
) -> None:
    handler = answering(json.dumps(body).encode(), kind="application/json; charset=utf-8")
    async with serving(handler) as server:
        error = await failure_of(model_at(server))
    assert (error.kind, error.message, error.status) == (kind, "m", status)


async def test_a_redirect_says_where_to() -> None:
    handler = answering(b"", status=307, headers={"location": "https://elsewhere/v1"})
    async with serving(handler) as server:
        error = await failure_of(model_at(server))
    assert (error.kind, error.status) == ("invalid_request", 307)
    assert "https://elsewhere/v1" in error.message


async def test_an_error_whose_body_breaks_off_is_still_that_error() -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.start(401, "application/json")
        await exchange.send(b'{"error":{"message":"no')
        await exchange.stream.aclose()

    async with serving(handler) as server:
        error = await failure_of(model_at(server))
    assert (error.kind, error.status) == ("authentication", 401)


async def test_the_body_of_an_error_is_bounded() -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.start(500, "text/plain")
        while True:
            await exchange.send(b"x" * 10_000)

    async with serving(handler) as server:
        error = await failure_of(model_at(server))
    assert len(error.message) < 300


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"Wrong key: sk-secret", 401, "text/plain"),
        (events(chunk("Hel"), '{"error":{"message":"Wrong key: sk-secret"}}'), 200, SSE),
        (events('{"sk-secret":'), 200, SSE),
    ],
)
async def test_a_key_is_in_no_error_and_no_repr(body: bytes, status: int, kind: str) -> None:
    async with serving(answering(body, status=status, kind=kind)) as server:
        model = model_at(server)
        error = await failure_of(model)
    assert "[key]" in error.message
    assert "sk-secret" not in f"{error} {error!r} {error.failure} {error.partial} {model!r}"


@pytest.mark.parametrize("key", ["sk-secret\nx", "sk-s\u00e9cret", "sk-\x00secret"])
async def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(UsageError) as refused:
        model_from_name("openai-chat:m", base_url="http://x", api_key=key)
    async with serving(answering(WHOLE)) as server:
        error = await failure_of(model_at(server, api_key=lambda: key))
    assert (error.kind, server.exchanges) == ("authentication", [])
    assert key not in f"{error} {error!r} {refused.value} {refused.value!r}"


async def test_a_key_that_is_no_text_is_refused() -> None:
    async with serving(answering(b"")) as server:
        error = await failure_of(model_at(server, api_key=lambda: 5))
    assert (error.kind, error.message) == (
        "authentication",
        "the key must be text, and its function returned int",
    )


async def test_the_line_end_of_a_key_from_a_file_is_left_out() -> None:
    async with serving(answering(WHOLE)) as server:
        await text_of(model_at(server, api_key="sk-file\n"))
    assert b"authorization: Bearer sk-file\r\n" in server.exchanges[0].head


async def test_a_password_in_the_address_is_in_no_error_and_no_repr() -> None:
    model = model_from_name("openai-chat:m", base_url="http://me:hidden@127.0.0.1:1", api_key="k")
    error = await failure_of(model)
    assert error.message.startswith("cannot connect to http://127.0.0.1:1")
    assert "hidden" not in f"{error} {error!r} {model!r}"


async def test_what_the_block_raises_leaves_it_as_it_is() -> None:
    """Only what our own request raises is a ModelError: a consumer may use httpx as well."""
    mistake = httpx.ReadError("the consumer's own")
    async with serving(answering(WHOLE)) as server:
        with pytest.raises(httpx.ReadError) as caught:
            async with model_at(server).stream(REQUEST):
                raise mistake
    assert caught.value is mistake


@pytest.mark.parametrize("body", [b"", WHOLE[:40], events(chunk("Hel"))])
async def test_a_stream_that_just_stops_is_a_lost_connection(body: bytes) -> None:
    async with serving(answering(body)) as server:
        error = await failure_of(model_at(server))
    assert error.kind == "connection"


async def test_a_connection_that_breaks_is_a_lost_connection() -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.start()
        await exchange.send(events(chunk("Hel")))
        await exchange.stream.aclose()

    async with serving(handler) as server:
        error = await failure_of(model_at(server))
    assert error.kind == "connection"
    assert isinstance(error.__cause__, httpx.HTTPError)
    assert error.partial is not None
    assert (error.partial.text, error.partial.stop_reason) == ("Hel", "error")


async def test_nobody_listening_is_a_connection_error() -> None:
    async with serving(answering()) as server:
        pass
    error = await failure_of(model_at(server))
    assert error.kind == "connection"
    assert error.message.startswith(f"cannot connect to {server.url}: ")


async def test_a_server_that_does_not_speak_tls_is_a_connection_error() -> None:
    async def plainly(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    url = f"https://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}"
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, plainly)
        error = await failure_of(model_from_name("openai-chat:m", base_url=url, api_key="k"))
        tasks.cancel_scope.cancel()
    assert error.kind == "connection"
    assert error.message.startswith(f"cannot connect to {url}: ")


@pytest.mark.parametrize(
    ("raised", "kind", "message"),
    [
        (httpx.ConnectTimeout(""), "timeout", "no connection to http://x within 3 s"),
        (httpx.PoolTimeout(""), "timeout", "no connection to http://x within 3 s"),
        (httpx.WriteTimeout(""), "timeout", "openai-chat:m did not take the request for 5 s"),
        (httpx.ReadTimeout(""), "timeout", "openai-chat:m did not answer within 5 s"),
        (httpx.ProxyError("407"), "connection", "cannot connect to http://x: 407"),
        # So trio says that a name is too long; asyncio asks for its address, and finds none.
        (
            UnicodeError("label too long"),
            "invalid_request",
            "'http://x' is no base URL: label too long",
        ),
        (
            httpx.RemoteProtocolError("Server disconnected"),
            "connection",
            "the connection to openai-chat:m was lost: Server disconnected",
        ),
        (httpx.ReadError(""), "connection", "the connection to openai-chat:m was lost: ReadError"),
    ],
)
async def test_what_the_network_does_is_told_in_our_words(
    raised: Exception, kind: str, message: str
) -> None:
    def handle(_: httpx.Request) -> httpx.Response:
        raise raised

    error = await failure_of(
        model_from_name(
            "openai-chat:m",
            base_url="http://x",
            api_key="k",
            connect_timeout=3,
            first_byte_timeout=5,
            transport=lambda: httpx.MockTransport(handle),
        )
    )
    assert (error.kind, error.message, error.__cause__) == (kind, message, raised)


@pytest.mark.parametrize("url", ["http://a:b:c", "http:///x", "http://x\x00y", "http://\ufffd"])
async def test_an_address_that_is_none_is_told(url: str) -> None:
    error = await failure_of(model_from_name("vllm:m", base_url=url))
    assert error.kind == "invalid_request"
    assert error.message.startswith(f"{url!r} is no base URL: ")


async def test_a_server_that_goes_silent_is_a_timeout() -> None:
    async with stalling(events(chunk("Hel"))) as (server, _):
        error = await failure_of(model_at(server, idle_timeout=0.5))
    assert error.kind == "timeout"
    assert error.message == "openai-chat:m was silent for 0.5 s within its answer"
    assert error.partial is not None
    assert error.partial.text == "Hel"


async def test_a_server_that_never_answers_is_a_timeout() -> None:
    async with serving(until_closed) as server:
        error = await failure_of(model_at(server, first_byte_timeout=0.05))
    assert error.kind == "timeout"
    assert error.message == "openai-chat:m did not answer within 0.05 s"


async def test_a_slow_consumer_does_not_trip_the_idle_timeout() -> None:
    async with serving(answering(*[events(chunk("x"))] * 3, WHOLE)) as server:
        texts: list[str] = []
        async with model_at(server, idle_timeout=2).stream(REQUEST) as deltas:
            async for delta in deltas:
                if isinstance(delta, TextDelta):
                    await anyio.sleep(0 if texts else 2.2)
                    texts.append(delta.text)
    assert texts == ["x", "x", "x", "Hel", "lo"]


async def test_a_failure_that_passes_is_tried_again_and_told_as_an_event() -> None:
    answers = iter([(b"", 503), (b"", 503), (WHOLE, 200)])

    async def handler(exchange: Exchange) -> None:
        body, status = next(answers)
        await exchange.answer(body, status=status)

    async with serving(handler) as server:
        agent = Agent(model_at(server, retry=RetryPolicy(attempts=3, wait_initial=0.01)))
        async with agent.run("hi") as run:
            seen = [event async for event in run]
    retries = [event for event in seen if isinstance(event, ModelRetry)]
    assert [(retry.attempt, retry.error.kind) for retry in retries] == [
        (1, "overloaded"),
        (2, "overloaded"),
    ]
    assert (await run.result()).text == "Hello"


async def test_a_failure_after_the_first_delta_is_not_tried_again() -> None:
    async with serving(answering(events(chunk("Hel")))) as server:
        agent = Agent(model_at(server, retry=RetryPolicy(attempts=3, wait_initial=0.01)))
        with pytest.raises(ModelError):
            await agent.prompt("hi")
        assert len(server.exchanges) == 1


async def test_a_wait_named_by_the_server_is_kept_and_ends_at_once_when_cancelled() -> None:
    async with serving(answering(b"", status=429, headers={"retry-after": "20"})) as server:
        agent = Agent(model_at(server, retry=RetryPolicy(attempts=3)))
        with anyio.fail_after(GUARD):
            async with agent.run("hi") as run:
                async for event in run:
                    if isinstance(event, ModelRetry):
                        assert event.delay == 20
                        break


async def test_a_key_may_be_a_function_that_is_asked_at_each_request() -> None:
    keys = iter(["one", "two"])

    async def key() -> str:
        return next(keys)

    async with serving(answering(WHOLE)) as server:
        model = model_at(server, api_key=key)
        await text_of(model)
        await text_of(model)
    assert [
        b"Bearer one" in server.exchanges[0].head,
        b"Bearer two" in server.exchanges[1].head,
    ] == [True, True]


async def test_the_last_delta_carries_the_message() -> None:
    async with serving(answering(WHOLE)) as server, model_at(server).stream(REQUEST) as deltas:
        *_, last = [delta async for delta in deltas]
    assert isinstance(last, ReplyEnd)
    assert (last.message.text, last.message.response_id) == ("Hello", "r1")


async def test_a_reply_is_whole_though_the_connection_breaks_behind_it() -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.start()
        await exchange.send(WHOLE)
        await exchange.stream.aclose()

    async with serving(handler) as server:
        assert await text_of(model_at(server)) == "Hello"


async def test_a_reply_without_end_is_cut_off_where_it_grows_too_large() -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.start()
        while True:
            await exchange.send(events(chunk("x" * 1000)))

    async with serving(handler) as server:
        error = await failure_of(model_at(server, max_reply_size=50_000))
    assert (error.kind, error.message) == ("malformed", "the reply is larger than it may be")


async def test_an_event_without_end_is_refused() -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.start()
        while True:
            await exchange.send(b"data: " + b"x" * 1_000_000)

    async with serving(handler) as server:
        error = await failure_of(model_at(server))
    assert error.kind == "malformed"
    assert "more than 33,554,432 bytes" in error.message


async def test_an_answer_that_is_packed_though_we_did_not_ask_for_it_is_read() -> None:
    handler = answering(zlib.compress(WHOLE), headers={"content-encoding": "deflate"})
    async with serving(handler) as server:
        assert await text_of(model_at(server)) == "Hello"


async def test_an_answer_that_is_packed_wrongly_is_malformed() -> None:
    handler = answering(b"\xff\xfe not deflate", headers={"content-encoding": "deflate"})
    async with serving(handler) as server:
        assert (await failure_of(model_at(server))).kind == "malformed"


async def test_a_text_with_half_a_surrogate_pair_can_be_sent() -> None:
    request = ModelRequest(messages=[UserMessage("a\ud83db")])
    async with serving(answering(WHOLE)) as server, model_at(server).stream(request) as deltas:
        _ = [delta async for delta in deltas]
    assert json.loads(server.exchanges[0].body)["messages"] == [{"role": "user", "content": "a?b"}]


async def test_a_model_can_be_used_again_on_another_event_loop() -> None:
    """It holds nothing between its uses: the same object runs here and in a thread with its own loop."""
    async with serving(answering(WHOLE)) as server:
        model = model_at(server)
        assert await text_of(model) == "Hello"
        for backend in ("asyncio", "trio"):
            elsewhere = functools.partial(anyio.run, text_of, model, backend=backend)
            assert await anyio.to_thread.run_sync(elsewhere) == "Hello"


async def test_a_consumer_that_catches_a_timeout_cannot_go_on_to_wait_for_long() -> None:
    """There is one deadline for a request and the block that reads its reply; the block then raises it."""
    waited = False
    async with stalling(events(chunk("Hel"))) as (server, _):
        with pytest.raises(ModelError, match=r"was silent for 0\.01 s") as caught:
            async with model_at(server, idle_timeout=0.01).stream(REQUEST) as deltas:
                with pytest.raises(ModelError) as first:
                    async for _ in deltas:
                        pass
                await anyio.sleep(GUARD)
                waited = True
    assert caught.value is first.value
    assert not waited


async def test_a_timeout_leaves_nobody_cancelled(anyio_backend_name: str) -> None:
    async with stalling(events(chunk("Hel"))) as (server, _):
        await failure_of(model_at(server, idle_timeout=0.01))
        await failure_of(model_at(server, idle_timeout=0.01))
    await anyio.sleep(0.001)
    if anyio_backend_name == "asyncio":
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0


async def test_a_cancellation_is_no_timeout() -> None:
    async with stalling(events(chunk("Hel"))) as (server, gone):
        with anyio.fail_after(GUARD):
            with anyio.CancelScope() as scope:
                async with model_at(server).stream(REQUEST) as deltas:
                    async for delta in deltas:
                        if isinstance(delta, TextDelta):
                            scope.deadline = anyio.current_time()
            assert scope.cancelled_caught
            await gone.wait()


async def test_a_timeout_in_one_model_lets_the_next_one_answer() -> None:
    async with stalling() as (silent, _), serving(answering(WHOLE)) as server:
        model = fallback(model_at(silent, first_byte_timeout=0.01), model_at(server))
        assert await text_of(model) == "Hello"
