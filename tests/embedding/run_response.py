"""A response of Starlette, and so of FastAPI, that streams a run."""

from typing import Any

from starlette.responses import StreamingResponse

import tether
from tether.embedding.disconnect import until_disconnect


class RunResponse(StreamingResponse):
    """Streams the events of a run, which ends when the client goes away."""

    media_type = "text/event-stream"

    def __init__(self, agent: tether.Agent, prompt: str) -> None:
        super().__init__((), headers={"cache-control": "no-store"})
        self.agent = agent
        self.prompt = prompt

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async with until_disconnect(receive), self.agent.run(self.prompt) as run:
            headers = self.raw_headers
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            async for event in run:
                data = b"data: " + tether.to_json(event) + b"\n\n"
                await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
