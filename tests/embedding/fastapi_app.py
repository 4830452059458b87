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
from tests.embedding.run_response import RunResponse

import tether
from tether.embedding.disconnect import until_disconnect
from tether.embedding.lifespan import GracefulStop


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with new_agent().opened() as app.state.agent:
        yield


app = FastAPI(lifespan=lifespan)
app.add_middleware(GracefulStop, grace=1)


@app.get("/chat")
async def chat(prompt: str) -> RunResponse:
    """Have an agent for each request."""
    return RunResponse(new_agent(), prompt)


@app.get("/shared")
async def shared(prompt: str) -> RunResponse:
    """Have one agent for all, which does one thing at a time."""
    return RunResponse(app.state.agent, prompt)


@app.exception_handler(tether.AgentBusyError)
async def busy(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, status_code=409)


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
