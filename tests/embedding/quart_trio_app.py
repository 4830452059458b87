"""Quart on trio: a response that streams a run.

hypercorn --worker-class trio tests.embedding.quart_trio_app:app
"""

from collections.abc import AsyncIterator

from quart import Response, request
from quart_trio import QuartTrio
from tests.embedding.agents import new_agent

import tether
from tether.embedding.lifespan import GracefulStop
from tether.embedding.request_tasks import RequestTasks, tasks_of

app = QuartTrio(__name__)
app.asgi_app = GracefulStop(RequestTasks(app.asgi_app), grace=1)  # type: ignore[assignment, method-assign]


@app.get("/chat")
async def chat() -> Response:
    events = new_agent().stream_events(request.args["prompt"], tasks_of(request.scope))
    response = Response(lines(events), content_type="text/event-stream")
    response.timeout = None  # otherwise Quart ends it after a minute
    return response


async def lines(events: tether.RunIterator[tether.Event]) -> AsyncIterator[bytes]:
    async for event in events:
        yield b"data: " + tether.to_json(event) + b"\n\n"
