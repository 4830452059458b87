"""The MCP servers that an editor passes on with a session (extra `mcp`)."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tether import UsageError
from tether.acp.jsonrpc import INVALID_PARAMS, RpcError

if TYPE_CHECKING:
    from tether.mcp import ServerSpec

__all__ = ("servers_of",)


def servers_of(said: Any) -> "Sequence[ServerSpec]":
    """Read the servers of a session.

    Raises:
        RpcError: one is described in a way that is not known.
        ModuleNotFoundError: there are some, and the extra `mcp` is not installed.
    """
    if said is None or said == []:
        return ()
    if not isinstance(said, list):
        raise RpcError(INVALID_PARAMS, f"mcpServers must be a list, not {said!r:.200}")
    try:
        return [_server(one) for one in said]
    except UsageError as error:
        raise RpcError(INVALID_PARAMS, f"an MCP server cannot be used: {error}") from error


def _server(said: Any) -> "ServerSpec":
    match said:
        case {"type": "http", "name": str(name), "url": str(url)}:
            headers = _pairs(said.get("headers"))
            from tether import mcp  # noqa: PLC0415 - an extra, and large

            return mcp.http(_name(name), url, headers=headers)
        case {"name": str(name), "command": str(command)} if said.get("type", "stdio") == "stdio":
            arguments, env = said.get("args") or [], _pairs(said.get("env"))
            if not isinstance(arguments, list) or not all(isinstance(a, str) for a in arguments):
                raise RpcError(INVALID_PARAMS, f"args of MCP server {name!r} must be strings")
            from tether import mcp  # noqa: PLC0415 - an extra, and large

            return mcp.stdio(_name(name), command, *arguments, env=env)
        case _:
            raise RpcError(
                INVALID_PARAMS,
                "an MCP server has a name, and a command with args and env, or type http and a url; "
                f"not {said!r:.200}",
            )


def _name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)[:40]


def _pairs(said: Any) -> Mapping[str, str]:
    """Read headers, or variables: objects with a name and a value."""
    pairs: dict[str, str] = {}
    for one in said or []:
        match one:
            case {"name": str(name), "value": str(value)}:
                pairs[name] = value
            case _:
                raise RpcError(INVALID_PARAMS, f"{one!r:.200} has no name and value")
    return pairs
