"""The endpoints of OpenAI's chat completions, for Open WebUI, LibreChat and every SDK with a `base_url` of `.../v1`.

    POST /v1/chat/completions    streamed or whole
    GET  /v1/models              one: the agent

The client keeps the conversation, so each request is a conversation that is forgotten at its end; a client that leaves
ends its run. Nobody can be asked: what would be asked is denied.
"""

import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Scope

from tether import (
    AgentEnd,
    ApprovalRequested,
    Deny,
    Event,
    MessageUpdate,
    ToolExecutionUpdate,
    UsageError,
)
from tether.embedding.disconnect import until_disconnect
from tether.host import Conversation, LimitReachedError, NotFoundError
from tether.messages import Failure
from tether.web.protocols.content import Json
from tether.web.protocols.openai_chunks import ChatCompletion, as_error, status_of
from tether.web.protocols.openai_requests import ChatCompletionRequest, check, messages_in
from tether.web.protocols.telling import as_json
from tether.web.refusals import Refusal
from tether.web.site import Site
from tether.web.sse import frame
from tether.web.streaming import Body, StreamedResponse

__all__ = ("routes",)

_MODEL: Final = "tether"
_DENIED: Final = Deny("nobody can be asked here: do without this call")
_PATIENCE: Final = 10
"""Seconds for forgetting a conversation."""

Endpoint = Callable[[Request], Awaitable[Response]]
Send = Callable[[list[Json], bool], Awaitable[None]]


def routes(site: Site) -> Sequence[BaseRoute]:
    """Make the routes of the protocol."""

    async def completions(request: Request) -> Response:
        body = await site.json(request, ChatCompletionRequest)
        if body.model not in _names(site):
            raise Refusal(404, "model_not_found", f"there is no model {body.model[:80]!r}")
        check(body)
        asked = _Asked(site, request, body)
        return _Streamed(asked) if body.stream else await _whole(asked)

    async def models(_: Request) -> Response:
        listed = [_model(name) for name in _names(site)]
        return JSONResponse({"object": "list", "data": listed})

    async def model(request: Request) -> Response:
        name = request.path_params["path"]
        if name not in _names(site):
            raise Refusal(404, "model_not_found", f"there is no model {name[:80]!r}")
        return JSONResponse(_model(name))

    return [
        Route("/v1/chat/completions", _answering(completions), methods=["POST"]),
        Route("/v1/models", _answering(models)),
        Route("/v1/models/{path:path}", _answering(model)),
    ]


def _names(site: Site) -> Sequence[str]:
    """The names that the agent goes by: the first is that of its model, where it is known."""
    return [site.model, _MODEL] if site.model and site.model != _MODEL else [_MODEL]


def _model(name: str) -> Mapping[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "tether"}


class _Asked:
    """A request, and the conversation that answers it."""

    def __init__(self, site: Site, request: Request, body: ChatCompletionRequest) -> None:
        self.request = request
        self._site = site
        self._messages, self._prompt = messages_in(body)
        options = body.stream_options
        self.fold = ChatCompletion(
            f"chatcmpl-{uuid.uuid4().hex}",
            body.model,
            int(time.time()),
            include_usage=options is not None and options.include_usage,
        )

    async def answer(self, send: Send) -> AgentEnd:
        """Have a conversation answer the request, and forget it.

        Args:
            send: gets the chunks of each event, and whether it shows that the model answers.

        Returns:
            How the run ended.

        Cancellation:
            Ends the run; the conversation is forgotten.
        """
        talk = await self._site.conversation(self.request)
        try:
            # It has what `make_agent` has given it; nothing was said yet.
            talk.agent.reset([*talk.agent.messages, *self._messages])
            async with talk.follow(talk.number) as viewer:
                talk.say(self._prompt)
                async for _, event in viewer:
                    _deny(talk, event)
                    if isinstance(event, AgentEnd) and event.error is not None:
                        return event
                    chunks = list(self.fold.take(event))
                    await send(chunks, isinstance(event, MessageUpdate))
                    if isinstance(event, AgentEnd):
                        return event
            raise Refusal(503, "ended", f"the conversation has ended: {talk.ended}")
        finally:
            with anyio.move_on_after(_PATIENCE, shield=True), suppress(NotFoundError):
                await self._site.host.delete(talk.id, owner=talk.owner)


def _deny(talk: Conversation, event: Event) -> None:
    while isinstance(event, ToolExecutionUpdate) and event.event is not None:
        event = event.event
    if isinstance(event, ApprovalRequested):
        with suppress(NotFoundError):
            talk.answer(event.call_id, _DENIED)


async def _whole(asked: _Asked) -> Response:
    async with until_disconnect(asked.request.receive):
        end = await asked.answer(_ignore)
        if end.error is not None:
            raise _failed(end.error)
        return JSONResponse(asked.fold.whole())
    return Response(status_code=499)  # nobody reads it


async def _ignore(_chunks: list[Json], _answers: bool) -> None:  # noqa: FBT001 - as it is called
    """Wait for the whole."""


class _Streamed(StreamedResponse):
    """A completion, chunk by chunk. What goes wrong before the first is answered with a status."""

    def __init__(self, asked: _Asked) -> None:
        super().__init__()
        self._asked = asked

    async def write(self, scope: Scope, body: Body) -> None:
        """Write the chunks; see `StreamedResponse`."""

        async def send(chunks: list[Json], answers: bool) -> None:  # noqa: FBT001 - as above
            if answers and not body.begun:
                chunks = [*self._asked.fold.begin(), *chunks]
            if chunks:
                await body.send(b"".join(frame(as_json(chunk)) for chunk in chunks))

        with _in_their_words():
            end = await self._asked.answer(send)
            if end.error is not None and not body.begun:
                raise _failed(end.error)
        if end.error is not None:
            await send([as_error(end.error)], True)  # noqa: FBT003
        await body.send(b"data: [DONE]\n\n")


# Errors, in OpenAI's shape.


class _OpenAIRefusal(Refusal):
    """A refusal that says in OpenAI's words why."""

    @property
    def body(self) -> Mapping[str, object]:
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        told = {"message": self.message, "type": kind, "param": None, "code": self.kind}
        return {"error": told}


def _failed(failure: Failure) -> Refusal:
    return _OpenAIRefusal(status_of(failure), failure.kind, failure.message)


def _answering(endpoint: Endpoint) -> Endpoint:
    async def answer(request: Request) -> Response:
        with _in_their_words():
            return await endpoint(request)

    return answer


@contextmanager
def _in_their_words() -> Iterator[None]:
    try:
        yield
    except Refusal as refusal:
        raise _OpenAIRefusal(
            refusal.status, refusal.kind, refusal.message, refusal.headers
        ) from refusal
    except LimitReachedError as error:
        raise _OpenAIRefusal(429, f"limit_{error.limit}", str(error)) from error
    except UsageError as error:
        raise _OpenAIRefusal(400, "bad_request", str(error)) from error
