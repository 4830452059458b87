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


def as_json_text(value: object, result: type) -> str:
    """Write what a tool returned as JSON.

    Args:
        value: anything that JSON can hold, with attrs classes, dataclasses, Structs, models of pydantic's, enums, dates
            and paths in it.
        result: the class of whole results, which are nothing within others.

    Raises:
        TypeError: JSON cannot hold it, or a model could not see an image in it; the text says which.
    """
    kind = type(value).__name__
    if place := _unseen_within(value, result):
        raise TypeError(
            f"a tool returned {kind}, and a model cannot see the image or result that is at {place} in it; "
            "return that by itself, or in a list of texts and images: `return [text, image]`"
        )
    try:
        return _encoded(value)
    except TypeError as error:
        raise TypeError(
            f"a tool returned {kind}, which is neither text, nor blocks, "
            f"nor a ToolResult, nor anything JSON can hold: {error}"
        ) from error


def _encoded(value: object) -> str:
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


def _unseen_within(value: object, result: type) -> str:
    """The path of a block in a value that is not text, or of a whole result; "" if there is none."""
    kinds = (result, *_MEDIA)
    waiting: list[tuple[str, object]] = [("", value)]
    seen: set[int] = set()
    while waiting:
        path, found = waiting.pop()
        if path and isinstance(found, kinds):
            return path
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
