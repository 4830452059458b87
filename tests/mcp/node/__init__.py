"""A client of another make, the protocol's SDK for node; `python -m tests.mcp.node` installs it in a cache."""

from pathlib import Path

from tests.npm import Packages

__all__ = ("HERE", "PACKAGES")

HERE = Path(__file__).parent
PACKAGES = Packages("tether-mcp", HERE / "package.json", "the npm client", "tests.mcp.node")
