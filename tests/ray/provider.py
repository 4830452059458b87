"""A provider on loopback, in a thread: it counts its connections, and what it has written."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define, field


def _chunk(text: str) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    event = f"data: {json.dumps({'choices': [choice]})}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(event), event)


@define(eq=False)
class Provider:
    """What is known of it."""

    url: str = ""
    open: int = 0
    written: int = 0
    changed: threading.Condition = field(factory=threading.Condition)

    def count(self, connections: int = 0, written: int = 0) -> None:
        with self.changed:
            self.open += connections
            self.written += written
            self.changed.notify_all()

    def wait_open(self, connections: int, seconds: float) -> bool:
        """Wait until so many connections are open."""
        with self.changed:
            return self.changed.wait_for(lambda: self.open == connections, seconds)


@contextmanager
def providing(text: str, every: float) -> Iterator[Provider]:
    """Answer each request with a reply that does not end, piece by piece.

    Args:
        text: a piece.
        every: seconds between two.
    """
    provider = Provider()
    pause = threading.Event()
    piece = _chunk(text)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            provider.count(connections=1)
            try:
                self._answer()
            except OSError:
                pass  # the client is gone
            finally:
                provider.count(connections=-1)

        def _answer(self) -> None:
            self.request.recv(65536)
            head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            self.request.sendall(head.encode())
            while not pause.wait(every):
                self.request.sendall(piece)
                provider.count(written=len(piece))

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 256

    with Server(("127.0.0.1", 0), Handler) as server:
        provider.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield provider
        pause.set()
        server.shutdown()
        thread.join()
