"""Serve the files of the page: with their types, with a strict content policy, and only where they are new."""

import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from attrs import frozen
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tether.web.checks import HEADERS

__all__ = ("routes",)

_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "json": "application/json",
}
_ASKED_ABOUT: Final = "no-cache"
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_PLAIN: Final = "text/plain; charset=utf-8"
_HEADERS: Final = {
    **HEADERS,
    # Links in what a model wrote would be looked up before anybody follows them: a host's name can hold a secret.
    "x-dns-prefetch-control": "off",
}


@frozen
class _File:
    content: bytes
    media_type: str
    tag: str


def routes() -> Sequence[BaseRoute]:
    """Make the routes of the page: `/` and `/static/...`, relative to where they are mounted.

    The page names its files with their version in the path, so that a browser keeps them until there is another one.

    Returns:
        Routes for Starlette. The files are read now, and held in memory.
    """
    page = files("tether.web.page")
    static = dict(_found(page / "static", ""))
    version = _digest("".join(file.tag for file in static.values()).encode())[:12]
    index = _file(
        (page / "index.html").read_bytes().replace(b'="static/', f'="static/{version}/'.encode()),
        "html",
    )

    async def show(request: Request) -> Response:
        return _response(request, index, _ASKED_ABOUT)

    async def serve(request: Request) -> Response:
        path: str = request.path_params["path"]
        named = path.removeprefix(f"{version}/")
        return _response(request, static.get(named), _ASKED_ABOUT if named == path else _FOR_EVER)

    return [Route("/", show, methods=["GET"]), Route("/static/{path:path}", serve, methods=["GET"])]


def _found(folder: Traversable, above: str) -> Sequence[tuple[str, _File]]:
    """The files of a folder and of those in it, by their path."""
    found: list[tuple[str, _File]] = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            found += _found(entry, f"{above}{entry.name}/")
        else:
            found.append((above + entry.name, _file(entry.read_bytes(), entry.name)))
    return found


def _file(content: bytes, name: str) -> _File:
    media_type = _TYPES.get(name.rpartition(".")[2], _PLAIN)
    return _File(content, media_type, f'"{_digest(content)}"')


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _response(request: Request, file: _File | None, kept: str) -> Response:
    if file is None:
        return Response("not found", 404, media_type=_PLAIN)
    headers: Mapping[str, str] = {**_HEADERS, "cache-control": kept, "etag": file.tag}
    known = request.headers.get("if-none-match", "")
    if file.tag in (tag.strip().removeprefix("W/") for tag in known.split(",")):
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)
