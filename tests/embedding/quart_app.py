"""Quart: a response that streams a run.

uvicorn tests.embedding.quart_app:app
hypercorn tests.embedding.quart_app:app
"""

from collections.abc import AsyncIterator

from quart import Quart, Response, request

import tether
from tests.embedding.agents import new_agent
from tether.embedding.lifespan import GracefulStop

app = Quart(__name__)
app.asgi_app = GracefulStop(app.asgi_app)  # type: ignore[assignment,method-assign]


@app.get("/chat")
async def chat() -> Response:
    response = Response(lines(request.args["prompt"]), content_type="text/event-stream")
    response.timeout = None  # otherwise it is cut off after a minute
    return response


async def lines(prompt: str) -> AsyncIterator[bytes]:
    async with new_agent().run(prompt) as run:
        async for event in run:
            yield b"data: " + tether.to_json(event) + b"\n\n"
