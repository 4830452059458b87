"""Install the packages, where they are not installed yet."""

import sys

from tests.mcp.node import PACKAGES

sys.exit(PACKAGES.install())
