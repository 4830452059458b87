"""MCP servers that an editor passes on."""

import json
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.acp.editor import editing

from tether import Agent
from tether.acp.jsonrpc import RpcError
from tether.acp.tool_servers import servers_of
from tether.host import Conversation
from tether.testing import ScriptedModel

mcp = pytest.importorskip(
    "tether.mcp", reason="the extra mcp is not installed", exc_type=ImportError
)


def test_servers_are_described_as_the_protocol_does() -> None:
    env = [{"name": "A", "value": "b"}]
    stdio, http = servers_of(
        [
            {"name": "my files", "command": "npx", "args": ["-y", "x"], "env": env},
            {"type": "http", "name": "web", "url": "http://127.0.0.1:1/mcp", "headers": env},
        ]
    )
    assert stdio == mcp.stdio("my_files", "npx", "-y", "x", env={"A": "b"})
    assert http == mcp.http("web", "http://127.0.0.1:1/mcp", headers={"A": "b"})
    assert servers_of(None) == servers_of([]) == ()


@pytest.mark.parametrize(
    "said",
    [
        {},
        "x",
        [1],
        [{"name": "x"}],
        [{"name": "", "command": "x"}],
        [{"name": "x", "command": "x", "args": "y"}],
        [{"name": "x", "command": "x", "args": [1]}],
        [{"name": "x", "command": "x", "env": ["A=b"]}],
        [{"type": "sse", "name": "x", "url": "http://x"}],
        [{"type": "http", "name": "x"}],
    ],
)
def test_what_is_no_server_is_refused(said: Any) -> None:
    with pytest.raises(RpcError) as caught:
        servers_of(said)
    assert caught.value.code == -32602


async def test_the_tools_of_a_server_are_there_while_its_session_is_open(tmp_path: Path) -> None:
    from tests.mcp.stdio import tools_named

    made: list[Agent] = []

    def make(_talk: Conversation, _folder: Path) -> Agent:
        made.append(Agent(ScriptedModel("Fine.")))
        return made[-1]

    server = str(Path(__file__).parents[1] / "mcp" / "raw_server.py")
    manner = json.dumps({"tools": tools_named("look")})
    words = ["-S", server, manner]
    described = {"name": "good", "command": sys.executable, "args": words, "env": []}
    async with editing(make) as editor:
        await editor.request("initialize", protocolVersion=1)
        answer = await editor.request("session/new", cwd=str(tmp_path), mcpServers=[described])
        with anyio.fail_after(60):
            while not made[0].tools:  # it takes long to start where the machine is busy
                await editor.request("session/list", cwd=str(tmp_path))
        assert [tool.name for tool in made[0].tools] == ["good_look"]
        await editor.request("session/close", sessionId=answer["sessionId"])
        while made[0].tools:
            await editor.request("session/list", cwd=str(tmp_path))
