"""What the command's exit codes mean. 128 and the number of a signal is beside them: see `tether.cli.signals`."""

from typing import Final

__all__ = ()

ANSWERED: Final = 0
FAILED: Final = 1
WRONG_USAGE: Final = 2
LIMIT_REACHED: Final = 3
