"""Where conversations are kept by default: a folder for each folder that they were held in."""

import hashlib
import os
import secrets
import time
from pathlib import Path

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
    project = project.resolve()
    if data_home := os.environ.get("TETHER_DATA_HOME"):
        data = Path(data_home)
    else:
        import platformdirs  # noqa: PLC0415 - not needed where the variable is set

        data = platformdirs.user_data_path("tether", appauthor=False)
    digest = hashlib.sha256(os.fsencode(project)).hexdigest()[:8]
    return data / "sessions" / f"{project.name or 'root'}-{digest}"


def kept_sessions(project: Path) -> list[SessionInfo]:
    """List the conversations that were held in a folder, newest first; without the empty ones."""
    return [info for info in sessions(session_folder(project)) if info.messages]


def new_session_path(project: Path) -> Path:
    """Choose the file for a new conversation, and create its folder."""
    folder = session_folder(project)
    folder.mkdir(parents=True, exist_ok=True)
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
