"""tether in other people's programs: each is started as its users would start it."""

import json
import shutil
import signal
import socket
from collections.abc import Iterator
from typing import IO, Any

import anyio
import httpx
import pytest
from attrs import define
from tests.embedding.processes import (
    GUARD,
    is_alive,
    output_of,
    output_when_interrupted,
    pids_in,
    running,
    warnings_in,
)
from tests.models.replay import Exchange, events, serving

SERVERS = {
    "uvicorn": ("uvicorn", ["--fd", "{fd}", "--log-level", "warning"]),
    "hypercorn-asyncio": ("hypercorn", ["-b", "fd://{fd}", "--log-level", "WARNING"]),
    "hypercorn-trio": (
        "hypercorn",
        ["-b", "fd://{fd}", "--log-level", "WARNING", "--worker-class", "trio"],
    ),
}


# Web back ends.


@define
class WebServer:
    port: int
    log: IO[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def next_line(self) -> str:
        """Wait for the next line that the application prints."""
        return self.log.readline().strip()


@pytest.fixture(scope="module", params=SERVERS)
def web(request: pytest.FixtureRequest) -> Iterator[WebServer]:
    module, arguments = SERVERS[request.param]
    pytest.importorskip(module, reason=f"{module} is not installed")
    pytest.importorskip("starlette", reason="starlette is not installed")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        filled = [argument.format(fd=listener.fileno()) for argument in arguments]
        with running(
            "-m", module, *filled, "tests.embedding.web:app", pass_fds=[listener.fileno()]
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            yield WebServer(listener.getsockname()[1], process.stdout)
            process.send_signal(signal.SIGINT)
            process.stdout.close()
            process.wait(GUARD)
            complaints = process.stderr.read()
    assert "Traceback" not in complaints
    assert "Exception" not in complaints


def lines_of(response: httpx.Response) -> Iterator[Any]:
    for line in response.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def test_a_run_arrives_as_server_sent_events(web: WebServer) -> None:
    query = {"prompt": "hi"}
    with httpx.stream("GET", f"{web.url}/chat", params=query, timeout=GUARD) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        seen = list(lines_of(response))
    assert [seen[0]["type"], seen[-1]["type"]] == ["agent_start", "agent_end"]
    text = [event["delta"].get("text", "") for event in seen if event["type"] == "message_update"]
    assert "".join(text) == "Hello, browser."


def test_a_browser_that_goes_away_ends_the_run(web: WebServer) -> None:
    """Also while the model is silent, and nothing is sent that could fail."""
    with httpx.stream("GET", f"{web.url}/think", timeout=GUARD) as response:
        for event in lines_of(response):
            if event["type"] == "message_update":
                break
    assert web.next_line() == "/think aborted"


def test_a_browser_that_goes_away_ends_the_processes_of_a_tool(web: WebServer) -> None:
    with httpx.stream("GET", f"{web.url}/work", timeout=GUARD) as response:
        for event in lines_of(response):
            if event["type"] == "tool_execution_update":
                pids = [int(pid) for pid in event["content"][0]["text"].split()]
                break
    assert web.next_line() == "/work tool_calls interrupted"
    assert len(pids) == 2
    assert not any(map(is_alive, pids))


CHUNK = json.dumps({"choices": [{"index": 0, "delta": {"content": "word " * 200}}]})
PIECE = events(*[CHUNK] * 50)


@pytest.fixture
def anyio_backend() -> str:
    """The test's own side of the wire; the application runs on both."""
    return "asyncio"


async def test_a_slow_reader_slows_the_run(web: WebServer) -> None:
    written = 0
    wrote = anyio.Event()

    async def provider(exchange: Exchange) -> None:
        nonlocal written
        await exchange.start()
        while True:
            await exchange.send(PIECE)
            written += len(PIECE)
            wrote.set()

    async def settled() -> int:
        before = -1
        while before != written:
            before = written
            for _ in range(20):
                await anyio.sleep(0.01)
        return before

    with anyio.fail_after(60):
        async with serving(provider) as server:
            async with await anyio.connect_tcp("127.0.0.1", web.port) as browser:
                await browser.send(
                    b"GET /pour?url=%b HTTP/1.1\r\nhost: x\r\n\r\n" % server.url.encode()
                )
                await browser.receive()
                await wrote.wait()
                first = await settled()
                for _ in range(20):
                    await browser.receive()
                later = await settled()
            assert 0 < first <= later < 64 * 1024 * 1024
            line = await anyio.to_thread.run_sync(web.next_line)
    assert line == "/pour aborted"


# Programs with an event loop of their own.


def test_three_agents_race_in_a_trio_nursery() -> None:
    assert output_of("-m", "tests.embedding.race") == [
        "hare: 42.",
        "tortoise 'Let me think' aborted",
        "hare '42.' stop",
        "snail '' aborted",
    ]


def test_a_program_that_never_heard_of_anyio() -> None:
    assert output_of("-m", "tests.embedding.asyncio_only") == [
        "A rope.",
        "Well,",
        "too slow: 'Well,'",
        "A rope.",
    ]


# Programs without one.

BACKENDS = ["asyncio", "trio"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_program_without_an_event_loop(backend: str) -> None:
    answers = " ".join(f"Answer {number}." for number in range(8))
    assert output_of("-m", "tests.embedding.synchronous", backend) == [
        "Hello.",
        "Hello again.",
        answers,
    ]


@pytest.mark.skipif(shutil.which("sleep") is None, reason="there is no command `sleep`")
@pytest.mark.parametrize("backend", BACKENDS)
def test_ctrl_c_ends_a_synchronous_run_and_the_program_goes_on(backend: str) -> None:
    arguments = ("-X", "dev", "-W", "error", "-m", "tests.embedding.synchronous", backend, "wait")
    with running(*arguments) as process:
        assert process.stdout is not None
        pids = pids_in(process.stdout.readline())
        out, err = output_when_interrupted(process)
    assert (process.returncode, out.splitlines()) == (0, ["interrupted", "Where were we?"])
    assert warnings_in(err) == ""
    assert len(pids) == 2
    assert not any(map(is_alive, pids))


@pytest.mark.parametrize("place", ["reply", "tool", "clean-up", "thread", "command"])
@pytest.mark.parametrize("runner", ["asyncio.run", "trio.run", "anyio.run"])
def test_ctrl_c_ends_a_program_and_leaves_nothing(runner: str, place: str) -> None:
    with running("-X", "dev", "-m", "tests.embedding.interrupted", runner, place) as process:
        assert process.stdout is not None
        ready = process.stdout.readline()
        assert ready.startswith("ready"), ready
        out, err = output_when_interrupted(process)
    assert process.returncode == -signal.SIGINT
    assert err.count("Traceback") <= 2, err  # asyncio.run shows the cancellation it began with
    # A thread that nobody could stop may end still later, and be told of.
    last = [line for line in err.splitlines() if "came back after it was given up" not in line][-1]
    assert last == "KeyboardInterrupt"
    assert "never" not in err, err
    said = out.splitlines()
    assert said[-1].startswith("valid")
    assert ("cleaned up" in said) == (place in {"tool", "clean-up"})
    assert not any(map(is_alive, pids_in(ready)))


NOTEBOOK = """
import asyncio
from tether import Agent, blocking
from tether.testing import ScriptedModel
asyncio.get_running_loop()  # a notebook's cells run within an event loop
agent = Agent(ScriptedModel("Hello.", "Hello again.", "And again."))
print(blocking.prompt(agent, "hi").text)
with blocking.run(agent, "hi", backend="trio") as run:
    print(len([*run]) > 5)
print((await agent.prompt("hi")).text)
"""

DRIVE_A_KERNEL = """
import sys
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(kernel_name="python3")
try:
    client.execute_interactive(sys.argv[1], timeout=20, stop_on_error=True)
finally:
    client.stop_channels()
    manager.shutdown_kernel(now=True)
"""


def test_cells_of_a_notebook_may_block_or_await() -> None:
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    with running("-c", DRIVE_A_KERNEL, NOTEBOOK) as process:
        out, err = process.communicate(timeout=60)
    assert out.splitlines() == ["Hello.", "True", "And again."], err
