"""The command keeps conversations: it goes on with them, also after it was killed at any moment."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tether import AssistantMessage, Session
from tether.testing import check_transcript

CHAINS = 2
WORDS = [f"word{number} " for number in range(30)]


class Provider(BaseHTTPRequestHandler):
    """Speaks chat completions: has a tool called first, then answers word by word."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        if asked["messages"][-1]["role"] == "user":
            call = {"index": 0, "id": f"call_{len(asked['messages'])}", "type": "function"}
            function = {"name": "list_files", "arguments": '{"path": "."}'}
            self._send({"tool_calls": [{**call, "function": function}]})
            self._send({}, "tool_calls")
        else:
            for word in WORDS:
                self._send({"content": word})
                time.sleep(0.002)  # as models do
            self._send({}, "stop")
        self.wfile.write(b"data: [DONE]\n\n")

    def _send(self, delta: Any, reason: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        self.wfile.write(b"data: %b\n\n" % json.dumps({"choices": [choice]}).encode())

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Clients go away in the middle: that is what is tried."""


@pytest.fixture
def provider() -> Iterator[str]:
    with Server(("127.0.0.1", 0), Provider) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def command(path: Path, url: str, request: str, backend: str) -> "subprocess.Popen[str]":
    model = ["--model", "openai-chat:m", "--base-url", url]
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "tether.cli", *model),
            *("--session", str(path), "--json", "--backend", backend, request),
        ],
        cwd=path.parent,
        env={**os.environ, "OPENAI_API_KEY": "k"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def announced(lines: list[str]) -> list[str]:
    """The ids of the messages that were told of as whole."""
    found = [json.loads(line) for line in lines if line.endswith("\n")]
    return [event["message"]["id"] for event in found if event["type"] == "message_end"]


def chain(path: Path, url: str, seed: int, backend: str, kills: int) -> int:
    """Kill the command at some moment, look at what is left, and go on from there, again and again."""
    choose = random.Random(seed)
    kept: list[str] = []
    killed = 0
    while killed < kills:
        with command(path, url, "go on", backend) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(choose.randrange(1, 60))]
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.readlines()
        killed += process.returncode == -signal.SIGKILL
        kept += announced([line for line in [*lines, *rest] if line])
        messages = Session.read(path).messages
        check_transcript(messages)
        there = [message.id for message in messages]
        assert [id_ for id_ in there if id_ in set(kept)] == kept
    with command(path, url, "go on", backend) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err.replace("\n", "")[:7]) in {(0, ""), (0, "tether:")}, err
    assert json.loads(out.splitlines()[-1])["type"] == "agent_end"
    last = Session.read(path).messages[-1]
    assert isinstance(last, AssistantMessage)
    assert last.text == "".join(WORDS)
    return killed


@pytest.mark.parametrize("kills", [2, pytest.param(25, marks=pytest.mark.thorough)])
def test_killed_at_any_moment_the_command_goes_on_with_what_it_had(
    kills: int, tmp_path: Path, provider: str
) -> None:
    """Every message that was told of is there, the conversation is valid, and the model takes it."""
    paths = [tmp_path / f"chain-{number}" / "s.jsonl" for number in range(CHAINS)]
    for path in paths:
        path.parent.mkdir()
    with ThreadPoolExecutor(CHAINS) as threads:
        backends = ["asyncio", "trio"]
        killed = threads.map(
            chain, paths, [provider] * CHAINS, range(CHAINS), backends, [kills] * CHAINS
        )
    assert [*killed] == [kills] * CHAINS


def test_a_session_is_gone_on_with_and_used_by_one_at_a_time(tmp_path: Path, provider: str) -> None:
    path = tmp_path / "s.jsonl"
    for request in ("first", "second"):
        with command(path, provider, request, "asyncio") as process:
            process.communicate(timeout=60)
        assert process.returncode == 0
    said = [message.text for message in Session.read(path).messages if message.role == "user"]
    assert said == ["first", "second"]
    with Session.open(path), command(path, provider, "third", "asyncio") as process:
        _, told = process.communicate(timeout=60)
    assert (process.returncode, "another session writes to" in told) == (2, True)


def test_what_is_no_session_is_refused_and_left_alone(tmp_path: Path, provider: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a session\n")
    with command(path, provider, "hi", "asyncio") as process:
        _, told = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "line 1" in told
    assert path.read_text() == "not a session\n"


def test_half_a_line_is_set_aside_and_told_of(tmp_path: Path, provider: str) -> None:
    path = tmp_path / "s.jsonl"
    with command(path, provider, "first", "asyncio") as process:
        process.communicate(timeout=60)
    with path.open("ab") as file:
        file.write(b'{"id": "half')
    with command(path, provider, "second", "asyncio") as process:
        _, told = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "half written" in told
    assert (tmp_path / "s.jsonl.torn").read_bytes() == b'{"id": "half\n'
