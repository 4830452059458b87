"""A client of another make, the protocol's SDK for node; `python -m tests.mcp.node` installs it in a cache."""

import hashlib
import os
import shutil
from pathlib import Path

__all__ = ("HERE", "folder", "why_missing")

HERE = Path(__file__).parent
_PINS = HERE / "package.json"


def folder() -> Path:
    """Where the packages are, for these pins."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / f"tether-mcp-{hashlib.sha256(_PINS.read_bytes()).hexdigest()[:12]}"


def why_missing() -> str | None:
    """Why the client cannot run; None if it can."""
    if shutil.which("node") is None:
        return "there is no node"
    if not folder().exists():
        return "the npm client is not there: python -m tests.mcp.node installs it"
    return None
