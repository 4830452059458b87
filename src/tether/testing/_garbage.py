"""What exists already, kept from the garbage collector: it is asked again and again while runs are tried."""

import gc
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ("set_aside",)


@contextmanager
def set_aside() -> Generator[None, None, None]:
    """Set aside what exists already: a collection in the block then costs little.

    Where others have set something aside before, it stays that way behind the block, and what exists now with it: the
    two cannot be told apart.
    """
    gc.collect()
    is_ours_alone = not gc.get_freeze_count()
    gc.freeze()
    try:
        yield
    finally:
        if is_ours_alone:
            gc.unfreeze()
