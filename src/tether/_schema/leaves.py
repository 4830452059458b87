"""The shapes of what has no parts, or is read by others. No I/O."""

import json
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Final

import msgspec
from attrs import field, frozen

from tether._schema.docstrings import documentation_of
from tether._schema.faults import expected
from tether._schema.foreign import read_by
from tether._schema.marks import LENGTHS, NUMBERS, ORDER, TEXTS
from tether._schema.reading import Level, Reading, Shape
from tether.errors import ArgumentsError
from tether.messages import JsonObject

__all__ = ("JSON_TYPES", "Anything", "Choice", "Foreign", "Leaf", "Texts", "enum_of", "literal_of")

_TYPES: Final[Mapping[str, type]] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "null": type(None),
}


JSON_TYPES: Final = (str, int, float, bool, type(None))
"""The classes of what JSON holds that has no parts."""


@frozen
class Anything:
    """Whatever JSON can hold."""

    schema: JsonObject = field(factory=dict[str, Any])
    noun: str = "anything"
    bounds: Mapping[str, str] = field(factory=dict[str, str])

    def read(self, value: object, path: str, reading: Reading) -> Any:
        return value


@frozen
class Leaf:
    """What has no parts, and msgspec reads."""

    hint: Any
    schema: JsonObject
    noun: str
    bounds: Mapping[str, str]

    @classmethod
    def of(cls, hint: Any) -> "Leaf":
        schema = msgspec.json.schema(hint)
        name = "null" if hint is type(None) else hint.__name__
        return cls(hint, schema, name, _LEAF_BOUNDS.get(name, ORDER))

    def read(self, value: object, path: str, reading: Reading) -> Any:
        exact = type(value) is _TYPES[self.schema["type"]]
        if reading.level is Level.EXACT and not exact:
            raise expected(path, self.noun, value)
        reason: Exception | None = None
        for strict in (True, False)[: max(reading.level, 1)]:
            try:
                return msgspec.convert(value, self.hint, strict=strict)
            except (msgspec.ValidationError, UnicodeEncodeError) as error:
                reason = error
        text = str(reason)
        raise ArgumentsError([f"{path}: {text[:1].lower()}{text[1:].replace('`', '')}"])


_LEAF_BOUNDS: Final[Mapping[str, Mapping[str, str]]] = {
    "int": NUMBERS,
    "float": NUMBERS,
    "str": TEXTS,
    **dict.fromkeys(("bytes", "bytearray", "memoryview"), LENGTHS),
    "datetime": {**ORDER, "tz": ""},
    "time": {**ORDER, "tz": ""},
    "bool": {},
    "null": {},
    "UUID": {},
}


@frozen
class Texts:
    """What is written as a text, and made by calling its class with that."""

    make: Callable[[str], Any]
    schema: JsonObject
    noun: str = "str"
    bounds: Mapping[str, str] = field(factory=dict[str, str])

    def read(self, value: object, path: str, reading: Reading) -> Any:
        if not isinstance(value, str):
            raise expected(path, self.noun, value)
        try:
            return self.make(value)
        except Exception as error:  # whatever it raises, it refuses
            raise ArgumentsError([f"{path}: {error}"]) from error


@frozen
class Choice:
    """One of some values."""

    values: Sequence[tuple[Any, Any]]
    """What JSON holds, and what it stands for."""
    other: Callable[[Any], Any] | None = None
    """Makes one of what is none of these, or raises."""
    about: JsonObject = field(factory=dict[str, Any])
    noun: str = "enum"
    bounds: Mapping[str, str] = field(factory=dict[str, str])

    @property
    def schema(self) -> JsonObject:
        return {**self.about, "enum": [plain for plain, _ in self.values]}

    def read(self, value: object, path: str, reading: Reading) -> Any:
        for plain, meant in self.values:
            if type(value) is type(plain) and value == plain:
                return meant
        if reading.level is Level.LENIENT:
            for plain, meant in self.values:
                if _carelessly(value, plain):
                    return meant
            if self.other is not None and not isinstance(value, list | dict):
                try:
                    return self.other(value)
                except Exception:  # noqa: BLE001 - whatever it raises, it refuses
                    pass
        allowed = ", ".join(json.dumps(plain, ensure_ascii=False) for plain, _ in self.values)
        wrong = expected(path, "one of them", value).faults[0]
        told = f"{path}: invalid enum value {value!r}" if isinstance(value, str) else wrong
        raise ArgumentsError([f"{told}; allowed: {allowed}"])


def _carelessly(value: object, plain: object) -> bool:
    """Whether a value was written for another that is not text: "1" or 1.0 for 1."""
    if isinstance(value, str):
        return not isinstance(plain, str) and value == json.dumps(plain)
    return type(value) is not bool and type(plain) is not bool and value == plain


def enum_of(kind: type[Enum]) -> Shape:
    """The shape of an enum: its values, or where JSON cannot hold these its names.

    Raises:
        TypeError: it has no members.
    """
    members = list(kind)
    plain = all(
        type(member.value) in JSON_TYPES or isinstance(member, int | str) for member in members
    )
    values = [(_plain(member) if plain else member.name, member) for member in members]
    if not values:
        raise TypeError(f"{kind.__name__} has no members")
    about = documentation_of(kind).description
    told = {"title": kind.__name__, **({"description": about} if about else {})}
    return Choice(values, kind if plain else None, told)


def _plain(member: Enum) -> Any:
    """The value of a member as JSON holds it, which knows no classes derived from `int` or `str`."""
    value = member.value
    return next((base(value) for base in (bool, int, str) if isinstance(value, base)), value)


def literal_of(values: Sequence[Any]) -> Shape:
    """The shape of a `Literal`.

    Raises:
        TypeError: JSON cannot hold one of its values.
    """
    pairs: list[tuple[Any, Any]] = []
    for value in values:
        if isinstance(value, Enum):
            shape = enum_of(type(value))
            assert isinstance(shape, Choice)
            pairs += [(plain, member) for plain, member in shape.values if member is value]
        elif type(value) in JSON_TYPES:
            pairs.append((value, value))
        else:
            raise TypeError(
                f"Literal[{value!r}]: JSON has no such value; take texts, numbers, None"
            )
    return Choice(pairs)


@frozen
class Foreign:
    """What pydantic reads."""

    adapter: Any
    schema: JsonObject
    noun: str = "object"
    bounds: Mapping[str, str] = field(factory=dict[str, str])

    def read(self, value: object, path: str, reading: Reading) -> Any:
        careless = reading.level is Level.LENIENT
        return read_by(self.adapter, value, path, careless=careless)
