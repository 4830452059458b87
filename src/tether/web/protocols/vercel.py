"""The endpoints that pages of the Vercel AI SDK use, `useChat` with `DefaultChatTransport({api: ".../vercel"})`.

    POST /vercel                what was said, or answered about calls; the answer streams
    GET  /vercel/{id}/stream    the message that is being made, from its beginning; 204 where none is
    GET  /vercel/{id}/messages  what a page begins with: all messages but the one that is being made
    POST /vercel/{id}/stop      {} ends the run

With `?sdk=7` version 7 of the SDK gets chunks that version 6 refuses. A reader that leaves ends no run: `stop` does.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final, assert_never

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tether.host import Conversation, NotFoundError
from tether.web.protocols.telling import (
    LastRun,
    Opening,
    Telling,
    as_json,
    go_on_from_answers,
    last_run,
    say_instead_of_answering,
)
from tether.web.protocols.vercel_chunks import UiMessageStream, Version
from tether.web.protocols.vercel_messages import reply_to, ui_messages
from tether.web.protocols.vercel_requests import Answers, ChatRequest, Said, turn_of
from tether.web.refusals import Refusal
from tether.web.site import Site

__all__ = ("routes",)

_HEADERS: Final = {"x-vercel-ai-ui-message-stream": "v1"}
_FRESH: Final = {"cache-control": "no-store"}
_DONE: Final = b"data: [DONE]\n\n"


def routes(site: Site) -> Sequence[BaseRoute]:
    """Make the routes of the protocol."""

    async def chat(request: Request) -> Response:
        version = _version(request)
        body = await site.json(request, ChatRequest)
        wanted = turn_of(body)
        talk = await site.conversation(request, body.id, create=True)
        match wanted:
            case Answers():
                return await _answered(talk, wanted, version)
            case Said():
                return await _said(talk, wanted, version)
            case _:
                assert_never(wanted)

    async def resume(request: Request) -> Response:
        version = _version(request)
        try:
            talk = await site.conversation(request, request.path_params["id"])
        except NotFoundError:
            return Response(status_code=204)
        return await _again(talk, version)

    async def messages(request: Request) -> Response:
        talk = await site.conversation(request, request.path_params["id"])
        run = await last_run(talk)
        told = ui_messages(run.messages if run.is_over else run.before)
        return Response(as_json(told), media_type="application/json", headers=_FRESH)

    async def stop(request: Request) -> Response:
        talk = await site.conversation(request, request.path_params["id"])
        talk.abort()
        return JSONResponse({})

    return [
        Route("/vercel", chat, methods=["POST"]),
        Route("/vercel/{id}/stream", resume),
        Route("/vercel/{id}/messages", messages),
        Route("/vercel/{id}/stop", stop, methods=["POST"]),
    ]


def _version(request: Request) -> Version:
    match request.query_params.get("sdk", "6"):
        case "6":
            return 6
        case "7":
            return 7
        case other:
            raise Refusal(400, "bad_request", f"sdk is 6 or 7, not {other[:20]!r}")


async def _said(talk: Conversation, said: Said, version: Version) -> Response:
    run = await last_run(talk)
    if said.again or _knows(talk, said.message.id):
        if said.message.id == run.prompt_id and not said.again:
            return _told(talk, run, version)  # the answer to the first request was lost
        raise Refusal(
            409,
            "said_before",
            "this conversation goes on from its end: fork it to say or answer a message anew",
        )
    message = say_instead_of_answering(talk, said.message)
    return _told(talk, run, version, said=message.id)


async def _answered(talk: Conversation, answers: Answers, version: Version) -> Response:
    run = await last_run(talk)
    fold = UiMessageStream(reply_to(run.prompt_id), version=version, before=run.before)
    after = go_on_from_answers(talk, run, fold, answers.verdicts)
    opening = Opening(fold, list(fold.begin()), "follow_answers")
    return _telling(talk, lambda _: opening, run=LastRun(), after=after)


async def _again(talk: Conversation, version: Version) -> Response:
    run = await last_run(talk)
    if not run.is_over:
        return _told(talk, run, version)
    if talk.state != "idle" and talk.queued:
        return _told(talk, run, version, said=talk.queued[0].id)  # it is about to begin
    return Response(status_code=204)


def _told(talk: Conversation, run: LastRun, version: Version, said: str = "") -> Response:
    """Tell a run from its beginning."""

    def begun(run: LastRun) -> Opening:
        fold = UiMessageStream(reply_to(run.prompt_id), version=version, before=run.before)
        chunks = [*fold.begin()]
        for _, event in run.events:
            chunks += fold.take(event)
        return Opening(fold, chunks, "end" if run.is_over else "follow")

    return _telling(talk, begun, run=run, after=run.number, said=said)


_telling = partial(Telling, end=_DONE, headers=_HEADERS)


def _knows(talk: Conversation, message_id: str) -> bool:
    known = [id_ for id_, _ in talk.snapshot().items] + [one.id for one in talk.queued]
    return bool(message_id) and message_id in known
