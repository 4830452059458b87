"""Bedrock's Converse as a wire API. No I/O."""

from typing import Final
from urllib.parse import quote

from tether.models._wire.protocol import WireApi, join_url
from tether.models.bedrock.frames import frame_messages
from tether.models.bedrock.reply import NAME, decode
from tether.models.bedrock.request import encode

__all__ = ("BEDROCK_CONVERSE",)


def _path(model: str) -> str:
    return f"/model/{quote(model, safe='')}"


def _headers(key: str) -> dict[str, str]:
    return {"accept": "*/*"} | ({"authorization": f"Bearer {key}"} if key else {})


BEDROCK_CONVERSE: Final = WireApi(
    name=NAME,
    encode=encode,
    decode=decode,
    url=lambda base_url, model: join_url(base_url, f"{_path(model)}/converse-stream"),
    headers=_headers,
    frame=frame_messages,
    whole_url=lambda base_url, model: join_url(base_url, f"{_path(model)}/converse"),
)
"""The wire API."""
