"""FastAPI: runs that stream, a websocket, a plain answer, and an agent that the application holds.

uvicorn tests.embedding.fastapi_app:app
hypercorn --worker-class trio tests.embedding.fastapi_app:app
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.responses import JSONResponse
from tests.embedding.agents import new_agent

import tether
from tether.embedding.disconnect import until_disconnect
from tether.embedding.lifespan import GracefulStop
from tether.web import EventStreamResponse


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with new_agent().opened() as app.state.agent:
        yield


app = FastAPI(lifespan=lifespan)
app.add_middleware(GracefulStop, grace=1)


@app.get("/chat")
async def chat(prompt: str) -> EventStreamResponse:
    """Have an agent for each request."""
    return EventStreamResponse(new_agent(), prompt)


@app.get("/shared")
async def shared(prompt: str) -> EventStreamResponse:
    """Have one agent for all, which does one thing at a time."""
    return EventStreamResponse(app.state.agent, prompt)


@app.get("/ask")
async def ask(request: Request, prompt: str) -> Response:
    """Answer at once, unless the client goes away."""
    async with until_disconnect(request.receive):
        return JSONResponse({"text": (await new_agent().prompt(prompt)).text})
    return Response(status_code=499)  # nobody reads it


@app.websocket("/talk")
async def talk(socket: WebSocket) -> None:
    """Stream runs, and hear what is said meanwhile."""
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
    scope.cancel()  # the client has gone
