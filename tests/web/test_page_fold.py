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

from tether import Event, Message, MessageUpdate
from tether.hooks import Deny
from tether.replay import Moment, moments, read, record
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


async def _record(path: Path) -> None:
    """Record two runs, one of which is steered and aborted in the middle of a reply."""
    agent = make_agent(lambda _: "once")
    with record(agent, path):
        await agent.prompt("edit")
        async with agent.run("count 3", max_buffer_size=0) as run:
            async for event in run:
                if isinstance(event, MessageUpdate):
                    agent.steer("Wait.")
                    run.abort()


def _shown(moment: Moment) -> Mapping[str, Any]:
    return {
        "type": getattr(moment.event, "type", None),
        "seconds": moment.seconds,
        "messages": (moment.request or {}).get("messages"),
        "running": len(moment.running),
        "queued": [message.text for _, message in moment.queued],
        "inputs": moment.inputs,
        "asked": len(moment.asked),
        "partial": moment.partial.text if moment.partial else None,
    }


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
    recording = tmp_path / "recording.jsonl"
    anyio.run(_record, recording)
    known = [
        {
            "moments": [_shown(moment) for moment in moments(run)[1:]],
            "end": run.notes[-1].said["stop_reason"],
        }
        for run in read(recording).runs
    ]
    (tmp_path / "recording.jsonl.moments").write_text(json.dumps(known))
    done = subprocess.run(
        [node, "--test", "--test-reporter=tap", str(HERE / "page.test.mjs")],
        env={"STREAMS": str(streams), "RECORDING": str(recording), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# pass" in done.stdout
