"""How much memory the process has."""

import os

__all__ = ("resident_bytes",)


def resident_bytes() -> int | None:
    """Return the bytes of the process that are in memory; None where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None
