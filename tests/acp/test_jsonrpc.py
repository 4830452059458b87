"""Messages in lines, however the bytes arrive; and a connection that others use badly."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.acp.editor import editing, scripted
from tests.strategies import json_values, names

from tether.acp.connection import _Asked
from tether.acp.jsonrpc import (
    Fault,
    Lines,
    Notification,
    Request,
    Response,
    RpcError,
    read,
    written,
)

ids = st.integers(-5, 5) | names
messages = (
    st.builds(Request, ids, names, json_values)
    | st.builds(Notification, names, json_values)
    | st.builds(Response, ids, json_values)
)


@given(st.lists(messages, max_size=5), st.data())
def test_what_was_written_is_read_wherever_it_is_cut(said: list[Any], data: st.DataObject) -> None:
    whole = b"".join(map(written, said))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    lines = Lines(10_000)
    parts = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert [read(line) for part in parts for line in lines.feed(part)] == said


def test_a_line_that_is_too_long_ends_the_reading() -> None:
    lines = Lines(10)
    assert list(lines.feed(b"0123456789\n01234")) == [b"0123456789"]
    with pytest.raises(RpcError, match="more than 10 bytes"):
        list(lines.feed(b"5678901"))


@pytest.mark.parametrize(
    ("line", "code", "id_"),
    [
        (b"garbage", -32700, None),
        (b"\xff\xfe", -32700, None),
        (b"[" * 100_000, -32700, None),
        (b"[]", -32600, None),
        (b'[{"jsonrpc":"2.0","id":1,"method":"x"}]', -32600, None),
        (b"{}", -32600, None),
        (b'{"jsonrpc":"1.0","id":1,"method":"x"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":7}', -32600, 7),
        (b'{"jsonrpc":"2.0","id":7,"method":5}', -32600, 7),
        (b'{"jsonrpc":"2.0","id":{},"method":"x"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":7,"error":"bad"}', -32600, 7),
    ],
)
def test_a_line_that_is_no_message_is_answered(line: bytes, code: int, id_: Any) -> None:
    fault = read(line)
    assert isinstance(fault, Fault)
    assert fault.answer.error is not None
    assert (fault.answer.error.code, fault.answer.id) == (code, id_)
    assert json.loads(written(fault.answer))["id"] == id_


def test_blank_lines_are_passed_over() -> None:
    assert [read(line) for line in (b"", b" ", b"\r")] == [None, None, None]


async def test_a_client_that_does_not_know_the_protocol_does_no_harm() -> None:
    async with editing(scripted("Hello.")) as editor:
        connection = editor._connection[0]
        for line in (b"garbage\n", b"[]\n", b'{"jsonrpc":"2.0","id":99,"result":{}}\n\n'):
            await connection._output.send(line)
        await editor.notify("no/such", x=1)
        await editor.notify("session/cancel", sessionId="no such")
        odd_ids: list[Any] = [12345, [1], {}, None, 1.5]
        for id_ in odd_ids:
            await editor.notify("$/cancel_request", requestId=id_)
        answer = await editor.request("initialize", protocolVersion=999)
        assert answer["protocolVersion"] == 1


@pytest.mark.parametrize(
    ("method", "answer"),
    [("session/cancel", {"stopReason": "cancelled"}), ("$/cancel_request", "cancelled")],
)
async def test_a_cancellation_finds_a_prompt_that_comes_in_the_same_bytes(
    tmp_path: Path, method: str, answer: object
) -> None:
    async with editing(scripted("Hello.")) as editor:
        session = await editor.new(tmp_path)
        connection = editor._connection[0]
        asked = connection._asked["one"] = _Asked()
        said = {"sessionId": session, "prompt": [{"type": "text", "text": "Hi"}]}
        prompt = written(Request("one", "session/prompt", said))
        cancel = written(Notification(method, {"sessionId": session, "requestId": "one"}))
        await connection._output.send(prompt + cancel)
        await asked.answered.wait()
        assert asked.response is not None
        error = asked.response.error
        assert (asked.response.result if error is None else error.message) == answer


async def test_requests_that_are_open_at_the_end_fail() -> None:
    async with editing(scripted("Hello.")) as editor:
        connection = editor._connection[0]
        await editor.request("initialize", protocolVersion=1)
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                with pytest.raises(RpcError, match="has ended"):
                    await connection.request("session/new", {"cwd": "/nowhere"})

            connection._asked.clear()
            tasks.start_soon(ask)
            while not connection._asked:
                await anyio.lowlevel.checkpoint()
            connection.close()
