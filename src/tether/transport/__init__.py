"""HTTP/1.1 for answers that are streamed: a transport for any `httpx.AsyncClient`, on asyncio and trio."""

from tether.transport.streaming import StreamingTransport

__all__ = ("StreamingTransport",)
