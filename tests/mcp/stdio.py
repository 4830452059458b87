"""Descriptions of servers for tests: `raw_server.py` as a process, as it is told to behave."""

import json
import sys
from pathlib import Path
from typing import Any

from tether import mcp
from tether.mcp import Stdio

__all__ = ("raw", "tools_named")

_RAW = Path(__file__).with_name("raw_server.py")


def raw(
    name: str = "raw",
    *,
    open_timeout: float = 30,
    call_timeout: float | None = None,
    env: dict[str, str] | None = None,
    **manner: Any,
) -> Stdio:
    return mcp.stdio(
        name,
        sys.executable,
        "-S",
        str(_RAW),
        json.dumps(manner),
        open_timeout=open_timeout,
        call_timeout=call_timeout,
        env=env,
    )


def tools_named(*names: str, **annotations: bool) -> list[dict[str, Any]]:
    schema = {"type": "object"}
    return [{"name": name, "inputSchema": schema, "annotations": annotations} for name in names]
