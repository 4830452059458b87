"""Install the packages, where they are not installed yet."""

import sys

from tests.acp.sdk import PACKAGES

sys.exit(PACKAGES.install())
