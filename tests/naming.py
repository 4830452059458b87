"""Names of parameters in tests."""

import re

__all__ = ("stable_name",)


def stable_name(value: object) -> str:
    """Write a value as `str` does, but alike in every process: pytest-xdist compares the names of tests."""
    ordered = sorted(value, key=str) if isinstance(value, set | frozenset) else value
    return re.sub(r" at 0x\w+", "", str(ordered))
