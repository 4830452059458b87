"""The standard streams, kept for the protocol; and the command, started as an editor starts it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.waiting import until_blocked

from tether.acp.stdio import _Input, _Output

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")


async def test_a_message_that_was_begun_is_written_whole() -> None:
    """Also where its task is cancelled meanwhile, and the reader is slow."""
    source, sink = os.pipe()
    message = b"x" * 300_000 + b"\n"
    received = bytearray()
    try:
        with anyio.fail_after(30):
            async with anyio.create_task_group() as readers:

                async def read() -> None:
                    while not received.endswith(b"\n"):
                        received.extend(await _Input(source).receive())

                async with anyio.create_task_group() as writers:
                    writers.start_soon(_Output(sink).send, message)
                    await until_blocked()
                    readers.start_soon(read)
                    writers.cancel_scope.cancel()
    finally:
        os.close(source)
        os.close(sink)
    assert bytes(received) == message


async def test_the_ends_of_pipes() -> None:
    source, sink = os.pipe()
    os.close(sink)
    with pytest.raises(anyio.EndOfStream):
        await _Input(source).receive()
    os.close(source)
    source, sink = os.pipe()
    os.close(source)
    with pytest.raises(anyio.BrokenResourceError):
        await _Output(sink).send(b"x")
    os.close(sink)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_command_speaks_the_protocol_and_nothing_else(backend: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tether.cli", "acp", "--model", "offline", "--no-init"]
    environment = {**os.environ, "TETHER_DATA_HOME": str(tmp_path / "data")}
    with subprocess.Popen(
        [*command, "--backend", backend],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd=tmp_path,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def ask(id_: int, method: str, **params: Any) -> Any:
            assert process.stdin is not None
            assert process.stdout is not None
            said = {"jsonrpc": "2.0", "id": id_, "method": method, "params": params}
            process.stdin.write(json.dumps(said).encode() + b"\n")
            process.stdin.flush()
            for line in process.stdout:
                answer = json.loads(line)
                assert answer["jsonrpc"] == "2.0"
                if answer.get("id") == id_:
                    return answer["result"]
            raise AssertionError(process.stderr and process.stderr.read())

        ask(1, "initialize", protocolVersion=1, clientCapabilities={})
        session = ask(2, "session/new", cwd=str(tmp_path), mcpServers=[])["sessionId"]
        prompt = [{"type": "text", "text": "hello"}]
        answer = ask(3, "session/prompt", sessionId=session, prompt=prompt)
        assert answer == {"stopReason": "end_turn"}
        (listed,) = ask(4, "session/list", cwd=str(tmp_path))["sessions"]
        assert (listed["sessionId"], listed["title"]) == (session, "hello")
        process.stdin.close()
        assert process.stdout.read() == b""
        assert process.wait(30) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""
