"""The file of a recording."""

import os
from io import FileIO

__all__ = ("new_file", "opened_again")


def new_file(path: str | os.PathLike[str]) -> FileIO:
    """Create an append-only file that only its owner can read. Writes are not buffered.

    Raises:
        FileExistsError: there is a file already.
        OSError: it cannot be made.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
    return FileIO(descriptor, "ab")


def opened_again(path: str | os.PathLike[str]) -> FileIO:
    """Open an existing file to append to it. Links are refused.

    Raises:
        OSError: it is not there any more, or cannot be opened.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0))
    return FileIO(descriptor, "ab")
