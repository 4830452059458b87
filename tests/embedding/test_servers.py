"""Web frameworks on their servers: each streams, is left, is stopped, and leaves no process."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import define, field
from tests.embedding.processes import GUARD, ROOT, STRICT, all_end, pids_in, running, warnings_in
from tests.ports import reserved_port
from tests.test_readme import modules_of

pytestmark = pytest.mark.skipif(shutil.which("sleep") is None, reason="there is no command `sleep`")

UVICORN = ("-m", "uvicorn", "--log-level", "warning", "--port", "{port}")
HYPERCORN = (
    "-m",
    "hypercorn",
    "--log-level",
    "warning",
    "--bind",
    "127.0.0.1:{port}",
    "--graceful-timeout",
    "1",
)
ON_TRIO = (*HYPERCORN, "--worker-class", "trio")
# Its asyncio worker, where it is another process, waits for connections for ever from Python 3.12 on.
ON_ASYNCIO = (*HYPERCORN, "--workers", "0")
APP = "tests.embedding.{}_app"

SERVED: dict[str, tuple[str, Sequence[str]]] = {
    "starlette-uvicorn": ("uvicorn", [*UVICORN, "tests.embedding.starlette_app:app"]),
    "starlette-hypercorn": ("hypercorn", [*ON_ASYNCIO, "tests.embedding.starlette_app:app"]),
    "starlette-hypercorn-trio": ("hypercorn", [*ON_TRIO, "tests.embedding.starlette_app:app"]),
    "fastapi-uvicorn": ("fastapi", [*UVICORN, "tests.embedding.fastapi_app:app"]),
    "fastapi-hypercorn-trio": ("fastapi", [*ON_TRIO, "tests.embedding.fastapi_app:app"]),
    "quart-hypercorn": ("quart", [*ON_ASYNCIO, "tests.embedding.quart_app:app"]),
    "quart-trio": ("quart_trio", [*ON_TRIO, "tests.embedding.quart_trio_app:app"]),
    "django-uvicorn": ("django", [*UVICORN, "tests.embedding.django_app:app"]),
    "aiohttp": ("aiohttp", ["-m", "tests.embedding.aiohttp_app", "{port}"]),
}
"""What must be installed, and how a server is started as its users start it."""

_REPORT = r"(?:(?:handle: |future: |source_traceback: |Traceback |  ).*\n)+"
"""The lines of a report of asyncio's below its first one, and above the name of the exception."""

OWN_REPORTS = re.compile(
    # Up to Python 3.11, asyncio reports each connection of hypercorn's that was cancelled.
    rf"Exception in callback StreamReaderProtocol\.connection_made\..*\n{_REPORT}asyncio\.exceptions\.CancelledError\n"
    # Django 5 forgets the task in which it listens for a client that goes away.
    rf"|Task exception was never retrieved\nfuture: .*listen_for_disconnect.*\n{_REPORT}"
    r"django\.core\.exceptions\.RequestAborted\n"
    # It leaves the body of a cancelled request open as well.
    rf"|Exception ignored in: <function SpooledTemporaryFile\.__del__ .*\n{_REPORT}"
    r"ResourceWarning: Unclosed file <tempfile\.SpooledTemporaryFile .*\n"
)
"""Reports of errors that are a server's or a framework's own, whole."""


@pytest.fixture
def anyio_backend() -> str:
    """The test's own side of the wire."""
    return "asyncio"


@define
class Server:
    """A server that was started, and what it has printed."""

    process: "subprocess.Popen[str]"
    port: int
    printed: list[str] = field(factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_until_up(self, patience: float = 3 * GUARD) -> None:
        until = time.monotonic() + patience
        while time.monotonic() < until and self.process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.02)
        raise AssertionError("the server did not start", self.printed)

    @contextmanager
    def stream(self, prompt: str, path: str = "/chat") -> Iterator[Iterator[Any]]:
        """Ask something, and give the events of the run."""
        with httpx.stream(
            "GET", self.url + path, params={"prompt": prompt}, timeout=GUARD
        ) as response:
            assert response.status_code == 200
            assert response.headers["content-type"].startswith("text/event-stream")
            yield (
                json.loads(line.removeprefix("data: "))
                for line in response.iter_lines()
                if line.startswith("data: ")
            )

    def complaints(self) -> list[str]:
        """The lines that tell of something wrong, without what servers and a busy machine say by themselves."""
        wrong = ("Traceback", "Exception", "Error", "Warning", "never")
        return [
            line
            for line in OWN_REPORTS.sub("", warnings_in("".join(self.printed))).splitlines()
            if any(word in line for word in wrong)
        ]


