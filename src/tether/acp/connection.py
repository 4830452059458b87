"""A JSON-RPC connection on anyio: both sides may ask, and many requests go at once."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from itertools import count
from typing import Any, Final, TypeAlias

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream, TaskGroup, TaskStatus
from attrs import define, field

from tether.acp.jsonrpc import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    REQUEST_CANCELLED,
    Fault,
    Id,
    Incoming,
    Lines,
    Message,
    Notification,
    Request,
    Response,
    RpcError,
    read,
    written,
)

__all__ = ("Connection", "Handlers", "serve_connection")

Handler: TypeAlias = Callable[[Any], Awaitable[Any]]
Handlers: TypeAlias = Mapping[str, Handler]
"""What carries out the methods that the other side may call, by their names."""

_MAX_BYTES: Final = 64 * 1024 * 1024
"""The longest message that is read: one may hold images."""
_TELLING_TIME: Final = 1.0
"""Seconds in which the other side must take the message that it need not answer any more."""
_CANCEL: Final = "$/cancel_request"


@define(eq=False)
class _Asked:
    """A request of ours that waits for its answer."""

    answered: anyio.Event = field(factory=anyio.Event)
    response: Response | None = None


class Connection:
    """One end of a connection.

    Args:
        output: what is written to.
        tasks: where the handlers of requests run.
    """

    def __init__(self, output: ByteSendStream, tasks: TaskGroup) -> None:
        self._output = output
        self._tasks = tasks
        self._line = anyio.Lock()
        self._ids = count(1)
        self._asked: dict[Id, _Asked] = {}
        self._handled: dict[Id, anyio.CancelScope] = {}

    async def request(self, method: str, params: Any) -> Any:
        """Ask the other side, and wait for the answer.

        Raises:
            RpcError: it answers with an error, or the connection has ended.

        Cancellation:
            Stops waiting, and tells the other side.
        """
        id_ = next(self._ids)
        asked = self._asked[id_] = _Asked()
        try:
            await self._send(Request(id_, method, params))
            await asked.answered.wait()
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(_TELLING_TIME, shield=True):
                await self._send(Notification(_CANCEL, {"requestId": id_}))
            raise
        finally:
            self._asked.pop(id_, None)
        response = asked.response
        if response is None:
            raise RpcError(INTERNAL_ERROR, "the connection has ended")
        if response.error is not None:
            raise response.error
        return response.result

    async def notify(self, method: str, params: Any) -> None:
        """Tell the other side something.

        Cancellation:
            Before it is written, or once it is.
        """
        await self._send(Notification(method, params))

    async def take(self, message: Incoming, handlers: Handlers) -> None:
        """Take in a message: start the handler of a request, hand over the answer to one of ours.

        Handlers begin in the order of their messages, so that a cancellation finds what it cancels.

        Cancellation:
            Cancels a handler that has not begun.
        """
        match message:
            case Response(id_):
                if (asked := self._asked.get(id_)) is not None:
                    asked.response = message
                    asked.answered.set()
            case Notification(method, {"requestId": int() | str() as id_}) if method == _CANCEL:
                if (scope := self._handled.get(id_)) is not None:
                    scope.cancel()
            case Fault(answer):
                self._tasks.start_soon(self._send, answer)
            case _:
                await self._tasks.start(self._handle, message, handlers)

    def close(self) -> None:
        """Have all requests of ours fail: no answer comes any more."""
        for asked in self._asked.values():
            asked.answered.set()

    async def _handle(  # noqa: ASYNC114 - started in one place, in a task group that is there before it
        self,
        message: Request | Notification,
        handlers: Handlers,
        *,
        task_status: TaskStatus[None],
    ) -> None:
        task_status.started()
        if isinstance(message, Notification):
            if message.method in handlers:
                with suppress(RpcError):
                    await handlers[message.method](message.params)
            return
        if message.id in self._handled:
            error = RpcError(INVALID_REQUEST, f"a request {message.id!r} is being handled already")
            await self._send(Response(message.id, error=error))
            return
        response = Response(message.id, error=RpcError(REQUEST_CANCELLED, "cancelled"))
        with anyio.CancelScope() as self._handled[message.id]:
            response = await _answered(message, handlers)
        del self._handled[message.id]
        await self._send(response)

    async def _send(self, message: Message) -> None:
        data = written(message)
        async with self._line:
            # The stream writes a message as a whole, or not at all: half of one would break the connection.
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await self._output.send(data)


async def _answered(request: Request, handlers: Handlers) -> Response:
    handler = handlers.get(request.method)
    if handler is None:
        error = RpcError(METHOD_NOT_FOUND, f"there is no method {request.method!r}")
        return Response(request.id, error=error)
    try:
        return Response(request.id, await handler(request.params))
    except RpcError as error:
        return Response(request.id, error=error)
    except Exception as error:  # noqa: BLE001 - the other side is told, and the connection goes on
        about = f"{type(error).__name__}: {error}"
        return Response(request.id, error=RpcError(INTERNAL_ERROR, about))


async def serve_connection(
    source: ByteReceiveStream,
    output: ByteSendStream,
    handlers: Callable[[Connection, TaskGroup], Handlers],
) -> None:
    """Answer the other side until its messages end, or a line is too long.

    Args:
        source: what is read from.
        output: what is written to; it writes a message as a whole, also where it is cancelled meanwhile.
        handlers: makes the handlers, which may use the connection and its tasks.

    Cancellation:
        Cancels the handlers, waits until they have cleaned up, and passes on.
    """
    async with anyio.create_task_group() as tasks:
        connection = Connection(output, tasks)
        made = handlers(connection, tasks)
        lines = Lines(_MAX_BYTES)
        with suppress(RpcError, anyio.EndOfStream, anyio.BrokenResourceError):
            while True:
                for line in lines.feed(await source.receive()):
                    message = read(line)
                    if message is not None:
                        await connection.take(message, made)
        connection.close()
        tasks.cancel_scope.cancel()
