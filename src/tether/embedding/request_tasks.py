"""A task group for each request: what runs of streaming responses are tied to.

Frameworks that take an iterator for a response iterate it behind the function that made it, where no block is open any
more. `Agent.stream_text` and `Agent.stream_events` take the task group that `RequestTasks` has opened around the
request instead.
"""

from collections.abc import Mapping
from typing import Final

from anyio.abc import TaskGroup

from tether.embedding.asgi import ASGIApp, Message, Receive, Send
from tether.embedding.task_group import open_task_group
from tether.errors import UsageError

__all__ = ("RequestTasks", "tasks_of")

_TASKS: Final = "tether.tasks"
"""The key of the task group in the scope of a request."""


class RequestTasks:
    """An ASGI application around another, which gives each request and each websocket a task group.

    `tasks_of` gives it. When the request is over, also since its client has gone, what still runs in it is cancelled.

    Args:
        app: the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve a request, a websocket, or the lifespan, which gets no task group.

        Raises:
            Exception: what the application raises.

        Cancellation:
            Cancels the tasks, waits for them, and passes on.
        """
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        async with open_task_group() as tasks:
            await self._app({**scope, _TASKS: tasks}, receive, send)


def tasks_of(scope: Mapping[str, object]) -> TaskGroup:
    """Find the task group of a request.

    Args:
        scope: the ASGI scope; `request.scope` in Starlette, FastAPI, Django and Quart.

    Returns:
        The task group, which is cancelled when the request is over.

    Raises:
        UsageError: there is no `RequestTasks` around the application.
    """
    tasks = scope.get(_TASKS)
    if not isinstance(tasks, TaskGroup):
        raise UsageError("this request has no task group: write `app = RequestTasks(app)`")
    return tasks
