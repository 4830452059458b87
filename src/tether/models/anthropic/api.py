"""Anthropic Messages as a wire API. No I/O."""

from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from attrs import evolve

from tether.models._wire.protocol import WireApi, join_url
from tether.models.anthropic.reply import NAME, decode
from tether.models.anthropic.request import encode

__all__ = ("ANTHROPIC_MESSAGES",)


_OWN_HOST: Final = "api.anthropic.com"


def _url(base_url: str, _: str) -> str:
    path = base_url.partition("?")[0].rstrip("/")
    return join_url(base_url, "/messages" if path.endswith("/v1") else "/v1/messages")


def _at(base_url: str) -> WireApi:
    server = urlsplit(base_url).netloc.rpartition("@")[2]
    if server == _OWN_HOST:
        return ANTHROPIC_MESSAGES
    encoder: Any = partial(encode, server=server)
    return evolve(ANTHROPIC_MESSAGES, encode=encoder, decode=partial(decode, server=server))


ANTHROPIC_MESSAGES: Final = WireApi(
    name=NAME,
    encode=encode,
    decode=decode,
    url=_url,
    headers=lambda key: {"anthropic-version": "2023-06-01"} | ({"x-api-key": key} if key else {}),
    at=_at,
)
"""The wire API."""
