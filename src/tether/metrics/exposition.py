"""Answer Prometheus: as an ASGI application, or in a thread for programs without a server."""

from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, TypeAlias

from attrs import frozen

from tether import UsageError
from tether.metrics._prometheus import choose_encoder, start_http_server
from tether.metrics.metrics import Metrics

__all__ = ("app", "exposition", "serving")

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def exposition(metrics: Metrics, accept: str = "") -> tuple[bytes, str]:
    """Write the metrics down.

    Args:
        metrics: the metrics.
        accept: the header of the request that asks for a format: Prometheus' text, or OpenMetrics.

    Returns:
        The body of the response, and its content type.
    """
    encode, content_type = choose_encoder(accept)
    return encode(metrics.registry), content_type


def app(metrics: Metrics) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """Make an ASGI application that answers GET and HEAD at every path with the metrics.

    Args:
        metrics: the metrics.

    Returns:
        The application, to be served, or mounted in another: `Mount("/metrics", tether.metrics.app(metrics))`.
    """
    return _Application(metrics)


@contextmanager
def serving(metrics: Metrics, port: int, *, host: str = "127.0.0.1") -> Iterator[int]:
    """Answer Prometheus from a thread of its own, while a block runs.

    Args:
        metrics: the metrics.
        port: where; 0 for one that is free.
        host: the address to listen at. Whoever can reach it can read the metrics.

    Returns:
        A context manager that gives the port.

    Raises:
        UsageError: it cannot listen there.
    """
    try:
        server, thread = start_http_server(port, host, metrics.registry)
    except (OSError, OverflowError) as error:
        raise UsageError(f"metrics cannot be served at {host}:{port}: {error}") from error
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@frozen
class _Application:
    """The application of `app`."""

    _metrics: Metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
        elif scope["method"] not in {"GET", "HEAD"}:
            await _respond(send, 405, b"", [(b"allow", b"GET, HEAD")])
        else:
            accept = ",".join(v.decode("latin-1") for k, v in scope["headers"] if k == b"accept")
            body, content_type = exposition(self._metrics, accept)
            headers = [
                (b"content-type", content_type.encode()),
                (b"content-length", str(len(body)).encode()),
                (b"cache-control", b"no-store"),
            ]
            await _respond(send, 200, b"" if scope["method"] == "HEAD" else body, headers)


async def _respond(
    send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Receive, send: Send) -> None:
    message: MutableMapping[str, Any] = {}
    while message.get("type") != "lifespan.shutdown":
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
