"""What exists already, kept from the garbage collector: it is asked again and again while runs are tried."""

import gc
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ("set_aside",)


@contextmanager
def set_aside() -> Generator[None, None, None]:
    """Set aside what exists already: a collection in the block then costs little.

    What others have set aside stays that way.
    """
    gc.collect()
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
