"""The JSON Schema of a result, as people give it: a file, JSON, or the short form that `llm` has.

    name, age int, bio: one sentence

Each field is a name, perhaps its type (`str`, `int`, `float`, `bool`), perhaps a colon and what it is for. Fields stand
on lines of their own, or behind commas.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tether import UsageError

__all__ = ()

_TYPES: Final = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}


def schema_from(given: Any, *, several: bool = False) -> Mapping[str, Any]:
    """Read a schema.

    Args:
        given: the path of a file with JSON Schema, JSON Schema itself, or the short form.
        several: wrap it: the result is an object whose `items` is a list of such.

    Raises:
        UsageError: it is none of these.
    """
    schema = given if isinstance(given, dict) else _parsed(str(given).strip())
    if several:
        schema = {
            "type": "object",
            "properties": {"items": {"type": "array", "items": schema}},
            "required": ["items"],
        }
    return schema


def _parsed(text: str) -> dict[str, Any]:
    if not text:
        raise UsageError("--schema is empty")
    if text.startswith("{"):
        return _json(text, "--schema")
    path = Path(text).expanduser()
    if "\n" not in text and (path.suffix == ".json" or path.is_file()):
        try:
            return _json(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path}: {error}") from error
    return _short(text)


def _json(text: str, where: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise UsageError(f"{where} is no JSON Schema: it must be an object")
    return found


def _short(text: str) -> dict[str, Any]:
    fields = [one.strip() for one in text.split("\n" if "\n" in text else ",") if one.strip()]
    properties = dict(map(_field, fields))
    return {"type": "object", "properties": properties, "required": [*properties]}


def _field(text: str) -> tuple[str, dict[str, str]]:
    before, _, about = text.partition(":")
    name, *types = before.split() or [""]
    kind = types[0] if types else "str"
    if not name or len(types) > 1 or kind not in _TYPES:
        raise UsageError(
            f"--schema: {text!r} is no field; write NAME, or NAME TYPE: WHAT IT IS, where TYPE is one of"
            f" {', '.join(_TYPES)}"
        )
    described = {"description": about.strip()} if about.strip() else {}
    return name, {"type": _TYPES[kind], **described}
