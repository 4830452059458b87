"""Pickle what goes between a driver and a worker. Most of it is small pieces of text: those go as what they are."""

import pickle
from collections.abc import Iterable, Iterator
from typing import Any, Final

from tether.deltas import TextDelta, ThinkingDelta, ToolCallDelta
from tether.events import MessageUpdate
from tether.ray._ray import cloudpickle
from tether.ray.exchange import Item

__all__ = ("pack", "packed", "packed_with_code", "unpack")

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
    """Give the items again."""
    for row in pickle.loads(packed_items):
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


def packed_with_code(item: object) -> bytes:
    """Pickle something so that what only a script has goes along."""
    return bytes(cloudpickle.dumps(item))
