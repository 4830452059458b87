"""What a tool returned, as JSON text. No I/O."""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any, Final, get_args

import attrs
import msgspec

from tether._schema.faults import joined
from tether._schema.foreign import is_pydantic, written
from tether.messages import Text, UserBlock

__all__ = ("as_json_text", "to_json_types")

_MEDIA: Final = tuple(kind for kind in get_args(UserBlock) if kind is not Text)
"""Blocks that are no text: as JSON a model could not see them."""


def as_json_text(value: object) -> str:
    """Write a value as JSON.

    Args:
        value: anything that JSON can hold, with attrs classes, dataclasses, Structs, models of pydantic's, enums, dates
            and paths in it.

    Raises:
        TypeError: JSON cannot hold it, or a model could not see an image in it; the text says which.
    """
    if place := _media_within(value):
        raise TypeError(
            f"{place} holds an image or the like, which a model cannot see there; return it by itself, or in a "
            "list of texts and blocks: `return [text, image]`"
        )
    try:
        return msgspec.json.encode(value, enc_hook=to_json_types).decode()
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can hold as an escape
        return json.dumps(msgspec.to_builtins(value, str_keys=True, enc_hook=to_json_types))


def to_json_types(value: object) -> object:
    """Tell msgspec how to write what it does not know: paths, and pydantic's models.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(value, PurePath):
        return str(value)
    if is_pydantic(type(value)):
        return written(value)
    raise TypeError(f"JSON cannot hold {type(value).__name__}")


def _media_within(value: object) -> str:
    """Where in a value there is a block that is no text; "" if nowhere."""
    waiting: list[tuple[str, object]] = [("", value)]
    seen: set[int] = set()
    while waiting:
        path, found = waiting.pop()
        if isinstance(found, _MEDIA):
            return path or "it"
        if not isinstance(found, str | bytes | int | float) and id(found) not in seen:
            seen.add(id(found))
            waiting += [(joined(path, key), part) for key, part in _parts(found)]
    return ""


def _parts(value: Any) -> Iterable[tuple[str | int, object]]:
    if isinstance(value, Mapping):
        return [(str(key), part) for key, part in value.items()]
    if isinstance(value, list | tuple | set | frozenset):
        return enumerate(value)
    kind = type(value)
    names: Iterable[str] = ()
    if attrs.has(kind):
        names = [part.name for part in attrs.fields(kind)]
    elif dataclasses.is_dataclass(kind):
        names = [part.name for part in dataclasses.fields(kind)]
    elif isinstance(value, msgspec.Struct):
        names = value.__struct_fields__
    elif is_pydantic(kind):
        names = getattr(value, "__dict__", ())
    return [(name, getattr(value, name, None)) for name in names]
