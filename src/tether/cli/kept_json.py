"""What the command keeps for a person as JSON: files for their owner alone."""

import json
from pathlib import Path
from typing import Any

from tether import UsageError
from tether.cli.session_files import make_private, make_private_folder, open_private

__all__ = ()


def read_kept(path: Path) -> Any:
    """Read a file; what it holds is an empty object where it is not there.

    Raises:
        UsageError: it is no JSON.
        OSError: it cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UsageError(f"{path} is no JSON: {error}") from error


def write_kept(path: Path, value: object) -> None:
    """Write a file, in place of the one that may be there, with the folders above it.

    Raises:
        OSError: it cannot be written.
    """
    make_private_folder(path.parent)
    with open(path, "w", encoding="utf-8", opener=open_private) as file:
        make_private(path)
        file.write(json.dumps(value, indent=2) + "\n")
