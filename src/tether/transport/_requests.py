"""A request as bytes: its head, and its body in chunks or with a length. No I/O."""

import httpx

from tether.transport._heads import write_head

__all__ = ("FramedRequest",)


class FramedRequest:
    """A request that is being written.

    Args:
        request: what is sent.

    Raises:
        httpx.LocalProtocolError: its head cannot be sent.
    """

    __slots__ = ("_left", "framing", "head")

    def __init__(self, request: httpx.Request) -> None:
        self.head, self.framing = write_head(
            request.method.encode("ascii"), request.url.raw_path, request.headers.raw
        )
        self._left = self.framing.length or 0

    def piece(self, data: bytes) -> bytes:
        """Frame a piece of the body.

        Raises:
            httpx.LocalProtocolError: it is more than the head says.
        """
        if self.framing.has_chunks:
            return b"%x\r\n%b\r\n" % (len(data), data) if data else b""
        self._left -= len(data)
        if self._left < 0:
            raise httpx.LocalProtocolError("Too much data for declared Content-Length")
        return data

    def end(self) -> bytes:
        """Return what ends the body.

        Raises:
            httpx.LocalProtocolError: it was less than the head says.
        """
        if self.framing.has_chunks:
            return b"0\r\n\r\n"
        if self._left:
            raise httpx.LocalProtocolError("Too little data for declared Content-Length")
        return b""
