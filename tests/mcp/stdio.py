"""Servers for tests that are processes: `raw_server.py`, as it is told to behave."""

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any, Final

from tether import mcp
from tether.mcp import Stdio

__all__ = ("connected", "raw", "tools_named")

_PATIENCE: Final = 60
"""Seconds that Python has to start: the machine may be busy."""

_RAW = Path(__file__).with_name("raw_server.py")


connected = partial(mcp.connected, wait=_PATIENCE)


def raw(
    name: str = "raw",
    *,
    open_timeout: float = _PATIENCE,
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
