"""The fold of the page, on node: the events of real runs lead to the same view as their transcripts."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.web.page_agent import make_agent

from tether import Event, Message
from tether.hooks import Deny
from tether.serialize import to_builtins

HERE = Path(__file__).parent
SAID = ("tour", "count 3", "run ls", "edit", "delegate count 2", "hostile", "nothing special")


@pytest.fixture(scope="module")
def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip(
            "node is not installed: the modules of the page are not tried outside a browser"
        )
    return found


async def _run(said: str) -> tuple[Sequence[Event], Sequence[Message]]:
    def approve(invocation: Any) -> Any:
        return Deny("not today") if invocation.call.name == "run_command" else "once"

    agent = make_agent(approve)
    async with agent.run(said) as run:
        events = [event async for event in run]
    return events, agent.messages


def _stream(said: str) -> Mapping[str, Any]:
    events, messages = anyio.run(_run, said)
    return {
        "said": said,
        "events": [to_builtins(event) for event in events],
        "messages": [to_builtins(message) for message in messages],
    }


def test_the_modules_without_a_document_do_what_they_say(node: str, tmp_path: Path) -> None:
    streams = tmp_path / "streams.json"
    streams.write_text(json.dumps([_stream(said) for said in SAID]))
    done = subprocess.run(
        [node, "--test", "--test-reporter=tap", str(HERE / "page.test.mjs")],
        env={"STREAMS": str(streams), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# pass" in done.stdout
