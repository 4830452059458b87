"""The application within another one, of FastAPI and of Starlette, and what is said where its host is not open."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from tests.web.servers import client_of, hypercorn, uvicorn
from tests.web.test_native import talking, texts

import tether
from tether.web import connect, mount


def parents() -> dict[str, Any]:
    """Applications with a lifespan and a state of their own."""
    entered: list[str] = []

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[dict[str, list[str]]]:
        entered.append("entered")
        yield {"log": entered}
        entered.append("left")

    async def log(request: Request) -> JSONResponse:
        return JSONResponse(request.state.log)

    made: dict[str, Any] = {"starlette": Starlette(routes=[Route("/log", log)], lifespan=lifespan)}
    fastapi = pytest.importorskip("fastapi", reason="fastapi is not installed")
    made["fastapi"] = fastapi.FastAPI(lifespan=lifespan)
    made["fastapi"].router.routes.append(Route("/log", log))
    return made


async def check(served: Any, parent: Any) -> None:
    mount(parent, "/agent", talking("Hello."))
    async with served(parent) as url, client_of(url) as client, connect(f"{url}/agent") as remote:
        assert (await client.get("/log")).json() == ["entered"]
        assert "tether" in (await client.get("/agent/")).text
        talk = await remote.conversation()
        await talk.say("hi")
        seen: list[tether.Event] = []
        async with talk.follow() as events:
            async for event in events:
                seen.append(event)  # type: ignore[arg-type]
                if isinstance(event, tether.AgentEnd):
                    break
        assert texts(seen) == "Hello."


@pytest.mark.parametrize("framework", ["fastapi", "starlette"])
async def test_one_line_mounts_it_with_its_lifespan_on_hypercorn(framework: str) -> None:
    await check(hypercorn, parents()[framework])


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_and_on_uvicorn() -> None:
    pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    await check(uvicorn, parents()["fastapi"])


async def test_without_its_lifespan_the_answer_says_what_to_write() -> None:
    parent = Starlette()
    parent.mount("/agent", talking("Hello."))
    async with hypercorn(parent) as url, client_of(url) as client:
        answer = await client.get("/agent/api/conversations")
        assert answer.status_code == 503
        assert "tether.web.mount(parent, path, app)" in answer.json()["error"]["message"]
