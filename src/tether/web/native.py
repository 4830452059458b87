"""The native protocol: events of conversations as server-sent events, and commands by POST.

Bodies and answers are JSON. An error is `{"error": {"kind": ..., "message": ...}}`.

    GET    /api/info
    GET    /api/commands                            what `/name words` may call
    GET    /api/conversations?search=&limit=&before=
    POST   /api/conversations                       {"title"?}
    GET    /api/conversations/{id}
    DELETE /api/conversations/{id}
    GET    /api/conversations/{id}/events?after=    see `tether.web.feed`
    GET    /api/conversations/{id}/export?format=html|markdown|jsonl
    POST   /api/conversations/{id}/say              {"text", "uploads"?, "when"?: steer, interrupt, follow_up}
                                                    answered with {"told"} where a command says nothing to the agent
    POST   /api/conversations/{id}/abort            {}
    POST   /api/conversations/{id}/interrupt        {}
    POST   /api/conversations/{id}/cancel           {"call_id"}
    POST   /api/conversations/{id}/answer           {"call_id", "verdict": once, always, denied; "reason"?}
    POST   /api/conversations/{id}/rename           {"title"}
    POST   /api/conversations/{id}/fork             {"entry", "edit"?}
    POST   /api/conversations/{id}/uploads?name=    the file itself
    GET    /api/conversations/{id}/uploads/{upload}
    GET    /api/recordings?limit=&before=           those of the user, the latest first
    GET    /api/recordings/{name}                   the file itself, see `tether.replay`
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any, Literal
from urllib.parse import quote

import msgspec
from anyio.to_thread import run_sync
from attrs import evolve
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tether import Deny, UsageError, UserMessage, to_json
from tether.export import as_html, as_markdown
from tether.host import (
    Conversation,
    ConversationInfo,
    EndedError,
    Recordings,
    expand,
)
from tether.media import Media
from tether.web.feed import Feed, place_of, snapshot_json
from tether.web.refusals import Refusal
from tether.web.site import Site
from tether.web.uploads import ACCEPTED, Upload

__all__ = ("routes",)

_MOST_LISTED = 200
_LONGEST_NAME = 200

Command = Callable[[Site, Request, Conversation], Awaitable[Response]]


def routes(site: Site) -> Sequence[BaseRoute]:
    """Make the routes of the native protocol."""
    here = "/api/conversations/{id}"

    def about(command: Command) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            talk = await site.conversation(request, request.path_params["id"])
            try:
                return await command(site, request, talk)
            except EndedError:
                # It was let go of since. It comes back, unless it was deleted.
                talk = await site.conversation(request, request.path_params["id"])
                return await command(site, request, talk)

        return endpoint

    def alone(command: Callable[[Site, Request], Awaitable[Response]]) -> Any:
        async def endpoint(request: Request) -> Response:
            return await command(site, request)

        return endpoint

    return [
        Route("/api/info", alone(_info)),
        Route("/api/commands", alone(_commands)),
        Route("/api/conversations", alone(_list)),
        Route("/api/conversations", alone(_create), methods=["POST"]),
        Route("/api/recordings", alone(_recordings)),
        Route("/api/recordings/{name}", alone(_recording)),
        Route(here, about(_show)),
        Route(here, alone(_delete), methods=["DELETE"]),
        Route(f"{here}/events", about(_events)),
        Route(f"{here}/export", about(_export)),
        Route(f"{here}/uploads", about(_upload), methods=["POST"]),
        Route(f"{here}/uploads/{{upload}}", about(_uploaded)),
        *(
            Route(f"{here}/{name}", about(command), methods=["POST"])
            for name, command in _COMMANDS.items()
        ),
    ]


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request."""


# All conversations.


async def _info(site: Site, request: Request) -> Response:
    return JSONResponse(
        {
            "version": version("tether"),
            "model": site.model,
            "user": site.owner(request),
            "accepts": list(ACCEPTED),
            "max_upload": site.bounds.upload,
            "features": [
                "steer",
                "interrupt",
                "follow_up",
                "fork",
                "uploads",
                "export",
                "approvals",
            ],
        }
    )


async def _commands(site: Site, _: Request) -> Response:
    listed = [{"name": c.name, "description": c.help, "hint": c.words} for c in site.commands]
    return JSONResponse({"commands": listed}, headers=_FRESH)


