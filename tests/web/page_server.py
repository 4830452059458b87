"""A server with the page, in a process of its own: `python -m tests.web.page_server PORT BACKEND FOLDER`."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from hypercorn.config import Config
from tests.web.page_agent import make_agent

from tether import web

__all__ = ()


async def serve(port: int, backend: str, folder: str) -> None:
    """Serve, until the process is killed."""
    if backend == "trio":
        from hypercorn.trio import serve
    else:
        from hypercorn.asyncio import serve  # type: ignore[assignment]
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.accesslog = None
    app: Any = web.app(
        lambda talk: make_agent(talk.approve),
        store=folder,
        model="scripted-large",
        record=Path(folder) / "recordings",
    )
    await serve(app, config)


if __name__ == "__main__":
    _, port, backend, folder = sys.argv
    anyio.run(partial(serve, int(port), backend, folder), backend=backend)
