"""JSON Schemas of servers: accepted or refused, and arguments checked against them. No I/O.

A server may send anything. What is accepted is the schema of an object, of a bounded size, that refers to itself
alone. A check never fetches, and its work is bounded: patterns are matched by RE2, and references are counted. What
cannot be checked here is left to the server.
"""

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import re2
from attrs import define

from tether.errors import ArgumentsError
from tether.messages import JsonObject

__all__ = ("SchemaRefusedError", "argument_check", "as_object", "as_parameters")

_LARGEST: Final = 256 * 1024
"""Characters of JSON; the largest that servers in use have are a tenth of it."""
_DEEPEST: Final = 64
_MOST_STEPS: Final = 20_000
"""References that one check follows."""
_MOST_FAULTS: Final = 20
_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_DATA: Final = ("default", "const", "enum", "examples")
"""What holds values and no schemas."""
_COMBINED: Final = ("allOf", "anyOf", "oneOf")
_CONTAINERS: Final[Mapping[str, type]] = {"array": list, "object": dict}
_PATTERNS: Final = re2.Options()
_PATTERNS.log_errors = False
_PATTERNS.max_mem = 8 * 1024 * 1024


class SchemaRefusedError(ValueError):
    """A schema that no tool can have; the text says why."""


def as_object(schema: object) -> JsonObject:
    """Take what a server sent as the schema of a tool's arguments.

    Args:
        schema: anything that JSON holds.

    Returns:
        The schema, of an object, without a reference at its root.

    Raises:
        SchemaRefusedError: it is no JSON Schema of an object, too large, or refers to another document.
    """
    if schema is None or schema is True:
        return {"type": "object", "properties": {}}
    if schema is False:
        raise SchemaRefusedError("its schema is false, which no arguments fit")
    if not isinstance(schema, Mapping):
        raise SchemaRefusedError(f"its schema is a {type(schema).__name__} and no object")
    _refuse_what_is_too_large(schema)
    _refuse_other_documents(schema)
    root = dict(_resolved(schema, schema))
    kinds = root.get("type", "object")
    if kinds != "object" and not (isinstance(kinds, list) and "object" in kinds):
        raise SchemaRefusedError(
            f"its schema is that of {json.dumps(kinds)[:100]}, not of an object"
        )
    return {**root, "type": "object"}


def as_parameters(schema: JsonObject) -> JsonObject:
    """Make the parameters of a tool, which providers accept: without alternatives at the root.

    Args:
        schema: as `as_object` gives it.

    Returns:
        The schema with the properties of its alternatives instead.
    """
    root = dict(schema)
    properties = root.get("properties", {})
    merged = dict(properties) if isinstance(properties, Mapping) else {}
    for word in _COMBINED:
        parts = root.pop(word, [])
        for part in parts if isinstance(parts, list) else []:
            inner = _resolved(part, schema).get("properties", {})
            merged = {**inner, **merged} if isinstance(inner, Mapping) else merged
    return {**root, "properties": merged}


def argument_check(schema: JsonObject) -> Callable[[JsonObject], JsonObject]:
    """Make what checks arguments against the schema that a server sent.

    Args:
        schema: as `as_object` gives it.

    Returns:
        A function that returns the arguments, with lists and objects in place of the texts that they were made. It
        raises `ArgumentsError` with every fault.

    Raises:
        SchemaRefusedError: it is no JSON Schema.
    """
    from jsonschema.exceptions import (  # noqa: PLC0415 - the library is large, and few programs need it
        SchemaError,
    )

    budget = _Budget()
    kind = _validator_class(schema, budget)
    try:
        kind.check_schema(dict(schema), format_checker=_no_formats())
    except (SchemaError, RecursionError, TypeError, ValueError) as error:
        reason = getattr(error, "message", None) or type(error).__name__
        raise SchemaRefusedError(f"its schema is no JSON Schema: {reason[:300]}") from error
    validator = kind(dict(schema), registry=_empty_registry())

    def checked(arguments: JsonObject) -> JsonObject:
        faults = budget.spent_on(validator, arguments)
        if any(isinstance(fault.instance, str) for fault in faults):
            arguments = copy.deepcopy(dict(arguments))
            for fault in faults:
                _take_out(arguments, fault)
            faults = budget.spent_on(validator, arguments)
        if faults:
            raise ArgumentsError([_in_words(fault) for fault in faults[:_MOST_FAULTS]])
        return arguments

    return checked


def _refuse_what_is_too_large(schema: Mapping[str, Any]) -> None:
    level: list[Any] = [schema]
    for _ in range(_DEEPEST):
        level = [inner for outer in level for inner in _values(outer)]
        if not level:
            break
    else:
        raise SchemaRefusedError(f"its schema is more than {_DEEPEST} levels deep")
    size = len(json.dumps(schema, default=str))
    if size > _LARGEST:
        raise SchemaRefusedError(f"its schema has {size:,} characters, more than {_LARGEST:,}")


def _values(outer: Any) -> Sequence[Any]:
    inner = outer.values() if isinstance(outer, Mapping) else outer
    return [one for one in inner if isinstance(one, Mapping | list)]


