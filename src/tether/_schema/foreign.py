"""What msgspec does not know: paths, and pydantic's models. No I/O.

A type is pydantic's only in a program that has imported it, so pydantic is not imported here.
"""

import json
import sys
from itertools import count
from pathlib import PurePath
from typing import Any, Final

from attrs import frozen

from tether._schema.faults import joined
from tether.errors import ArgumentsError

__all__ = (
    "DEFINITIONS",
    "ForeignSchemas",
    "from_json_types",
    "is_pydantic",
    "read_pydantic",
    "to_json_types",
)

DEFINITIONS: Final = "#/$defs/"
"""Where a schema refers to."""


def to_json_types(value: object) -> object:
    """Tell msgspec how to write what it does not know: paths, and pydantic's models.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(value, PurePath):
        return str(value)
    if is_pydantic(type(value)):
        return _adapter(type(value)).dump_python(value, mode="json")
    raise TypeError(f"JSON cannot hold {type(value).__name__}")


def is_pydantic(kind: Any) -> bool:
    known = hasattr(kind, "__get_pydantic_core_schema__") or hasattr(kind, "__pydantic_validator__")
    return known and isinstance(kind, type) and "pydantic" in sys.modules


def _adapter(kind: Any) -> Any:
    return sys.modules["pydantic"].TypeAdapter(kind)


@frozen
class ForeignSchemas:
    """Describes types to msgspec, and gathers what pydantic refers to."""

    definitions: dict[str, Any]

    def __call__(self, kind: Any) -> dict[str, Any]:
        if isinstance(kind, type) and issubclass(kind, PurePath):
            return {"type": "string", "format": "path"}
        if not is_pydantic(kind):
            name = getattr(kind, "__qualname__", kind)
            raise TypeError(f"JSON cannot hold {name}; take str, list[str] or a dataclass, say")
        # The dash keeps the names of pydantic's definitions apart from all that are names of classes.
        for number in count():
            prefix = f"{kind.__name__}{number or ''}-"
            schema: dict[str, Any] = _adapter(kind).json_schema(
                ref_template=DEFINITIONS + prefix + "{model}"
            )
            own = {prefix + name: inner for name, inner in schema.pop("$defs", {}).items()}
            if all(self.definitions.get(name, inner) == inner for name, inner in own.items()):
                self.definitions.update(own)
                return schema
        raise AssertionError("counting never ends")


def from_json_types(kind: Any, value: object) -> Any:
    if not is_pydantic(kind):
        if isinstance(value, str):
            return kind(value)
        raise TypeError(f"expected str, got {type(value).__name__}")
    try:
        return read_pydantic(kind, value, "")
    except ArgumentsError as error:
        raise ValueError(str(error)) from None


def read_pydantic(kind: Any, value: object, path: str) -> Any:
    text = json.dumps(value)  # a strict model takes a string for a date only from JSON
    try:
        return _adapter(kind).validate_json(text)
    except Exception as error:  # whatever its checks raise, it refuses
        plain = [{"loc": (), "msg": str(error)}]
        told = getattr(error, "errors", lambda: plain)()
        faults = [f"{joined(path, *fault['loc'])}: {fault['msg']}" for fault in told]
        raise ArgumentsError(faults) from error
