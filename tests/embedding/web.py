"""A web back end that streams runs as server-sent events, the same on every ASGI server.

    uvicorn tests.embedding.web:app
    hypercorn --worker-class trio tests.embedding.web:app

A run is tied to the response that shows it: when the browser goes away, the run ends, down to the processes of
its tools; when the browser reads slowly, the run waits.
"""

from typing import Any

from attrs import frozen
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

import tether
from tether.testing import Pause, ScriptedModel, call, check_transcript
from tether.toolbox.coding import changing_tools
from tether.web import EventStreamResponse


async def chat(request: Request) -> EventStreamResponse:
    """Answer `/chat?prompt=...`."""
    agent = tether.Agent(ScriptedModel("Hello, browser."))
    return EventStreamResponse(agent, request.query_params["prompt"])


async def think(_: Request) -> "Logged":
    """Wait for a model that says one word and no more."""
    return Logged(EventStreamResponse(tether.Agent(ScriptedModel(["Hm", Pause()])), "Think."))


async def work(_: Request) -> "Logged":
    """Have a tool run a command that takes for ever."""
    model = ScriptedModel(call("run_command", command="sleep 1000 & echo $$ $!; wait"))
    return Logged(EventStreamResponse(tether.Agent(model, tools=changing_tools(".")), "Work."))


async def pour(request: Request) -> "Logged":
    """Pass on what the model at `url` says."""
    model = tether.model_from_name("openai-chat:m", base_url=request.query_params["url"])
    return Logged(EventStreamResponse(tether.Agent(model), "Pour."))


@frozen
class Logged:
    """A response that says on standard output what it left behind."""

    response: EventStreamResponse

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self.response(scope, receive, send)
        finally:
            messages = self.response.agent.messages
            check_transcript(messages)
            ends = [getattr(m, "outcome", None) or getattr(m, "stop_reason", "") for m in messages]
            print(scope["path"], *filter(None, ends), flush=True)


app = Starlette(
    routes=[
        Route("/chat", chat),
        Route("/think", think),
        Route("/work", work),
        Route("/pour", pour),
    ]
)

if __name__ == "__main__":
    import uvicorn

    uvicorn.run(app)
