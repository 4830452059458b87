"""Ports of the loopback interface."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ("reserved_port",)


@contextmanager
def reserved_port() -> Iterator[int]:
    """Keep a free port for a server that takes a number alone, for the time of a block.

    A socket stays bound to it, so that the system gives it to nobody else. It does not listen: until the server does,
    connections are refused, and a server that sets SO_REUSEADDR, as they all do, may listen there.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
