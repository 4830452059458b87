"""FastAPI with its own streaming response, from `async def` and from `def`.

uvicorn tests.embedding.stream_app:app
hypercorn --worker-class trio tests.embedding.stream_app:app
"""

from collections.abc import Iterator

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from tests.embedding.agents import new_agent

import tether
from tether import blocking
from tether.embedding.lifespan import GracefulStop
from tether.embedding.request_tasks import RequestTasks, tasks_of

app = FastAPI()
app.add_middleware(RequestTasks)
app.add_middleware(GracefulStop, grace=1)


@app.get("/words")
async def words(request: Request, prompt: str) -> StreamingResponse:
    return StreamingResponse(new_agent().stream_text(prompt, tasks_of(request.scope)))


@app.get("/plain/words")
def plain_words(prompt: str) -> StreamingResponse:
    return StreamingResponse(pieces(new_agent(), prompt))


def pieces(agent: tether.Agent, prompt: str) -> Iterator[str]:
    with blocking.run(agent, prompt) as run:
        for event in run:
            match event:
                case tether.MessageUpdate(delta=tether.TextDelta(text)):
                    yield text


@app.get("/plain/ask")
def plain_ask(prompt: str) -> str:
    return blocking.prompt(new_agent(), prompt).text
