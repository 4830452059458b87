"""Heads of HTTP/1.1 messages: what a request begins with is written, what an answer begins with is read.

h11, which httpx uses, decides what is taken and what is refused, and with which words (RFC 9112). No I/O.
"""

import re
from collections.abc import Sequence
from typing import Final, TypeAlias

import httpx
from attrs import evolve, frozen

__all__ = (
    "MAX_INCOMPLETE",
    "Framing",
    "Head",
    "check_trailers",
    "end_of_block",
    "read_head",
    "write_head",
)

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]

MAX_INCOMPLETE: Final = 100 * 1024
"""Bytes that may come of a head, of the line before a chunk or of trailers, and be no whole one yet."""

_TOKEN: Final = rb"[-!#$%&'*+.^_`|~0-9a-zA-Z]+"
_TEXT: Final = rb"[^\x00\s]+(?:[ \t]+[^\x00\s]+)*"

_STATUS_LINE: Final = re.compile(rb"HTTP/([0-9]\.[0-9]) ([0-9]{3})(?: ((?:[ \t]|[^\x00\s])*))?")
_FIELD: Final = re.compile(rb"(%b):[ \t]*(?:(%b)[ \t]*)?" % (_TOKEN, _TEXT))
"""Blanks in a row match one part of it alone: with two, a long row takes time that grows with its square."""
_BLANKS: Final = (b" ", b"\t")
_BLANK_LINE: Final = re.compile(rb"\n\r?\n")
_DIGITS: Final = re.compile(rb"[0-9]+")

_NAME: Final = re.compile(_TOKEN)
_TARGET: Final = re.compile(rb"[\x21-\x7e]+")
_VALUE: Final = re.compile(rb"(?:%b)?" % _TEXT)
_MOST_DIGITS: Final = 20
"""Of a length."""


@frozen
class Framing:
    """What the fields of a head say of the body, and of the connection."""

    has_chunks: bool
    length: int | None
    """Bytes of the body, if they say it."""
    keeps_alive: bool
    """Whether the connection may carry another request."""

    @property
    def is_ambiguous(self) -> bool:
        """Whether it says in two ways where the body ends: a proxy on the way may have read the other one."""
        return self.has_chunks and self.length is not None


@frozen
class Head:
    """What an answer begins with."""

    version: bytes
    status: int
    reason: bytes
    headers: Headers
    framing: Framing


def read_head(data: bytes) -> tuple[Head, int] | None:
    """Read the head of an answer.

    Args:
        data: what came from the beginning of the answer on.

    Returns:
        The head, and where it ends; None if it is not all there.

    Raises:
        httpx.RemoteProtocolError: it is no head.
    """
    end = end_of_block(data)
    if end is None:
        # No head begins with one of these; a server that expects TLS answers so.
        if data and data[0] < 0x21:
            raise httpx.RemoteProtocolError("illegal request line")
        if len(data) > MAX_INCOMPLETE:
            raise httpx.RemoteProtocolError("Receive buffer too long")
        return None
    lines = _lines(data[:end])
    if not lines:
        raise httpx.RemoteProtocolError("no response line received")
    found = _STATUS_LINE.fullmatch(lines[0])
    if found is None:
        raise httpx.RemoteProtocolError(f"illegal status line: {bytearray(lines[0])!r}")
    version, code, reason = found.groups(b"")
    status = int(code)
    headers, framing = _framed(_fields(lines[1:]), httpx.RemoteProtocolError)
    if status < 100:
        raise httpx.RemoteProtocolError(
            f"InformationalResponse status_code should be in range [100, 200), not {status}"
        )
    if version < b"1.1":
        framing = evolve(framing, keeps_alive=False)
    return Head(b"HTTP/" + version, status, reason, headers, framing), end


def check_trailers(block: bytes) -> None:
    """Check the lines behind the last chunk; what they say is not used.

    Raises:
        httpx.RemoteProtocolError: one of them is no field.
    """
    if lines := _lines(block):
        _framed(_fields(lines), httpx.RemoteProtocolError)


