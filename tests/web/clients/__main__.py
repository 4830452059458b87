"""Install the packages, where they are not installed yet."""

import sys

from tests.web.clients import PACKAGES

sys.exit(PACKAGES.install())
