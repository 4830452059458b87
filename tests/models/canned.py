"""A server in memory that answers requests one after the other, byte for byte."""

import json
from collections.abc import Mapping
from typing import Any

import httpx
from attrs import define, field, frozen

from tether import Model, RetryPolicy, model_from_name


@frozen
class Answer:
    """One answer of the server."""

    body: bytes
    status: int = 200
    kind: str = "text/event-stream"
    headers: Mapping[str, str] = field(factory=dict)


@define
class Canned:
    """The server: what it answers, the last of it to all further requests, and what it was asked."""

    answers: list[Answer]
    asked: list[Any] = field(factory=list)
    urls: list[str] = field(factory=list)

    def model(self, name: str, **settings: Any) -> Model:
        """A model that this server answers."""
        settings.setdefault("api_key", "secret")
        settings.setdefault("retry", RetryPolicy(wait_initial=0.0001))
        return model_from_name(
            name, transport=lambda: httpx.MockTransport(self._answer), **settings
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        answer = self.answers[min(len(self.asked), len(self.answers) - 1)]
        self.asked.append(json.loads(request.content))
        self.urls.append(str(request.url))
        headers = {"content-type": answer.kind, **answer.headers}
        return httpx.Response(answer.status, headers=headers, stream=httpx.ByteStream(answer.body))


def events(*data: Any) -> bytes:
    """Write an event stream; bytes stand for themselves."""
    return b"".join(
        item if isinstance(item, bytes) else b"data: %b\n\n" % json.dumps(item).encode()
        for item in data
    )
