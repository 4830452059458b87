"""Django: a view that streams a run.

uvicorn tests.embedding.django_app:app
hypercorn tests.embedding.django_app:app
"""

from collections.abc import AsyncIterator

import anyio
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, StreamingHttpResponse
from django.urls import path
from tests.embedding.agents import new_agent

import tether
from tether.embedding.lifespan import GracefulStop
from tether.embedding.request_tasks import RequestTasks, tasks_of

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])


async def chat(request: HttpRequest) -> StreamingHttpResponse:
    events = new_agent().stream_events(request.GET["prompt"], tasks_of(request.scope))
    return StreamingHttpResponse(lines(events), content_type="text/event-stream")


async def lines(events: tether.RunIterator[tether.Event]) -> AsyncIterator[bytes]:
    try:
        async for event in events:
            yield b"data: " + tether.to_json(event) + b"\n\n"
    except anyio.BrokenResourceError:
        pass  # The request was cancelled, and its run with it; Django 5 iterates on.


urlpatterns = [path("chat", chat)]
app = GracefulStop(RequestTasks(get_asgi_application()), grace=1)
