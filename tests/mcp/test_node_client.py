"""A client of another make talks to an agent that is a server."""

import json
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.mcp import node
from tests.mcp.loopback import served

from tether import Agent, mcp, tool
from tether.testing import Pause, ScriptedModel, call

pytestmark = pytest.mark.skipif(
    node.PACKAGES.why_missing() is not None, reason=node.PACKAGES.why_missing() or ""
)


async def told(**wanted: Any) -> Any:
    """Run the client, and return what it saw."""
    command = [
        "node",
        str(node.HERE / "client.mjs"),
        str(node.PACKAGES.folder()),
        json.dumps(wanted),
    ]
    with anyio.fail_after(100):
        done = await anyio.run_process(command, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


@tool
def write(text: str) -> str:
    """Write."""
    return f"wrote {text}"


async def test_a_client_for_node_asks_approves_follows_and_cancels_over_http() -> None:
    agent = Agent(
        ScriptedModel(call("write", text="a"), "Done.", "Again.", [Pause()]), tools=[write]
    )
    async with served(mcp.serve(agent)) as (url, _):
        seen = await told(
            url=url,
            allow="once",
            calls=[
                {"name": "ask", "arguments": {"request": "Write."}},
                {"name": "ask", "arguments": {"request": "More."}},
            ],
            aborted={"name": "ask", "arguments": {"request": "Think."}},
        )
    assert seen["tools"] == ["ask"]
    assert seen["asked"] == ['agent wants to run write {"text": "a"}']
    assert [result["text"] for result in seen["results"]] == ["Done.", "Again."]
    assert 'write {"text": "a"}' in seen["progress"]
    assert seen["aborted"] == "yes"
    model = agent.model
    assert isinstance(model, ScriptedModel)
    assert len(model.requests[2].messages) == 5  # it is one conversation


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_client_for_node_starts_the_command_and_uses_its_tools(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    program = f"import os, sys; os.chdir({str(tmp_path)!r}); from tether.cli.main import main; sys.exit(main())"
    seen = await told(
        command=sys.executable,
        args=["-c", program, "mcp", "serve", "--tools"],
        calls=[
            {"name": "read_file", "arguments": {"path": "a.txt"}},
            {"name": "write_file", "arguments": {"path": "b.txt", "content": "x"}},
        ],
    )
    assert "run_command" in seen["tools"]
    read, wrote = seen["results"]
    assert "hello" in read["text"]
    assert wrote["error"]
    assert "nobody can be asked" in wrote["text"]
