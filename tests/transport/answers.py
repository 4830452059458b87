"""Answers of servers, well-formed and not, as bytes."""

from attrs import frozen


@frozen
class Answer:
    data: bytes
    closes: bool = False
    """Whether the server closes the connection behind it."""
    method: str = "GET"


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def sized(body: bytes, fields: bytes = b"", start: bytes = OK) -> bytes:
    return start + fields + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


GOOD: dict[str, Answer] = {
    "a length": Answer(sized(b"hello")),
    "no bytes": Answer(sized(b"")),
    "chunks": Answer(CHUNKED + b"5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n"),
    "the end of the connection": Answer(OK + b"\r\nhello", closes=True),
    "the end of the connection, and no bytes": Answer(OK + b"\r\n", closes=True),
    "HTTP/1.0": Answer(sized(b"hello", start=b"HTTP/1.0 200 OK\r\n")),
    "HTTP/1.0 that would go on": Answer(
        sized(b"hello", b"Connection: keep-alive\r\n", b"HTTP/1.0 200 OK\r\n")
    ),
    "it closes": Answer(sized(b"hello", b"Connection: x, Close\r\n"), closes=True),
    "it says that it closes": Answer(sized(b"hello", b"Connection: close\r\n")),
    "HEAD": Answer(OK + b"Content-Length: 5\r\n\r\n", method="HEAD"),
    "HEAD of chunks": Answer(CHUNKED, method="HEAD"),
    "204": Answer(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"),
    "304": Answer(b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "100": Answer(b"HTTP/1.1 100 Continue\r\n\r\n" + sized(b"hello")),
    "many 1xx": Answer(
        b"HTTP/1.1 102 Processing\r\nA: b\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 9
        + sized(b"hello")
    ),
    "a 1xx that closes": Answer(
        b"HTTP/1.1 103 Hints\r\nConnection: close\r\n\r\n" + sized(b"hello")
    ),
    "extensions of chunks": Answer(CHUNKED + b'5;a=b;c="d e"\r\nhello\r\n0;last\r\n\r\n'),
    "blanks behind a size": Answer(CHUNKED + b"5 \t\r\nhello\r\n0  \r\n\r\n"),
    "leading zeros": Answer(CHUNKED + b"0005\r\nhello\r\n000\r\n\r\n"),
    "trailers": Answer(CHUNKED + b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\n"),
    "trailers with bare line ends": Answer(CHUNKED + b"5\r\nhello\r\n0\r\nX-Sum: 1\n\n"),
    "bare line ends": Answer(b"HTTP/1.1 200 OK\nA: b\nContent-Length: 5\n\nhello"),
    "a folded field": Answer(sized(b"hello", b"A: b\r\n  c\r\n\td\r\n")),
    "a field without value": Answer(sized(b"hello", b"A:\r\nB: \t \r\n")),
    "no blank behind the colon": Answer(sized(b"hello", b"A:b c\t d \t\r\n")),
    "odd characters": Answer(sized(b"hello", b"A: \xe4\x01\x7f\xff\r\n!#$%&'*+-.^_`|~: x\r\n")),
    "a field twice": Answer(sized(b"hello", b"Set-Cookie: a\r\nset-cookie: b\r\n")),
    "a length twice": Answer(sized(b"hello", b"content-length: 5, 5\r\n")),
    "a length and chunks": Answer(
        OK + b"Content-Length: 9\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    ),
    "no reason": Answer(sized(b"hello", start=b"HTTP/1.1 200\r\n")),
    "an empty reason": Answer(sized(b"hello", start=b"HTTP/1.1 200 \r\n")),
    "an odd reason": Answer(sized(b"hello", start=b"HTTP/1.1 200 \xe4 \x02\t!\r\n")),
    "another version": Answer(sized(b"hello", start=b"HTTP/9.9 200 OK\r\n")),
    "status 999": Answer(sized(b"hello", start=b"HTTP/1.1 999 What\r\n")),
    "a long head": Answer(sized(b"hello", b"A: " + b"x" * 90_000 + b"\r\n")),
    "many fields": Answer(sized(b"hello", b"".join(b"A%d: b\r\n" % n for n in range(2000)))),
    "a long extension": Answer(CHUNKED + b"5;" + b"x" * 90_000 + b"\r\nhello\r\n0\r\n\r\n"),
    "a large chunk": Answer(CHUNKED + b"493e0\r\n" + b"x" * 300_000 + b"\r\n0\r\n\r\n"),
    "a large body": Answer(sized(b"x" * 300_000)),
}

BAD: dict[str, Answer] = {
    "nothing": Answer(b"", closes=True),
    "half a head": Answer(OK + b"Conte", closes=True),
    "a 1xx alone": Answer(b"HTTP/1.1 103 Early Hints\r\n\r\n", closes=True),
    "no HTTP": Answer(b"220 smtp.example.org ESMTP\r\n\r\n", closes=True),
    "another protocol": Answer(b"RTSP/1.0 200 OK\r\n\r\n"),
    "TLS": Answer(b"\x15\x03\x01\x00\x02\x02\x46", closes=True),
    "a blank line first": Answer(b"\r\n" + sized(b"hello")),
    "a line end first": Answer(b"\n" + sized(b"hello")),
    "a blank first": Answer(b" " + sized(b"hello")),
    "a status of two digits": Answer(sized(b"", start=b"HTTP/1.1 20 OK\r\n")),
    "a status of four digits": Answer(sized(b"", start=b"HTTP/1.1 2000 OK\r\n")),
    "status 99": Answer(sized(b"", start=b"HTTP/1.1 099 OK\r\n")),
    "two blanks": Answer(sized(b"", start=b"HTTP/1.1  200 OK\r\n")),
    "a version without digits": Answer(sized(b"", start=b"HTTP/1 200 OK\r\n")),
    "NUL in the reason": Answer(sized(b"", start=b"HTTP/1.1 200 O\0K\r\n")),
    "a return in the reason": Answer(sized(b"", start=b"HTTP/1.1 200 O\rK\r\n")),
    "a field without colon": Answer(sized(b"", b"nothing\r\n")),
    "a field without name": Answer(sized(b"", b": x\r\n")),
    "a blank before the colon": Answer(sized(b"", b"A : x\r\n")),
    "a blank in a name": Answer(sized(b"", b"A B: x\r\n")),
    "NUL in a value": Answer(sized(b"", b"A: x\0y\r\n")),
    "a return in a value": Answer(sized(b"", b"A: x\ry\r\n")),
    "two returns": Answer(sized(b"", b"A: x\r\r\n")),
    "a form feed in a value": Answer(sized(b"", b"A: x\fy\r\n")),
    "a folded first field": Answer(sized(b"", b" A: x\r\n")),
    "a name that is no ASCII": Answer(sized(b"", b"\xc3\xa4: x\r\n")),
    "an endless head": Answer(OK + b"A: " + b"x" * 400_000),
    "a length with sign": Answer(OK + b"Content-Length: +5\r\n\r\nhello"),
    "a negative length": Answer(OK + b"Content-Length: -1\r\n\r\n"),
    "a length in words": Answer(OK + b"Content-Length: five\r\n\r\nhello"),
    "a length of no digits": Answer(OK + b"Content-Length:\r\n\r\nhello"),
    "a length of other digits": Answer(OK + b"Content-Length: \xd9\xa5\r\n\r\nhello"),
    "a length of many digits": Answer(OK + b"Content-Length: " + b"9" * 21 + b"\r\n\r\n"),
    "two lengths": Answer(OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
    "two lengths in one": Answer(OK + b"Content-Length: 5, 6\r\n\r\nhello"),
    "another coding": Answer(OK + b"Transfer-Encoding: gzip\r\n\r\n"),
    "two codings": Answer(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n"),
    "a coding twice": Answer(OK + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n"),
    "no coding": Answer(OK + b"Transfer-Encoding:\r\n\r\n"),
    "101 that nobody asked for": Answer(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\nhello"),
    "a length, cut off": Answer(OK + b"Content-Length: 9\r\n\r\nhello", closes=True),
    "a length, and nothing": Answer(OK + b"Content-Length: 9\r\n\r\n", closes=True),
    "chunks, cut off": Answer(CHUNKED + b"5\r\nhello\r\n", closes=True),
    "a chunk, cut off": Answer(CHUNKED + b"9\r\nhello", closes=True),
    "a size, cut off": Answer(CHUNKED + b"5\r\nhello\r\n5", closes=True),
    "the end of a chunk, cut off": Answer(CHUNKED + b"5\r\nhello\r", closes=True),
    "the last chunk, cut off": Answer(CHUNKED + b"5\r\nhello\r\n0\r\n", closes=True),
    "trailers, cut off": Answer(CHUNKED + b"5\r\nhello\r\n0\r\nA: b\r\n", closes=True),
    "a size in letters": Answer(CHUNKED + b"5\r\nhello\r\nxyz\r\nhello"),
    "a size with sign": Answer(CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n"),
    "a negative size": Answer(CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n"),
    "a size with prefix": Answer(CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n"),
    "a size with underscore": Answer(CHUNKED + b"1_0\r\nhello\r\n0\r\n\r\n"),
    "a blank before a size": Answer(CHUNKED + b" 5\r\nhello\r\n0\r\n\r\n"),
    "a blank before an extension": Answer(CHUNKED + b"5 ;a\r\nhello\r\n0\r\n\r\n"),
    "no size": Answer(CHUNKED + b"\r\nhello\r\n0\r\n\r\n"),
    "a size of many digits": Answer(CHUNKED + b"0" * 20 + b"5\r\nhello\r\n0\r\n\r\n"),
    "a bare line end behind a size": Answer(CHUNKED + b"5\nhello\r\n0\r\n\r\n"),
    "a line end in an extension": Answer(CHUNKED + b"5;a\nb\r\nhello\r\n0\r\n\r\n"),
    "an endless extension": Answer(CHUNKED + b"5\r\nhello\r\n5;" + b"x" * 400_000),
    "a chunk longer than its size": Answer(CHUNKED + b"5\r\nhello!\r\n0\r\n\r\n"),
    "a chunk and a bare line end": Answer(CHUNKED + b"5\r\nhello\n0\r\n\r\n"),
    "an illegal trailer": Answer(CHUNKED + b"5\r\nhello\r\n0\r\nno trailer\r\n\r\n"),
    "an illegal length in trailers": Answer(
        CHUNKED + b"5\r\nhello\r\n0\r\nContent-Length: x\r\n\r\n"
    ),
    "endless trailers": Answer(CHUNKED + b"0\r\n" + b"A: b\r\n" * 70_000),
}

ANSWERS = {**GOOD, **BAD}
