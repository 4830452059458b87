"""What a reply may hold: not much more than it has cost to send. No I/O.

An empty object is two bytes on the wire and sixty in memory, and a row of them can fill a machine. So what a decoder
keeps besides texts is weighed as it comes, and a reply that holds far more than was sent is an error.
"""

import sys
from collections.abc import Sequence
from typing import Any, Final

from attrs import define

from tether.errors import ModelError

__all__ = ("BLOCK", "LARGE_EVENT", "Holdings", "refuse_dense")

BLOCK: Final = 512
"""Bytes that a block costs beside its content, or whatever else is kept of its size."""

LARGE_EVENT: Final = 64 * 1024
"""Bytes. What a smaller event may hold until it was weighed is little."""

_FREE: Final = 8 * 1024 * 1024
"""Bytes that any reply may hold."""
_FACTOR: Final = 8
"""Bytes in memory for each one sent. The densest that servers send, probabilities of tokens, takes six."""
_MOST: Final = 256 * 1024 * 1024
"""Bytes, however many were sent."""
_DEEPEST: Final = 100
"""How deep what is kept may be nested."""

_OBJECT: Final = sys.getsizeof({"": None})
_EMPTY: Final = sys.getsizeof({})


@define(eq=False, repr=False)
class Holdings:
    """The weight of what a reply holds, beside what was sent of it."""

    sent: int = 0
    """Bytes."""
    _held: int = 0

    def keep(self, value: Any) -> None:
        """Weigh a JSON value that is kept.

        Raises:
            ModelError: the reply would hold too much; or the value is nested too deep.
        """
        level: Sequence[Any] = (value,)
        depth = 0
        while level:
            following: list[Any] = []
            for one in level:
                if isinstance(one, dict):
                    following += one.values()
                elif isinstance(one, list):
                    following += one
                elif _is_shared(one):
                    continue
                self._held += sys.getsizeof(one)
            self.charge(0)
            level = following
            depth += 1
            if depth > _DEEPEST:
                raise ModelError("the server sent data that is nested too deep", kind="malformed")

    def charge(self, weight: int) -> None:
        """Count something else that is kept.

        Args:
            weight: bytes.

        Raises:
            ModelError: the reply would hold too much.
        """
        self._held += weight
        if self._held > min(_FREE + _FACTOR * self.sent, _MOST):
            raise _too_much()


def refuse_dense(data: bytes) -> None:
    """Refuse JSON that would take far more memory than it has bytes, before it is read.

    Args:
        data: the JSON of an event, or of a body.

    Raises:
        ModelError: it is too dense.
    """
    most = _FREE + _FACTOR * len(data)
    # Texts may hold brackets, too.
    if _weight(data) > most and _weight(_without_texts(data)) > most:
        raise _too_much()


def _weight(data: bytes) -> int:
    empty = data.count(b"{}")
    return _EMPTY * (data.count(b"[") + empty) + _OBJECT * (data.count(b"{") - empty)


def _without_texts(data: bytes) -> bytes:
    unescaped = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(unescaped.split(b'"')[::2])


def _is_shared(value: Any) -> bool:
    """Return True for what takes no memory of its own: Python has one of each."""
    match value:
        case None | bool():
            return True
        case int():
            return -5 <= value <= 256
        case str():
            return len(value) < 2
        case _:
            return False


def _too_much() -> ModelError:
    return ModelError("the reply holds far more than it has cost to send", kind="malformed")
