"""Where conversations are kept when nobody says where: a folder for each folder that they were held in."""

import hashlib
import os
import secrets
import time
from pathlib import Path

from tether import SessionInfo, UsageError, sessions

__all__ = ("find_kept", "kept_folder", "kept_sessions", "new_path")


def kept_folder(project: Path) -> Path:
    """Return where conversations that are held in a folder are kept.

    Args:
        project: the folder.

    Returns:
        A folder below TETHER_DATA_HOME, or below where the platform keeps such. It need not exist.
    """
    project = project.resolve()
    if told := os.environ.get("TETHER_DATA_HOME"):
        data = Path(told)
    else:
        import platformdirs  # noqa: PLC0415 - not needed where it is told

        data = platformdirs.user_data_path("tether", appauthor=False)
    digest = hashlib.sha256(os.fsencode(project)).hexdigest()[:8]
    return data / "sessions" / f"{project.name or 'root'}-{digest}"


def kept_sessions(project: Path) -> list[SessionInfo]:
    """List the conversations that were held in a folder, the last first; empty ones are passed over."""
    return [info for info in sessions(kept_folder(project)) if info.messages]


def new_path(project: Path) -> Path:
    """Make up where a new conversation is kept, and make the folder."""
    folder = kept_folder(project)
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}.jsonl"


def find_kept(project: Path, begun: str | None) -> Path:
    """Find a conversation to go on with.

    Args:
        project: the folder it was held in.
        begun: how its id begins, or the path of a file; the last one that was written to if None.

    Returns:
        Its file.

    Raises:
        UsageError: there is none, or several are meant.
    """
    if begun is not None and Path(begun).is_file():
        return Path(begun)
    found = [info.path for info in kept_sessions(project)]
    if begun is None and found:
        return found[0]
    matching = [path for path in found if begun is not None and path.stem.startswith(begun)]
    match matching:
        case [path]:
            return path
        case []:
            what = f"no conversation that begins with {begun!r}" if begun else "no conversation"
            raise UsageError(f"{what} is kept for {project.resolve()}; see `tether sessions`")
        case _:
            names = ", ".join(path.stem for path in matching)
            raise UsageError(f"{begun!r} may be any of: {names}")
