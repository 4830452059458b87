"""Servers are described in code or in a file; what is wrong is named."""

import json
from pathlib import Path
from typing import Any

import pytest

from tether import UsageError, mcp
from tether.mcp import Http, Stdio
from tether.mcp.specs import flattened


def written(folder: Path, content: Any) -> Path:
    path = folder / ".mcp.json"
    text = content if isinstance(content, str | bytes) else json.dumps(content)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_file_describes_servers(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {
            "mcpServers": {
                "files": {
                    "command": "npx",
                    "args": ["-y", "${PACKAGE}"],
                    "env": {"A": "${B:-b}"},
                    "cwd": "/tmp",
                },
                "web": {
                    "type": "http",
                    "url": "https://${HOST}/mcp",
                    "headers": {"X": "1"},
                    "timeout": 5,
                },
                "off": {"command": "x", "disabled": True},
            }
        },
    )
    files, web = mcp.from_json(path, environ={"PACKAGE": "p", "HOST": "example.com"})
    assert isinstance(files, Stdio)
    assert isinstance(web, Http)
    assert (files.command, files.args, files.env, files.cwd) == (
        "npx",
        ("-y", "p"),
        {"A": "b"},
        "/tmp",
    )
    assert (web.url, web.headers, web.call_timeout) == ("https://example.com/mcp", {"X": "1"}, 5)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "is no JSON"),
        (b'{"mcpServers": {"\xff": {}}}', "is no JSON"),
        ([], "mcpServers"),
        ({"mcpServers": []}, "mcpServers"),
        ({"mcpServers": {"a": 3}}, "'a': it must be an object"),
        ({"mcpServers": {"a": {}}}, "'a': it must have a \"command\""),
        ({"mcpServers": {"a": {"command": ""}}}, "'a'.*command"),
        ({"mcpServers": {"a": {"command": "x", "args": "y"}}}, '"args" must be a list'),
        ({"mcpServers": {"a": {"command": "x", "args": [1]}}}, '"args" must hold texts'),
        ({"mcpServers": {"a": {"command": "x", "env": []}}}, '"env" must be an object'),
        (
            {"mcpServers": {"a": {"command": "${NOT_SET_ANYWHERE}"}}},
            "NOT_SET_ANYWHERE, which is not set",
        ),
        ({"mcpServers": {"a": {"url": "ftp://x"}}}, "begins with https://"),
        ({"mcpServers": {"a": {"type": "sse", "url": "http://x"}}}, "streamable HTTP"),
        ({"mcpServers": {"a": {"command": "x", "timeout": "1"}}}, '"timeout" must be seconds'),
        ({"mcpServers": {"a": {"command": "x", "timeout": -1}}}, "more than 0 seconds"),
        ({"mcpServers": {"a b": {"command": "x"}}}, "cannot be the name"),
    ],
)
def test_a_fault_in_a_file_is_named(tmp_path: Path, content: Any, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        mcp.from_json(written(tmp_path, content))


def test_two_servers_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match="two servers are called 'a'"):
        flattened([mcp.stdio("a", "x"), [mcp.http("a", "http://x")]])


def test_what_is_no_server_is_refused() -> None:
    with pytest.raises(UsageError, match=r"mcp\.stdio"):
        flattened([["npx"]])  # type: ignore[list-item]  # what is wrong


def test_secrets_are_in_no_repr() -> None:
    shown = repr(mcp.http("a", "http://x", headers={"Authorization": "secret"}))
    assert "secret" not in shown + repr(mcp.stdio("a", "x", env={"KEY": "secret"}))
