"""Pages that Gradio and Streamlit make: they stream, and their servers leave no process when they are stopped."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.embedding.processes import GUARD, ROOT, all_end, descendants_at_work, running
from tests.embedding.test_servers import serving

pytestmark = [
    pytest.mark.skipif(shutil.which("sleep") is None, reason="there is no command `sleep`"),
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc"),
]

GRADIO_WARNS = (
    # It counts its requests with a pandas older than the one it installs.
    *("-W", "ignore:'future.no_silent_downcasting' is deprecated:DeprecationWarning"),
    *("-W", "ignore:The copy keyword is deprecated:DeprecationWarning"),
    # It leaves an event loop open, with the sockets that wake it.
    *("-W", "ignore:unclosed event loop:ResourceWarning"),
    *("-W", "ignore:unclosed <socket.socket:ResourceWarning"),
)
"""What Gradio warns of by itself."""

GRADIO_CLIENT = """
import sys
from gradio_client import Client
client = Client(sys.argv[1], verbose=False)
print(client.predict("hi", api_name="/answer"), flush=True)
job = client.submit("work", api_name="/answer")
sys.stdin.readline()
"""


def test_a_page_of_gradio_streams_and_leaves_no_process() -> None:
    pytest.importorskip("gradio", reason="gradio is not installed")
    arguments = [*GRADIO_WARNS, "-m", "tests.embedding.gradio_app", "{port}"]
    with (
        serving(arguments, patience=6 * GUARD) as server,
        running("-c", GRADIO_CLIENT, server.url, stdin=subprocess.PIPE) as client,
    ):
        assert client.stdout is not None
        assert client.stdout.readline() == "Hello, browser.\n"
        pids = descendants_at_work(server.process.pid)
        server.process.terminate()
        server.process.wait(3 * GUARD)
        assert all_end(pids, within=0)
    assert server.complaints() == []


def test_a_page_of_streamlit_streams_and_leaves_no_process() -> None:
    pytest.importorskip("streamlit", reason="streamlit is not installed")
    pytest.importorskip("tornado", reason="tornado is not installed")
    arguments = [
        "-m",
        "streamlit",
        "run",
        "tests/embedding/streamlit_app.py",
        "--server.headless",
        "true",
    ]
    arguments += ["--browser.gatherUsageStats", "false", "--server.port", "{port}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (
        serving(arguments, patience=6 * GUARD, env=environment) as server,
        running(
            "-m", "tests.embedding.streamlit_session", str(server.port), "hi", "work"
        ) as client,
    ):
        assert client.stdout is not None
        while client.stdout.readline() != "Hello, browser.\n":
            assert client.poll() is None
        pids = descendants_at_work(server.process.pid)
        server.process.terminate()
        server.process.wait(3 * GUARD)
        assert all_end(pids, within=0)
    assert server.complaints() == []