async def _list(site: Site, request: Request) -> Response:
    query, limit = request.query_params, _limit(request, 50)
    found = await site.host.conversations(
        owner=site.owner(request),
        search=query.get("search", ""),
        limit=limit,
        before=query.get("before") or None,
    )
    cursor = found[-1].cursor if len(found) == limit else None
    return JSONResponse({"conversations": [_listed(info) for info in found], "next": cursor})


def _limit(request: Request, otherwise: int) -> int:
    """Read how many are to be listed at most."""
    given = request.query_params.get("limit", str(otherwise))
    limit = int(given) if given.isascii() and given.isdecimal() and len(given) <= 9 else 0
    if not 1 <= limit <= _MOST_LISTED:
        raise Refusal(400, "bad_request", f"limit is a number from 1 to {_MOST_LISTED}")
    return limit


def _listed(info: ConversationInfo) -> dict[str, Any]:
    names = ("id", "title", "updated", "state", "model", "messages")
    return {name: getattr(info, name) for name in names}


class _Create(_Body, frozen=True):
    title: str | None = None


async def _create(site: Site, request: Request) -> Response:
    body = await site.json(request, _Create)
    talk = await site.conversation(request)
    if body.title is not None:
        talk.title = body.title[:_LONGEST_NAME]
    return JSONResponse({"id": talk.id}, 201)


# One conversation.


async def _show(site: Site, request: Request, talk: Conversation) -> Response:
    _, snapshot = snapshot_json(talk)
    return Response(snapshot, media_type="application/json", headers=_FRESH)


_FRESH = {"cache-control": "no-store"}


async def _delete(site: Site, request: Request) -> Response:
    await site.host.delete(request.path_params["id"], owner=site.owner(request))
    return JSONResponse({})


async def _events(site: Site, request: Request, talk: Conversation) -> Response:
    return Feed(talk, place_of(request))


async def _export(site: Site, request: Request, talk: Conversation) -> Response:
    wanted = request.query_params.get("format", "html")
    messages = [message for _, message in talk.snapshot().items]
    match wanted:
        case "html":
            text, media_type, ending = (
                as_html(messages, talk.title or "tether"),
                "text/html",
                "html",
            )
        case "markdown":
            text, media_type, ending = as_markdown(messages), "text/markdown", "md"
        case "jsonl":
            text = "".join(f"{to_json(message).decode()}\n" for message in messages)
            media_type, ending = "application/jsonl", "jsonl"
        case _:
            raise Refusal(400, "bad_request", "format is one of html, markdown, jsonl")
    headers = {**_FRESH, **_attached(f"conversation.{ending}")}
    return Response(text, media_type=media_type, headers=headers)


def _attached(name: str) -> dict[str, str]:
    """Have a browser keep a file and not show it; in a frame without any right if it does."""
    return {
        "content-disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox",
    }


# What is said in it.


class _Say(_Body, frozen=True):
    text: str = ""
    uploads: tuple[str, ...] = ()
    when: Literal["steer", "interrupt", "follow_up"] = "steer"


async def _say(site: Site, request: Request, talk: Conversation) -> Response:
    body = await site.json(request, _Say)
    place = (talk.owner, talk.id)
    files: Sequence[Upload] = [site.uploads.get(place, id) for id in body.uploads]
    if not body.text.strip() and not files:
        raise Refusal(400, "empty", "there is nothing to say: text and uploads are empty")
    said = await _said(site, body.text, [file.block for file in files], talk)
    if isinstance(said, str):
        return JSONResponse({"told": said})
    started = talk.state == "idle"
    message = talk.say(said, when=body.when)
    site.uploads.forget(files)
    return JSONResponse({"id": message.id, "started": started}, 202)


async def _said(
    site: Site, text: str, files: Sequence[Media | str], talk: Conversation
) -> UserMessage | str:
    """What is said by a text with files, or what its command answers."""
    if not (text.startswith("/") and len(site.commands)):
        return UserMessage([*([text] if text.strip() else []), *files])
    answer = await expand(site.commands, text, talk)
    return answer if isinstance(answer, str) else evolve(answer, content=[*answer.content, *files])


