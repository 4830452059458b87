"""Tools of others, and an agent as a tool for others: the Model Context Protocol (extra `mcp`).

from tether import mcp

async with mcp.connected(mcp.stdio("files", "npx", "-y", "@modelcontextprotocol/server-filesystem", ".")) as servers:
    agent = tether.Agent(model, tools=servers.tools)
    servers.follow(agent)
"""

from importlib.util import find_spec

if find_spec("mcp") is None:
    raise ModuleNotFoundError(
        "tether.mcp needs the SDK of the protocol: pip install 'tether[mcp]'", name="mcp"
    )

from tether.mcp.asking import Answer, Ask, Elicitation
from tether.mcp.connecting import Servers, connected
from tether.mcp.oauth import sign_in, signed_in
from tether.mcp.server import Server
from tether.mcp.serving import AgentServer, serve
from tether.mcp.specs import (
    Http,
    InProcess,
    ServerSpec,
    Stdio,
    from_json,
    http,
    in_process,
    stdio,
)

__all__ = (
    "AgentServer",
    "Answer",
    "Ask",
    "Elicitation",
    "Http",
    "InProcess",
    "Server",
    "ServerSpec",
    "Servers",
    "Stdio",
    "connected",
    "from_json",
    "http",
    "in_process",
    "serve",
    "sign_in",
    "signed_in",
    "stdio",
)
