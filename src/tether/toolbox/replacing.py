"""Put new content into a file, and leave what the file is: its owner, its mode, its links."""

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

__all__ = ("check_writable", "replace_file")


def check_writable(path: Path, name: str) -> os.stat_result | None:
    """Look whether a file may be written.

    Args:
        path: where it is.
        name: how errors call it.

    Returns:
        What it is; None if it is not there.

    Raises:
        IsADirectoryError: it is a folder.
        ValueError: it is a FIFO, a device or a socket.
        PermissionError: it is read-only.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(f"{name} is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{name} is not a regular file; only regular files are written")
    # The superuser may write anything: the mode shows what the owner wants.
    if not status.st_mode & 0o222 or not os.access(path, os.W_OK):
        raise PermissionError(f"{name} is read-only; whoever owns it must allow writing first")
    return status


def replace_file(path: Path, name: str, content: bytes) -> None:
    """Replace what a file holds; missing folders are made.

    It is done in one step, so that nobody sees half of it. Where a new file could not keep the owner or the links
    of the old one, the old one is written in place.

    Args:
        path: where it is, links resolved.
        name: how errors call it.
        content: the new content.

    Raises:
        PermissionError: it is read-only.
        OSError: it cannot be written.
    """
    old = check_writable(path, name)
    if old is None:
        path.parent.mkdir(parents=True, exist_ok=True)
    elif old.st_nlink > 1:
        _write_in_place(path, content)
        return
    try:
        # The name is short: the file's own may have the longest that there is.
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    except PermissionError:
        if old is None:
            raise
        _write_in_place(path, content)
        return
    kept = False
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        if kept := _like(temporary, path, old):
            os.replace(temporary, path)
    finally:
        if not kept or os.path.exists(temporary):
            os.unlink(temporary)
    if not kept:
        _write_in_place(path, content)


def _like(new: str, path: Path, old: os.stat_result | None) -> bool:
    """Give a new file the owner, the attributes and the mode of the old one; False where it cannot have them."""
    if old is None:
        os.chmod(new, 0o666 & ~_umask())
        return True
    try:
        made = os.stat(new)
        if (made.st_uid, made.st_gid) != (old.st_uid, old.st_gid):
            os.chown(new, old.st_uid, old.st_gid)
        if hasattr(os, "listxattr"):
            for attribute in os.listxattr(path):
                os.setxattr(new, attribute, os.getxattr(path, attribute))
    except OSError:
        return False
    os.chmod(new, stat.S_IMODE(old.st_mode))
    return True


def _write_in_place(path: Path, content: bytes) -> None:
    with open(path, "r+b") as file:
        file.write(content)
        file.truncate()


def _umask() -> int:
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("Umask:")).split()[1], 8)
    umask = os.umask(0)
    os.umask(umask)
    return umask
