"""Clients that other people have written, for node; `python -m tests.web.clients` installs them in a cache.

Version 7 of the AI SDK needs node 22, which one of the packages brings along.
"""

from pathlib import Path

from tests.npm import Packages

__all__ = ("HERE", "PACKAGES")

HERE = Path(__file__).parent
PACKAGES = Packages(
    "tether-clients", HERE / "package.json", "what the npm clients need", "tests.web.clients"
)