@contextmanager
def serving(
    arguments: Sequence[str], *, patience: float = 3 * GUARD, **options: Any
) -> Iterator[Server]:
    """Start a server at a free port."""
    with (
        reserved_port() as port,
        running(
            *STRICT,
            *(argument.format(port=port) for argument in arguments),
            stderr=subprocess.STDOUT,
            **options,
        ) as process,
    ):
        server = Server(process, port)
        reader = threading.Thread(target=lambda: server.printed.extend(process.stdout or ()))
        reader.start()
        try:
            server.wait_until_up(patience)
            yield server
        finally:
            process.kill()
            reader.join(GUARD)


def processes_of(events: Iterator[Any]) -> Sequence[int]:
    """Wait until a tool has started processes."""
    for event in events:
        if event["type"] == "tool_execution_update":
            return pids_in(event["content"][0]["text"])
    raise AssertionError("no tool has started processes")


@pytest.mark.parametrize("name", SERVED)
def test_a_server_streams_is_left_and_is_stopped(name: str) -> None:
    module, arguments = SERVED[name]
    pytest.importorskip(module, reason=f"{module} is not installed")
    with serving(arguments) as server:
        with server.stream("hi") as events:
            seen = [event["type"] for event in events]
        assert (seen[0], seen[-1]) == ("agent_start", "agent_end")

        with server.stream("work") as events:
            left = processes_of(events)
        assert all_end(left)

        with server.stream("work") as events:
            processes = processes_of(events)
            server.process.terminate()
            server.process.wait(GUARD)
            assert all_end(processes, within=0)
    assert server.complaints() == []


STOPS: dict[str, tuple[Sequence[str], Sequence[signal.Signals]]] = {
    "terminate": ([], [signal.SIGTERM]),
    "interrupt": ([], [signal.SIGINT]),
    "twice": ([], [signal.SIGTERM, signal.SIGTERM]),
    "at-once": (["--timeout-graceful-shutdown", "0"], [signal.SIGTERM]),
}


@pytest.mark.parametrize("stop", STOPS)
def test_uvicorn_leaves_no_process_however_it_is_stopped(stop: str) -> None:
    """Also those of several runs at once; uvicorn alone waits for ever, or leaves while they are being ended."""
    pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    more, signals = STOPS[stop]
    with (
        serving([*UVICORN, *more, "tests.embedding.starlette_app:app"]) as server,
        server.stream("work") as one,
        server.stream("work") as other,
    ):
        processes = [*processes_of(one), *processes_of(other)]
        for number in signals:
            server.process.send_signal(number)
        server.process.wait(GUARD)
        assert len(processes) == 4
        assert all_end(processes, within=0)


def test_uvicorn_leaves_no_process_when_it_reloads(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    module = tmp_path / "reloaded.py"
    module.write_text("from tests.embedding.starlette_app import app as app\n")
    arguments = [*UVICORN, "--app-dir", str(ROOT), "--reload", "reloaded:app"]
    with serving([*arguments, "--reload-dir", str(tmp_path)], env=_environment(tmp_path)) as server:
        with server.stream("work") as events:
            first = processes_of(events)
            module.write_text(module.read_text() + "\n")
            assert all_end(first)
        server.wait_until_up()
        with server.stream("work") as events:
            second = processes_of(events)
            server.process.terminate()
            server.process.wait(GUARD)
            assert all_end(second, within=0)


@pytest.mark.parametrize("name", ["fastapi", "starlette"])
def test_a_program_of_the_guide_is_served_as_it_stands_there(name: str, tmp_path: Path) -> None:
    pytest.importorskip(name, reason=f"{name} is not installed")
    guide = ROOT / "src" / "tether" / "embedding" / "README.md"
    for file, code in modules_of(guide).items():
        (tmp_path / file).write_text(code)
    arguments = [*UVICORN, "--app-dir", str(tmp_path), f"{name}_app:app"]
    with serving(arguments, cwd=tmp_path) as server:
        for path in ("/chat", "/shared"):
            with server.stream("list .", path) as events:
                seen = [event["type"] for event in events]
            assert (seen[0], seen[-1]) == ("agent_start", "agent_end")
        answer = httpx.get(server.url + "/ask", params={"prompt": "hi"}, timeout=GUARD)
        assert answer.json()["text"]
    assert server.complaints() == []


def _environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(folder)}
