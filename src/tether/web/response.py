"""A run as the response to a request."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

from starlette.background import BackgroundTask
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tether import (
    Agent,
    AgentBusyError,
    Limits,
    ModelError,
    NothingToContinueError,
    Prompt,
    Run,
    to_json,
)
from tether.web.refusals import Refusal
from tether.web.sse import frame
from tether.web.streaming import KEEP_ALIVE, Body, StreamedResponse

__all__ = ("EventStreamResponse",)


class EventStreamResponse(StreamedResponse):
    """Streams the events of a run as server-sent events, each as `tether.to_json` writes it.

    The run begins before the response does: where the agent has a run going, the answer is 409. It ends when the reader
    goes, down to the processes of its tools, and waits while the reader is slow. When the model or a hook fails, the
    last event is an `agent_end` that says so, and the body is complete; what a hook raised goes on to the server.

    Browsers ask again when an `EventSource` ends. Such a request has a `Last-Event-ID`; the answer is 204, so that
    nothing is done twice and the browser stops.

    Args:
        agent: whose run it is.
        prompt: what to say; None to go on from the conversation as it stands.
        deps: what the tools need in this run; the agent's own if None.
        limits: what this run may spend; the agent's own if None.
        keep_alive: seconds between two comments, which keep proxies from closing a connection that is silent.
        headers: of the response, in addition.
        background: what to do when the response is over.
    """

    def __init__(
        self,
        agent: Agent,
        prompt: Prompt | None = None,
        *,
        deps: Any = None,
        limits: Limits | None = None,
        keep_alive: float = KEEP_ALIVE,
        headers: Mapping[str, str] | None = None,
        background: BackgroundTask | None = None,
    ) -> None:
        super().__init__(headers=headers, keep_alive=keep_alive, background=background)
        self.agent = agent
        self.prompt = prompt
        self._run = agent.run(prompt, deps=deps, limits=limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response; see `StreamedResponse`."""
        if "last-event-id" in Headers(scope=scope):
            await Response(status_code=204)(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    async def write(self, scope: Scope, body: Body) -> None:
        """Write the events of the run; see `StreamedResponse`."""
        async with AsyncExitStack() as opened:
            try:
                run = await opened.enter_async_context(self._run)
            except (AgentBusyError, NothingToContinueError) as error:
                kind = "busy" if isinstance(error, AgentBusyError) else "nothing_to_continue"
                raise Refusal(409, kind, str(error)) from error
            await body.send()
            await _write_events(run, body)


async def _write_events(run: Run, body: Body) -> None:
    number = 0
    try:
        async for event in run:
            number += 1
            await body.send(frame(to_json(event), id=str(number)))
    except ModelError:
        pass  # the last event has said so, and the model's failures are no fault of the program
    except Exception:
        await body.send(more=False)  # noqa: ASYNC120 - a cancellation goes first
        raise
