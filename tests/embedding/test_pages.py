"""Pages that Gradio and Streamlit make: they stream, and their servers leave no process when they are stopped."""

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.embedding.processes import GUARD, all_end, descendants_at_work, running
from tests.embedding.test_servers import serving

pytestmark = [
    pytest.mark.skipif(shutil.which("sleep") is None, reason="there is no command `sleep`"),
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc"),
]

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
    # Gradio warns of itself: it leaves event loops open.
    arguments = ["-W", "default", "-m", "tests.embedding.gradio_app", "{port}"]
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


STREAMLIT_CLIENT = """
from streamlit.testing.v1 import AppTest
page = AppTest.from_file("tests/embedding/streamlit_app.py", default_timeout=60).run()
page.chat_input[0].set_value("hi").run()
print([message.markdown[0].value for message in page.chat_message])
"""


def test_a_page_of_streamlit_streams() -> None:
    pytest.importorskip("streamlit", reason="streamlit is not installed")
    with running("-X", "dev", "-W", "error", "-c", STREAMLIT_CLIENT) as process:
        out, err = process.communicate(timeout=6 * GUARD)
    assert out == "['hi', 'Hello, browser.']\n", err