async def _abort(site: Site, request: Request, talk: Conversation) -> Response:
    await site.json(request, _Body)
    talk.abort()
    return JSONResponse({})


async def _interrupt(site: Site, request: Request, talk: Conversation) -> Response:
    await site.json(request, _Body)
    talk.interrupt()
    return JSONResponse({})


class _Cancel(_Body, frozen=True):
    call_id: str


async def _cancel(site: Site, request: Request, talk: Conversation) -> Response:
    body = await site.json(request, _Cancel)
    try:
        talk.cancel_tool(body.call_id)
    except UsageError as error:
        raise Refusal(409, "not_running", str(error)) from error
    return JSONResponse({})


class _Answer(_Body, frozen=True):
    call_id: str
    verdict: Literal["once", "always", "denied"]
    reason: str = ""


async def _answer(site: Site, request: Request, talk: Conversation) -> Response:
    body = await site.json(request, _Answer)
    if body.reason and body.verdict != "denied":
        raise Refusal(400, "bad_request", "a reason is for the verdict `denied`")
    match body.verdict:
        case "denied":
            talk.answer(body.call_id, Deny(body.reason) if body.reason else False)
        case verdict:
            talk.answer(body.call_id, verdict)
    return JSONResponse({})


class _Rename(_Body, frozen=True):
    title: str


async def _rename(site: Site, request: Request, talk: Conversation) -> Response:
    talk.title = (await site.json(request, _Rename)).title[:_LONGEST_NAME]
    return JSONResponse({})


class _Fork(_Body, frozen=True):
    entry: str
    edit: bool = False


async def _fork(site: Site, request: Request, talk: Conversation) -> Response:
    body = await site.json(request, _Fork)
    made = await talk.fork(body.entry, before=body.edit)
    return JSONResponse({"id": made.id}, 201)


_COMMANDS: dict[str, Command] = {
    "say": _say,
    "abort": _abort,
    "interrupt": _interrupt,
    "cancel": _cancel,
    "answer": _answer,
    "rename": _rename,
    "fork": _fork,
}


# Files.


async def _upload(site: Site, request: Request, talk: Conversation) -> Response:
    name = request.query_params.get("name", "").strip()[:_LONGEST_NAME] or "file"
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    data = await request.body()
    upload = site.uploads.add((talk.owner, talk.id), data, media_type, name)
    described = {"id": upload.id, "media_type": upload.media_type, "name": name, "size": len(data)}
    return JSONResponse(described, 201)


async def _uploaded(site: Site, request: Request, talk: Conversation) -> Response:
    upload = site.uploads.get((talk.owner, talk.id), request.path_params["upload"])
    headers = {**_FRESH, **_attached(upload.name)}
    return Response(upload.data, media_type=upload.media_type, headers=headers)


# Recordings.

_LARGEST_RECORDING = 64 * 1024 * 1024


async def _recordings(site: Site, request: Request) -> Response:
    recordings, limit = site.host.recordings, _limit(request, _MOST_LISTED)
    before = request.query_params.get("before") or None
    if recordings is None:
        return JSONResponse({"recordings": [], "next": None}, headers=_FRESH)
    page = partial(recordings.files, site.owner(request), limit=limit, before=before)
    found = await run_sync(page)
    listed = [{"name": file.name, "size": file.size} for file in found]
    cursor = found[-1].name if len(found) == limit else None
    return JSONResponse({"recordings": listed, "next": cursor}, headers=_FRESH)


async def _recording(site: Site, request: Request) -> Response:
    name, recordings = request.path_params["name"], site.host.recordings
    if recordings is None:
        raise Refusal(404, "not_found", "this server records nothing")
    data = await run_sync(_read, recordings, name, site.owner(request))
    return Response(data, media_type="application/jsonl", headers={**_FRESH, **_attached(name)})


def _read(recordings: Recordings, name: str, owner: str) -> bytes:
    path = recordings.path(name, owner)
    if path is None:
        raise Refusal(404, "not_found", f"there is no recording {name!r}")
    if path.stat().st_size > _LARGEST_RECORDING:
        most = f"{_LARGEST_RECORDING // 1024 // 1024} MiB"
        raise Refusal(
            413, "too_large", f"{name} is larger than {most}: step through it with tether replay"
        )
    return path.read_bytes()
