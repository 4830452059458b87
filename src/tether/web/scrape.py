"""The metrics of the server, at `/metrics`, for Prometheus and `tether top`."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tether import Agent
from tether.embedding.task_group import open_task_group
from tether.hooks import call_maybe_async
from tether.host import Conversation, Host, MakeAgent
from tether.metrics import Metrics, exposition

__all__ = ("measured_site",)


def measured_site(
    make_agent: MakeAgent,
    open_host: Callable[[MakeAgent], AbstractAsyncContextManager[Host]],
    metrics: Metrics,
) -> tuple[Callable[[], AbstractAsyncContextManager[Host]], Sequence[BaseRoute]]:
    """Have a site measured.

    Args:
        make_agent: makes the agent of a conversation.
        open_host: opens the host, with a function that makes agents.
        metrics: where runs, viewers and the event loop are measured.

    Returns:
        What opens the host, and the route of the metrics.
    """
    return partial(
        _watched_host, partial(open_host, _watched(make_agent, metrics)), metrics
    ), _routes(metrics)


def _routes(metrics: Metrics) -> Sequence[BaseRoute]:
    # What they say is of the whole server, and holds no user's words or ids.

    async def endpoint(request: Request) -> Response:
        body, content_type = exposition(metrics, request.headers.get("accept", ""))
        return Response(body, headers={"content-type": content_type, "cache-control": "no-store"})

    return [Route("/metrics", endpoint)]


def _watched(make_agent: MakeAgent, metrics: Metrics) -> MakeAgent:
    """Have the agents of conversations watched."""

    async def make(conversation: Conversation) -> Agent:
        agent: Any = await call_maybe_async(make_agent, conversation)
        if isinstance(agent, Agent):  # else the host refuses it
            metrics.watch(agent)
        made: Agent = agent
        return made

    return make


@asynccontextmanager
async def _watched_host(
    open_host: Callable[[], AbstractAsyncContextManager[Host]], metrics: Metrics
) -> AsyncIterator[Host]:
    """Open a host, count its viewers, and measure the event loop while it is open.

    Cancellation:
        Closes the host, and passes on.
    """
    async with open_host() as host, open_task_group() as tasks:
        tasks.start_soon(metrics.watch_loop)
        stop = metrics.count_viewers(lambda: sum(talk.viewers for talk in host.held))
        try:
            yield host
        finally:
            stop()
