"""The official SDK of the Agent Client Protocol, for node; `python -m tests.acp.sdk` installs it in a cache."""

from pathlib import Path

from tests.npm import Packages

__all__ = ("HERE", "PACKAGES")

HERE = Path(__file__).parent
PACKAGES = Packages(
    "tether-acp", HERE / "package.json", "the protocol's SDK for node", "tests.acp.sdk"
)
