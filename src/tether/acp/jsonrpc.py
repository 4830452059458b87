"""JSON-RPC 2.0 messages, one a line: read and written.

No I/O.
"""

import json
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import msgspec
from attrs import frozen

from tether import TetherError

__all__ = (
    "INTERNAL_ERROR",
    "INVALID_PARAMS",
    "INVALID_REQUEST",
    "METHOD_NOT_FOUND",
    "PARSE_ERROR",
    "REQUEST_CANCELLED",
    "Fault",
    "Id",
    "Incoming",
    "Lines",
    "Message",
    "Notification",
    "Request",
    "Response",
    "RpcError",
    "read",
    "written",
)

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
REQUEST_CANCELLED: Final = -32800

Id: TypeAlias = int | str | None


class RpcError(TetherError):
    """A request has failed.

    Attributes:
        code: the number of the error.
        message: what went wrong, in words.
        data: more about it.
    """

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


@frozen
class Request:
    """Asks for an answer."""

    id: Id
    method: str
    params: Any = None


@frozen
class Notification:
    """Tells something."""

    method: str
    params: Any = None


@frozen
class Response:
    """Answers a request: with a result, or an error."""

    id: Id
    result: Any = None
    error: RpcError | None = None


@frozen
class Fault:
    """A line that is no message, with the answer that it gets."""

    answer: Response


Message: TypeAlias = Request | Notification | Response
Incoming: TypeAlias = Message | Fault


class Lines:
    """Cuts bytes into lines, however they arrive. Only a newline ends a line.

    Args:
        max_bytes: how long a line may be.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._begun = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take in bytes.

        Yields:
            The lines that are whole, without their ends.

        Raises:
            RpcError: a line is too long.
        """
        *whole, rest = data.split(b"\n")
        for line in whole:
            yield self._checked(bytes(self._begun + line))
            self._begun.clear()
        self._begun += rest
        self._checked(self._begun)

    def _checked(self, line: Any) -> Any:
        if len(line) > self._max_bytes:
            raise RpcError(INVALID_REQUEST, f"a message has more than {self._max_bytes:,} bytes")
        return line


def read(line: bytes) -> Incoming | None:
    """Read a line; None if it is blank."""
    if not line.strip():
        return None
    try:
        said = msgspec.json.decode(line)
    except (ValueError, RecursionError) as error:
        return _fault(None, PARSE_ERROR, f"this is no JSON: {error}")
    if not isinstance(said, dict) or said.get("jsonrpc") != "2.0":
        return _fault(None, INVALID_REQUEST, "a message is an object with jsonrpc 2.0")
    return _message(said)


def _message(said: dict[str, Any]) -> Incoming:
    match said:
        case {"method": str(method), "id": int() | str() | None as id_}:
            return Request(id_, method, said.get("params"))
        case {"method": str(method)} if "id" not in said:
            return Notification(method, said.get("params"))
        case {"id": int() | str() as id_, "error": {"code": int(code), "message": str(message)}}:
            return Response(id_, error=RpcError(code, message, said["error"].get("data")))
        case {"id": int() | str() as id_, "result": result}:
            return Response(id_, result)
        case _:
            id_ = said.get("id")
            known = id_ if isinstance(id_, int | str) else None
            return _fault(
                known, INVALID_REQUEST, "neither a request, a notification nor a response"
            )


def _fault(id_: Id, code: int, message: str) -> Fault:
    return Fault(Response(id_, error=RpcError(code, message)))


def written(message: Message) -> bytes:
    """Write a message, with the end of its line. What JSON cannot hold stands there as Python shows it."""
    match message:
        case Request(id_, method, params):
            said = {"id": id_, "method": method, "params": params}
        case Notification(method, params):
            said = {"method": method, "params": params}
        case Response(id_, error=RpcError() as error):
            about = {"code": error.code, "message": error.message}
            if error.data is not None:
                about["data"] = error.data
            said = {"id": id_, "error": about}
        case Response(id_, result):
            said = {"id": id_, "result": result}
    said = {"jsonrpc": "2.0", **said}
    try:
        return msgspec.json.encode(said, enc_hook=repr) + b"\n"
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON holds where it is escaped
        return json.dumps(said, default=repr).encode() + b"\n"
