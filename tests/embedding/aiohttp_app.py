"""aiohttp: a response that streams a run.

python -m tests.embedding.aiohttp_app [port]
"""

import sys

from aiohttp import web
from tests.embedding.agents import new_agent

import tether


async def chat(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    async with new_agent().run(request.query["prompt"]) as run:
        async for event in run:
            await response.write(b"data: " + tether.to_json(event) + b"\n\n")
    return response


def main() -> None:
    app = web.Application()
    app.add_routes([web.get("/chat", chat)])
    # Without `handler_cancellation` a run does not end with its request; without the timeout SIGTERM takes a minute.
    web.run_app(app, port=int(sys.argv[1]), handler_cancellation=True, shutdown_timeout=1)


if __name__ == "__main__":
    main()
