"""Quart: a response that streams a run.

uvicorn tests.embedding.quart_app:app
hypercorn tests.embedding.quart_app:app
"""

from collections.abc import AsyncIterator

import anyio
from quart import Quart, Response, request
from tests.embedding.agents import new_agent

import tether
from tether.embedding.lifespan import GracefulStop
from tether.embedding.request_tasks import RequestTasks, tasks_of

app = Quart(__name__)
app.asgi_app = GracefulStop(RequestTasks(app.asgi_app), grace=1)  # type: ignore[assignment, method-assign]


@app.get("/chat")
async def chat() -> Response:
    events = new_agent().stream_events(request.args["prompt"], tasks_of(request.scope))
    response = Response(lines(events), content_type="text/event-stream")
    response.timeout = None  # otherwise Quart ends it after a minute
    return response


async def lines(events: tether.RunIterator[tether.Event]) -> AsyncIterator[bytes]:
    try:
        async for event in events:
            yield b"data: " + tether.to_json(event) + b"\n\n"
    except anyio.BrokenResourceError:
        pass  # The request was cancelled, and its run with it; Quart may iterate on.
