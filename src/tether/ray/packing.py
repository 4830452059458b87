"""Pickle what goes between a driver and a worker. Most of it is small pieces of text: those go as what they are."""

import pickle
from collections.abc import Iterable, Iterator
from typing import Any, Final

from attrs import fields, has

from tether.deltas import TextDelta, ThinkingDelta, ToolCallDelta
from tether.errors import UsageError
from tether.events import MessageUpdate
from tether.ray._ray import cloudpickle
from tether.ray.exchange import Item

__all__ = ("pack", "packed", "packed_with_code", "sendable", "unpack")

_PIECES: Final[tuple[type[Any], ...]] = (TextDelta, ThinkingDelta, ToolCallDelta)
"""Each has a piece of text, and the number of its block."""


def pack(items: Iterable[Item]) -> bytes:
    """Pickle items. Updates of one block in a row become one list: their kind, the block, and the texts."""
    rows: list[Any] = []
    row: list[Any] = []
    kind: Any = None
    index = -1
    for item in items:
        delta: Any = item.delta if type(item) is MessageUpdate else None
        if type(delta) is kind and delta.index == index:
            row.append(delta.text if kind is not ToolCallDelta else delta.arguments)
        elif type(delta) in _PIECES:
            kind, index = type(delta), delta.index
            text = delta.text if kind is not ToolCallDelta else delta.arguments
            row = [_PIECES.index(kind), index, text]
            rows.append(row)
        else:
            kind = None
            rows.append(item)
    return packed(rows)


def unpack(packed_items: bytes) -> Iterator[Item]:
    """Give the items again.

    Raises:
        UsageError: something in them is of a type that this process does not have.
    """
    try:
        rows = pickle.loads(packed_items)
    except Exception as error:  # what unpickling raises is made by code of others
        raise UsageError(
            f"what a worker has sent cannot be read here: {error}. The program needs the modules that its workers have"
        ) from error
    for row in rows:
        if type(row) is list:
            kind, index = _PIECES[row[0]], row[1]
            for text in row[2:]:
                yield MessageUpdate(kind(text, index))
        else:
            yield row


def packed(item: object) -> bytes:
    """Pickle something; what Python cannot, such as objects of a script's classes, Ray can."""
    try:
        return pickle.dumps(item, pickle.HIGHEST_PROTOCOL)
    except Exception:  # noqa: BLE001 - what pickling raises is made by code of others
        return packed_with_code(item)


def sendable(item: object, *, to: str, instead: str = "") -> bytes:
    """Pickle something that holds what users have given.

    Args:
        item: what is to be sent.
        to: where, for the error.
        instead: what else would be right, for the error.

    Raises:
        UsageError: it cannot be pickled; the text names the part that cannot, such as `deps`.
    """
    try:
        return packed(item)
    except Exception as error:
        what = _unsendable(item) or "this"
        raise UsageError(
            f"{what} cannot be sent to {to}: {error}. It must be something that can be pickled{instead}"
        ) from error


def _unsendable(item: Any) -> str:
    """The path of the part that cannot be pickled."""
    for name in [field.name for field in fields(type(item))] if has(type(item)) else ():
        value = getattr(item, name)
        try:
            packed(value)
        except Exception:  # noqa: BLE001 - what pickling raises is made by code of others
            return ".".join(filter(None, (name, _unsendable(value))))
    return ""


def packed_with_code(item: object) -> bytes:
    """Pickle something so that what only a script has goes along."""
    return bytes(cloudpickle.dumps(item))
