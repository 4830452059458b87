"""The connections of a transport: kept for the next request, and no more of them than there may be."""

import math
import ssl
from typing import Any

import anyio
import httpx

from tether.transport._connections import Connection, Origin, connect

__all__ = ("Pool",)


class Pool:
    """Connections, each of which carries one request at a time.

    Args:
        limits: how many there may be, how many are kept without a request, and how long.
        tls: how they are encrypted.
    """

    def __init__(self, limits: httpx.Limits, tls: ssl.SSLContext) -> None:
        most, kept = limits.max_connections, limits.max_keepalive_connections
        self._most = math.inf if most is None else most
        self._most_kept = min(self._most, math.inf if kept is None else kept)
        self._expiry = math.inf if limits.keepalive_expiry is None else limits.keepalive_expiry
        self._tls = tls
        self._turns = None if most is None else anyio.Semaphore(most, fast_acquire=True)
        """One for each request that may have a connection at once."""
        self._taken = 0
        """Requests that have a connection, or open one."""
        self._open: set[Connection] = set()
        self._kept: list[Connection] = []
        """Those without a request; the one that was used last stands last."""

    async def take(self, url: httpx.URL, extensions: dict[str, Any]) -> Connection:
        """Take a connection: one that was kept, or a new one.

        Args:
            url: where the request goes.
            extensions: those of the request; `timeout` and `sni_hostname` are heeded.

        Raises:
            httpx.PoolTimeout: there were too many requests for too long.
            httpx.ConnectTimeout: it took too long to open one.
            httpx.ConnectError: none could be opened.

        Cancellation:
            Leaves nothing taken.
        """
        timeouts = extensions.get("timeout", {})
        await self._wait_for_turn(timeouts.get("pool"))
        try:
            origin = Origin.of(url)
            await self._close_old()
            while (kept := self._unpooled(origin)) is not None:
                if not kept.is_readable:
                    return kept
                await self._close(kept)
            while self._taken + len(self._kept) > self._most and self._kept:
                await self._close(self._kept.pop(0))
            connection = await connect(
                origin,
                self._tls,
                seconds=timeouts.get("connect"),
                server_name=extensions.get("sni_hostname"),
            )
        except BaseException:
            self._end_turn()
            raise
        self._open.add(connection)
        return connection

    def keep(self, connection: Connection) -> bool:
        """Give a connection back, for the next request.

        Returns:
            False if it is not kept, and has to be dropped.
        """
        if not connection.is_open or len(self._kept) >= self._most_kept:
            return False
        connection.is_fresh = False
        connection.expires_at = anyio.current_time() + self._expiry
        self._kept.append(connection)
        self._end_turn()
        return True

    async def drop(self, connection: Connection) -> None:
        """Give a connection back that cannot be used again.

        Cancellation:
            Waits until it is closed.
        """
        try:
            await self._close(connection)
        finally:
            self._end_turn()

    async def aclose(self) -> None:
        """Close all connections, also those that carry a request.

        Cancellation:
            Waits until they are closed.
        """
        self._kept.clear()
        for connection in list(self._open):
            await self._close(connection)

    async def _wait_for_turn(self, seconds: float | None) -> None:
        if self._turns is not None:
            try:
                self._turns.acquire_nowait()
            except anyio.WouldBlock:
                pass  # and out of the handler: what is raised while we wait has no further context
            else:
                self._taken += 1
                return
            await self._turn_of(self._turns, seconds)
        self._taken += 1

    async def _turn_of(self, turns: anyio.Semaphore, seconds: float | None) -> None:
        with anyio.move_on_after(seconds):
            await turns.acquire()
            return
        raise httpx.PoolTimeout("")

    def _end_turn(self) -> None:
        self._taken -= 1
        if self._turns is not None:
            self._turns.release()

    async def _close_old(self) -> None:
        if self._kept:
            now = anyio.current_time()
            old = [one for one in self._kept if one.expires_at < now]
            self._kept = [one for one in self._kept if one.expires_at >= now]
            for connection in old:
                await self._close(connection)

    def _unpooled(self, origin: Origin) -> Connection | None:
        for at in reversed(range(len(self._kept))):
            if self._kept[at].origin == origin:
                return self._kept.pop(at)
        return None

    async def _close(self, connection: Connection) -> None:
        self._open.discard(connection)
        await connection.aclose()
