"""The standard streams as the command finds them: closed, full, without a reader, in an encoding that is too small.

The command has streams of its own for them, over the same files. What cannot be encoded or decoded is replaced, a
write that fails is remembered, and the streams of the process are left as they are.
"""

import errno
import io
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Final, TextIO

from tether.cli.door import as_door
from tether.cli.screen.fitting import fitted

__all__ = ()

_SURROGATES: Final = re.compile("[\ud800-\udfff]")


@contextmanager
def standard_streams() -> Iterator[TextIO]:
    """Have the command's own streams in the place of the process's, until a block is left.

    Returns:
        Standard output. Others may put something before it; `failure_of` wants the stream itself.
    """
    before = sys.stdin, sys.stdout, sys.stderr
    with ExitStack() as opened:
        # In order, and first: no other file may get a descriptor that stands for one of these.
        there = [_there(stream, mode, opened) for stream, mode in zip(before, "rww", strict=True)]
        try:
            sys.stdin = opened.enter_context(_own(there[0], "r", "replace"))
            sys.stdout = opened.enter_context(_own(there[1], "w", "replace"))
            sys.stderr = opened.enter_context(_own(there[2], "w", "backslashreplace"))
            yield sys.stdout
        finally:
            sys.stdin, sys.stdout, sys.stderr = before


def _there(stream: TextIO | None, mode: str, opened: ExitStack) -> TextIO:
    """Open a stream in place of one that is closed: it is empty, and writing fails as if it were closed."""

    def open_empty(path: str, _: int) -> int:
        return os.open(path, os.O_RDONLY)

    if stream is not None:
        return stream
    empty = opened.enter_context(
        open(os.devnull, mode, encoding="utf-8", opener=open_empty)  # noqa: SIM115 - the stack is one
    )
    assert isinstance(empty, io.TextIOWrapper)
    return empty


@contextmanager
def _own(stream: TextIO, mode: str, errors: str) -> Iterator[TextIO]:
    descriptor = descriptor_of(stream)
    if descriptor is None or (sys.platform == "win32" and stream.isatty()):
        yield stream  # a console of Windows is not a file
        return
    with suppress(OSError):
        stream.flush()
    interactive = stream.isatty()
    raw = _File(os.dup(descriptor), mode)
    buffer = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
    with io.TextIOWrapper(buffer, stream.encoding, errors, line_buffering=interactive) as own:
        try:
            yield own
        finally:
            if mode == "w":
                failure_of(own)


def descriptor_of(stream: TextIO) -> int | None:
    """Return the descriptor of a stream; None if it is not a file of the operating system, as in a notebook."""
    try:
        return stream.fileno() if isinstance(stream, io.TextIOWrapper) else None
    except (OSError, ValueError):
        return None


class _File(io.FileIO):
    """A file that remembers why it could not be written, and takes anything once that has been looked at."""

    failure: OSError | None = None
    given_up = False

    def write(self, data: Any, /) -> int:
        """Write bytes, or anything that has them."""
        if self.given_up:
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except OSError as error:
            self.failure = error
            raise


def in_utf8(stream: TextIO) -> None:
    """Let a stream encode as JSON is encoded (RFC 8259, 8.1), whatever people here read."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding="utf-8", errors="replace")


def readable(word: str) -> str:
    """Replace what the operating system gave and no encoding could read."""
    return _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", word)


def warn(message: str) -> None:
    """Print a message to standard error, apart from the answer; where nothing can be written, nothing is said."""
    line = f"tether: {message}"
    with suppress(OSError):
        if sys.stderr.isatty():
            line = fitted(line, shutil.get_terminal_size().columns)
        print(line, file=sys.stderr)
    failure_of(sys.stderr)


def failure_of(stream: TextIO) -> OSError | None:
    """Write what is still to be written to a stream, and say whether any of it could not be.

    Returns:
        The error; None where everything is written. After an error, what is written is thrown away.
    """
    failure, stream = None, as_door(stream).stream
    try:
        stream.flush()
    except OSError as error:
        failure = error
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    if isinstance(raw, _File) and raw.failure is not None:
        failure, raw.given_up = raw.failure, True
    return failure


def has_no_reader(error: OSError) -> bool:
    """Say whether a write failed because the program or the terminal at the other end is gone, such as `head`."""
    return isinstance(error, BrokenPipeError) or error.errno == errno.EIO
