"""Clients that leave real servers in the middle, in each way that an endpoint may serve a run."""

import shutil
import socket
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest
from tests.embedding.processes import GUARD, all_end, descendants_at_work, pids_in
from tests.embedding.test_servers import ON_TRIO, UVICORN, Server, serving

pytestmark = [
    pytest.mark.skipif(shutil.which("sleep") is None, reason="there is no command `sleep`"),
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc"),
]

SERVERS = {"uvicorn": UVICORN, "hypercorn-trio": ON_TRIO}


@pytest.fixture(params=SERVERS)
def arguments(request: pytest.FixtureRequest) -> Sequence[str]:
    """How a server is started, on each backend."""
    module = request.param.partition("-")[0]
    pytest.importorskip(module, reason=f"{module} is not installed")
    return SERVERS[request.param]


def all_of(server: Server, path: str) -> str:
    return httpx.get(server.url + path, params={"prompt": "hi"}, timeout=GUARD).text


def left_in_the_middle(server: Server, path: str) -> Sequence[int]:
    """Leave a stream of text when a word has come and a tool works; return the tool's processes."""
    with httpx.stream(
        "GET", server.url + path, params={"prompt": "say and work"}, timeout=GUARD
    ) as response:
        texts = response.iter_text()  # dropped, it would close the connection
        assert next(texts) == "Hm"
        return descendants_at_work(server.process.pid)


def stop(server: Server) -> None:
    server.process.terminate()
    server.process.wait(GUARD)


def test_a_streaming_response_ends_its_run_when_it_is_left(arguments: Sequence[str]) -> None:
    """Over `stream_text`, and over a plain generator, which worker threads iterate."""
    pytest.importorskip("fastapi", reason="fastapi is not installed")
    with serving([*arguments, "tests.embedding.stream_app:app"]) as server:
        for path in ("/words", "/plain/words"):
            assert all_of(server, path) == "Hello, browser."
            assert all_end(left_in_the_middle(server, path))
        assert all_of(server, "/plain/ask") == '"Hello, browser."'
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(request("/plain/ask?prompt=work"))
            processes = descendants_at_work(server.process.pid)
            stop(server)
            assert all_end(processes, within=0)
    assert server.complaints() == []


def test_an_iterator_that_is_dropped_ends_its_run_alone(arguments: Sequence[str]) -> None:
    """What else runs in the same task group goes on."""
    pytest.importorskip("starlette", reason="starlette is not installed")
    with serving([*arguments, "tests.embedding.dropped_app:app"]) as server:
        assert all_end(left_in_the_middle(server, "/words"))
        params = {"prompt": "work"}
        answer = httpx.get(server.url + "/first", params=params, timeout=GUARD)
        assert all_end(pids_in(answer.text))
        assert all_of(server, "/words") == "Hello, browser."
        stop(server)
    assert server.complaints() == []


def test_a_plain_answer_and_a_websocket_end_their_runs_when_they_are_left(
    arguments: Sequence[str],
) -> None:
    pytest.importorskip("starlette", reason="starlette is not installed")
    websockets = pytest.importorskip("websockets.sync.client", reason="websockets is not installed")
    with serving([*arguments, "tests.embedding.starlette_app:app"]) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(request("/ask?prompt=work"))
            processes = descendants_at_work(server.process.pid)
        assert all_end(processes)

        url = f"ws://127.0.0.1:{server.port}/talk"
        # What is not read must not stand before the answer to the closing.
        with websockets.connect(url, max_queue=None) as talk:
            talk.send("work")
            processes = descendants_at_work(server.process.pid)
        assert all_end(processes)
        stop(server)
    assert server.complaints() == []


def request(target: str) -> bytes:
    return f"GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()
