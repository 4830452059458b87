"""Where conversations are kept by default: a folder for each folder that they were held in."""

import hashlib
import os
import secrets
import shlex
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from attrs import define, field

from tether import UsageError, sessions
from tether.session import SessionInfo

__all__ = ()


def session_folder(project: Path) -> Path:
    """Return where conversations that are held in a folder are kept.

    Args:
        project: the folder.

    Returns:
        A folder below TETHER_DATA_HOME, or below the platform's folder for data. It need not exist.
    """
    return _all_sessions() / project_name(project)


def project_name(project: Path) -> str:
    """Return how files that belong to a folder are called: its name, and what tells it from others of that name."""
    project = project.resolve()
    digest = hashlib.sha256(os.fsencode(project)).hexdigest()[:8]
    return f"{project.name or 'root'}-{digest}"


def is_kept_here(path: Path) -> bool:
    """Say whether a session is in one of the folders where conversations are kept by default."""
    return path.resolve().is_relative_to(_all_sessions().resolve())


def _all_sessions() -> Path:
    if data_home := os.environ.get("TETHER_DATA_HOME"):
        return Path(data_home) / "sessions"
    import platformdirs  # noqa: PLC0415 - not needed where the variable is set

    return Path(platformdirs.user_data_path("tether", appauthor=False)) / "sessions"


def changes_folder(session: Path) -> Path:
    """Return where the snapshots of files that belong to a session are kept: never in a folder that a person works in.

    Args:
        session: the session's file.

    Returns:
        A folder beside it, if it is where conversations are kept by default; else one below the folder for data.
    """
    if is_kept_here(session):
        return session.resolve().with_suffix(".changes")
    return _all_sessions().parent / "changes" / project_name(session)


def kept_sessions(project: Path) -> list[SessionInfo]:
    """List the conversations that were held in a folder, newest first; without the empty ones."""
    found = sessions(session_folder(project))
    return [info for info in found if info.messages or info.damaged]


def make_private_folder(folder: Path) -> None:
    """Make a folder for its owner alone, and those above it that are missing.

    Raises:
        OSError: it cannot be made.
    """
    if folder.is_dir():
        return
    if not folder.parent.is_dir():
        make_private_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)


def open_private(path: str, flags: int) -> int:
    """Open a file; where it is made, for its owner alone: an opener, as `open` takes one."""
    return os.open(path, flags, 0o600)


def make_private(path: Path) -> None:
    """Take the rights of others away from a file or folder, where it is there and ours."""
    with suppress(OSError):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            path.chmod(mode & ~0o077)


def new_session_path(project: Path) -> Path:
    """Choose the file for a new conversation, and create its folder.

    Raises:
        OSError: the folder cannot be made.
    """
    folder = session_folder(project)
    make_private_folder(folder)
    make_private(folder.parent)
    make_private(folder)
    return folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}.jsonl"


def find_session(project: Path, id_start: str | None) -> Path:
    """Find a conversation to continue.

    Args:
        project: the folder it was held in.
        id_start: the first characters of its id, or the path of a file; the newest one if None.

    Returns:
        Its file.

    Raises:
        UsageError: there is none, or several match.
    """
    if id_start is not None and Path(id_start).is_file():
        return Path(id_start)
    found = [info.path for info in kept_sessions(project)]
    if id_start is None and found:
        return found[0]
    matching = [path for path in found if id_start is not None and path.stem.startswith(id_start)]
    match matching:
        case [path]:
            return path
        case []:
            which = f" with an id that starts with {id_start!r}" if id_start else ""
            raise UsageError(
                f"no conversation{which} is kept for {project.resolve()}; see `tether sessions`"
            )
        case _:
            names = ", ".join(path.stem for path in matching)
            raise UsageError(f"{id_start!r} matches several conversations: {names}")


def how_to_resume(path: Path) -> str:
    """Write how to go on with a conversation that was left.

    Args:
        path: its file.
    """
    known = path.resolve().parent == session_folder(Path.cwd()).resolve()
    which = path.stem if known else shlex.quote(str(path))
    return f"To go on with this conversation: tether resume {which}"


@define
class Unkept:
    """Says once that a conversation cannot be written, in the words of the operating system.

    Args:
        path: the file of the session.
        tell: prints a line to the person.
    """

    path: Path
    tell: Callable[[str], None]
    _is_told: bool = field(default=False, init=False)

    def __call__(self, error: Exception) -> None:
        """Take the error of a failed write."""
        if not self._is_told:
            self._is_told = True
            self.tell(f"{self.path}: {reason(error)}; the conversation goes on unkept")


def reason(error: Exception) -> str:
    """Return the operating system's own words, where an error has them."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
