"""Starlette: the same.

uvicorn tests.embedding.starlette_app:app
hypercorn --worker-class trio tests.embedding.starlette_app:app
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypedDict

import anyio
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from tests.embedding.agents import new_agent

import tether
from tether.embedding.disconnect import until_disconnect
from tether.embedding.lifespan import GracefulStop
from tether.web import EventStreamResponse


class State(TypedDict):
    agent: tether.Agent


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[State]:
    async with new_agent().opened() as agent:
        yield {"agent": agent}


async def chat(request: Request) -> EventStreamResponse:
    return EventStreamResponse(new_agent(), request.query_params["prompt"])


async def shared(request: Request) -> EventStreamResponse:
    return EventStreamResponse(request.state.agent, request.query_params["prompt"])


async def ask(request: Request) -> Response:
    async with until_disconnect(request.receive):
        result = await new_agent().prompt(request.query_params["prompt"])
        return JSONResponse({"text": result.text})
    return Response(status_code=499)


async def talk(socket: WebSocket) -> None:
    await socket.accept()
    agent = new_agent()
    async with anyio.create_task_group() as tasks, agent.run(await socket.receive_text()) as run:
        tasks.start_soon(hear, socket, agent, tasks.cancel_scope)
        async for event in run:
            await socket.send_text(tether.to_json(event).decode())
        tasks.cancel_scope.cancel()


async def hear(socket: WebSocket, agent: tether.Agent, scope: anyio.CancelScope) -> None:
    async for text in socket.iter_text():
        agent.steer(text, interrupt=True)
    scope.cancel()


app = Starlette(
    routes=[
        Route("/chat", chat),
        Route("/shared", shared),
        Route("/ask", ask),
        WebSocketRoute("/talk", talk),
    ],
    middleware=[Middleware(GracefulStop, grace=1)],
    lifespan=lifespan,
)
