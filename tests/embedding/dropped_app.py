"""Iterators that an endpoint drops, while the task group of their runs goes on: it is the lifespan's.

uvicorn tests.embedding.dropped_app:app
hypercorn --worker-class trio tests.embedding.dropped_app:app
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypedDict

import anyio
from anyio.abc import TaskGroup
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from tests.embedding.agents import new_agent

import tether
from tether.embedding.lifespan import GracefulStop


class State(TypedDict):
    tasks: TaskGroup


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[State]:
    async with anyio.create_task_group() as tasks:
        yield {"tasks": tasks}
        tasks.cancel_scope.cancel()


async def words(request: Request) -> StreamingResponse:
    return StreamingResponse(new_agent().stream_text(prompt_of(request), request.state.tasks))


async def first(request: Request) -> PlainTextResponse:
    """Answer with what a tool reports first, and drop the rest."""
    events = new_agent().stream_events(prompt_of(request), request.state.tasks)
    while True:
        match await anext(events):
            case tether.ToolExecutionUpdate(content=[tether.Text(text)]):
                return PlainTextResponse(text)


def prompt_of(request: Request) -> str:
    return request.query_params["prompt"]


app = GracefulStop(
    Starlette(routes=[Route("/words", words), Route("/first", first)], lifespan=lifespan), grace=1
)