def _refuse_other_documents(schema: Any) -> None:
    for outer in _schemas(schema):
        for key in _REFERENCES:
            reference = outer.get(key)
            if isinstance(reference, str) and not reference.startswith("#"):
                raise SchemaRefusedError(
                    f"its schema refers to another document, {reference[:200]!r}"
                )


def _schemas(schema: Any) -> Iterator[Mapping[str, Any]]:
    waiting: list[Any] = [schema]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            yield one
            waiting += [value for key, value in one.items() if key not in _DATA]
        elif isinstance(one, list):
            waiting += one


def _resolved(schema: Any, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Put in place of a local reference what it refers to; what cannot be found is anything."""
    for _ in range(_DEEPEST):
        if not isinstance(schema, Mapping):
            return {}
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return schema
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        found = _found(reference, document)
        schema = {**found, **rest} if isinstance(found, Mapping) else rest
    raise SchemaRefusedError("its schema refers to itself and to nothing else")


def _found(reference: str, document: Any) -> Any:
    place = document
    for step in reference.lstrip("#").split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(place, Mapping):
            place = place.get(key)
        elif isinstance(place, list) and key.isdecimal() and int(key) < len(place):
            place = place[int(key)]
        else:
            return None
    return place


class _TooMuchError(Exception):
    """A check takes too many steps."""


@define
class _Budget:
    """The references that a check may still follow."""

    left: int = 0

    def spent_on(self, validator: Any, arguments: JsonObject) -> list[Any]:
        """Find the faults in arguments; none where that takes too much, or a reference leads nowhere."""
        from referencing.exceptions import Unresolvable  # noqa: PLC0415 - comes with jsonschema

        self.left = _MOST_STEPS
        faults: list[Any] = []
        try:
            for fault in validator.iter_errors(arguments):
                faults.append(fault)
                if len(faults) >= 10 * _MOST_FAULTS:
                    break
        except (_TooMuchError, RecursionError, Unresolvable, ValueError, TypeError):
            return []
        return faults

    def spend(self) -> None:
        """Count a reference.

        Raises:
            _TooMuchError: there have been too many.
        """
        self.left -= 1
        if self.left < 0:
            raise _TooMuchError


def _validator_class(schema: JsonObject, budget: _Budget) -> Any:
    import jsonschema.validators as known  # noqa: PLC0415 - as above

    named = isinstance(schema.get("$schema"), str)
    latest: Any = known.Draft202012Validator
    base: Any = known.validator_for(schema, latest) if named else latest
    counted = {
        word: _counting(base.VALIDATORS[word], budget)
        for word in _REFERENCES
        if word in base.VALIDATORS
    }
    own = {"pattern": _matches, "patternProperties": _pattern_properties, **counted}
    return known.extend(base, own)


def _counting(check: Callable[..., Any], budget: _Budget) -> Callable[..., Iterator[Any]]:
    def counted(validator: Any, reference: Any, instance: Any, schema: Any) -> Iterator[Any]:
        budget.spend()
        yield from check(validator, reference, instance, schema) or ()

    return counted


def _matches(_: Any, pattern: Any, instance: Any, __: Any) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError  # noqa: PLC0415 - as above

    if isinstance(instance, str) and _found_in(pattern, instance) is False:
        yield ValidationError(f"{instance[:200]!r} does not match {pattern[:200]!r}")


def _pattern_properties(validator: Any, patterns: Any, instance: Any, _: Any) -> Iterator[Any]:
    if not isinstance(instance, dict):
        return
    for pattern, inner in patterns.items():
        for key, value in instance.items():
            if _found_in(pattern, key):
                yield from validator.descend(value, inner, path=key, schema_path=pattern)


def _found_in(pattern: Any, text: str) -> bool | None:
    """Search for a pattern; None where RE2 does not know what it says."""
    try:
        return re2.search(pattern, text, _PATTERNS) is not None
    except (re2.error, TypeError, UnicodeError):
        return None


def _take_out(arguments: Any, fault: Any) -> None:
    """Take a list or object out of the text that it was made, where the schema wants one."""
    if fault.validator != "type" or not isinstance(fault.instance, str) or not fault.absolute_path:
        return
    wanted = fault.validator_value
    kinds = tuple(
        _CONTAINERS[kind]
        for kind in ([wanted] if isinstance(wanted, str) else wanted)
        if kind in _CONTAINERS
    )
    try:
        inside = json.loads(fault.instance)
    except (ValueError, RecursionError):
        return
    if isinstance(inside, kinds):
        *steps, last = fault.absolute_path
        for step in steps:
            arguments = arguments[step]
        arguments[last] = inside


def _in_words(fault: Any) -> str:
    place = "".join(
        f"[{step}]" if isinstance(step, int) else f".{step}" for step in fault.absolute_path
    )
    return f"{place.lstrip('.') or 'arguments'}: {fault.message[:500]}"


def _no_formats() -> Any:
    """Check no formats: a pattern is one of JavaScript, which Python may not know."""
    from jsonschema import FormatChecker  # noqa: PLC0415 - as above

    return FormatChecker(formats=())


def _empty_registry() -> Any:
    from referencing import Registry  # noqa: PLC0415 - as above

    return Registry()