def write_head(method: bytes, target: bytes, headers: Headers) -> tuple[bytes, Framing]:
    """Write the head of a request.

    Args:
        method: the method.
        target: path and query.
        headers: the fields; that of the host comes first in what is written.

    Returns:
        The head, and what it says of the body.

    Raises:
        httpx.LocalProtocolError: something cannot be sent.
    """
    hosts = [field for field in headers if field[0].lower() == b"host"]
    ordered = headers
    if headers[:1] != hosts:
        ordered = [*hosts, *(field for field in headers if field[0].lower() != b"host")]
    _check(headers)
    kept, framing = _framed(ordered, httpx.LocalProtocolError)
    if len(hosts) != 1:
        many = "Found multiple Host: headers" if hosts else "Missing mandatory Host: header"
        raise httpx.LocalProtocolError(many)
    if not _NAME.fullmatch(method):
        raise httpx.LocalProtocolError("Illegal method characters")
    if not _TARGET.fullmatch(target):
        raise httpx.LocalProtocolError("Illegal target characters")
    block = b"".join([b"%b: %b\r\n" % field for field in kept])
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (method, target, block), framing


def _check(headers: Headers) -> None:
    for name, value in headers:
        if not _NAME.fullmatch(name):
            raise httpx.LocalProtocolError(f"Illegal header name {name!r}")
        if not _VALUE.fullmatch(value):
            raise httpx.LocalProtocolError(f"Illegal header value {value!r}")


def end_of_block(data: bytes) -> int | None:
    """Find the end of a block of lines, behind the blank one; None if that has not come."""
    if data.startswith(b"\n"):
        return 1
    if data.startswith(b"\r\n"):
        return 2
    found = _BLANK_LINE.search(data)
    return None if found is None else found.end()


def _lines(block: bytes) -> Sequence[bytes]:
    lines = block.split(b"\n")
    # The blank line, and what is behind its end.
    return [line.removesuffix(b"\r") for line in lines[:-2]]


def _fields(lines: Sequence[bytes]) -> Headers:
    """Read the lines of header fields."""
    headers: list[tuple[bytes, bytes]] = []
    for line in _unfolded(lines):
        found = _FIELD.fullmatch(line)
        if found is None:
            raise httpx.RemoteProtocolError(f"illegal header line: {bytearray(line)!r}")
        name, value = found.groups(b"")
        headers.append((name, value))
    return headers


def _unfolded(lines: Sequence[bytes]) -> Sequence[bytes]:
    """Put together the lines of a field that goes on in the next one."""
    if not any(line.startswith(_BLANKS) for line in lines):
        return lines
    whole: list[bytearray] = []
    for line in lines:
        if not line.startswith(_BLANKS):
            whole.append(bytearray(line))
        elif whole:
            whole[-1] += b" " + line.lstrip(b" \t")
        else:
            raise httpx.RemoteProtocolError("continuation line at start of headers")
    return [bytes(line) for line in whole]


def _framed(headers: Headers, error: type[httpx.ProtocolError]) -> tuple[Headers, Framing]:
    """Read what fields say of the body and of the connection.

    Returns:
        The fields, each length once; and what they say.

    Raises:
        httpx.ProtocolError: they contradict each other; of the type that is given.
    """
    kept: list[tuple[bytes, bytes]] = []
    length: bytes | None = None
    has_chunks = False
    keeps_alive = True
    for name, value in headers:
        match name.lower():
            case b"content-length":
                is_first, length = length is None, _one_length(value, length, error)
                if is_first:
                    kept.append((name, length))
            case b"transfer-encoding":
                _check_coding(value.lower(), error, again=has_chunks)
                has_chunks = True
                kept.append((name, b"chunked"))
            case lower:
                if lower == b"connection":
                    keeps_alive = keeps_alive and b"close" not in _listed(value)
                kept.append((name, value))
    return kept, Framing(has_chunks, None if length is None else int(length), keeps_alive)


def _listed(value: bytes) -> Sequence[bytes]:
    return [one.strip() for one in value.lower().split(b",")]


def _check_coding(coding: bytes, error: type[httpx.ProtocolError], *, again: bool) -> None:
    if again:
        raise error("multiple Transfer-Encoding headers")
    if coding != b"chunked":
        raise error("Only Transfer-Encoding: chunked is supported")


def _one_length(value: bytes, known: bytes | None, error: type[httpx.ProtocolError]) -> bytes:
    lengths = {length.strip() for length in value.split(b",")}
    if len(lengths) > 1:
        raise error("conflicting Content-Length headers")
    [length] = lengths
    if not _DIGITS.fullmatch(length) or len(length) > _MOST_DIGITS:
        raise error("bad Content-Length")
    if known not in {None, length}:
        raise error("conflicting Content-Length headers")
    return length
