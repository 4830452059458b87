"""The parameters of a tool, from a JSON Schema that someone has. No I/O."""

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tether._schema.callables import hints_of, name_of, parameters_in
from tether._schema.faults import at_any_depth, joined
from tether._schema.parameters import NAMED, Parameters, context_in
from tether._schema.reading import as_container
from tether.errors import ArgumentsError, ToolDefinitionError
from tether.messages import JsonObject

__all__ = ("ResultSpec", "parameters_from_schema")

_CONTAINERS: Mapping[str, type] = {"array": list, "object": dict}


def parameters_from_schema(
    function: Callable[..., Any], schema: JsonObject, context_type: type
) -> Parameters:
    """Use a JSON Schema that someone has.

    Args:
        function: gets the arguments as keyword arguments; or all of them as one mapping, if it has just one
            parameter, and that is none of the schema's properties.
        schema: of an object; checked as a schema now, and used to check arguments later. A list or object that
            was made a text is read where the schema wants a list or object.
        context_type: a parameter annotated with it takes the context.

    Returns:
        The parameters.

    Raises:
        ToolDefinitionError: it is not a JSON Schema of an object, or does not fit the function.
    """
    checked = _checker(function, schema)
    context = context_in(function, hints_of(function), context_type)
    own = [p for p in parameters_in(function).values() if p.name != context]
    as_one = len(own) == 1 and _takes_mapping(own[0], schema)
    if not as_one:
        _refuse_what_does_not_fit(function, own, schema)

    def bind(arguments: JsonObject) -> dict[str, Any]:
        taken = at_any_depth(lambda: checked(arguments))
        return {own[0].name: taken} if as_one else dict(taken)

    return Parameters(schema, bind, context)


class ResultSpec:
    """A result that someone has the JSON Schema of: as the arguments of a tool, and as a check.

    Args:
        result: the schema. Of an object, it is that of the arguments; any other stands under `result`.

    Raises:
        ToolDefinitionError: it is no JSON Schema.
    """

    def __init__(self, result: JsonObject) -> None:
        self._is_whole = result.get("type") == "object"
        shared = {key: result[key] for key in ("$defs", "definitions") if key in result}
        wrapped = {"type": "object", "properties": {"result": result}, "required": ["result"]}
        self.schema: JsonObject = result if self._is_whole else {**wrapped, **shared}
        self._checked = _checker(ResultSpec, self.schema)

    def check(self, arguments: JsonObject) -> dict[str, Any]:
        """Read arguments as a model gives them.

        Returns:
            The result, under `result`.

        Raises:
            ArgumentsError: it does not fit; each fault begins with its path.
        """
        taken = at_any_depth(lambda: self._checked(arguments))
        return {"result": taken} if self._is_whole else dict(taken)


def _checker(
    function: Callable[..., Any], schema: JsonObject
) -> Callable[[JsonObject], JsonObject]:
    import jsonschema.validators  # noqa: PLC0415 - few tools bring a schema, and the library is large

    kind = jsonschema.validators.validator_for(schema)
    try:
        kind.check_schema(dict(schema))
    except jsonschema.SchemaError as error:
        raise ToolDefinitionError(
            f"{name_of(function)}: `parameters` is not a JSON Schema: {error.message}"
        ) from error
    if schema.get("type") != "object":
        raise ToolDefinitionError(
            f'{name_of(function)}: `parameters` must be the schema of an object ("type": "object")'
        )
    validator = kind(schema)

    def checked(arguments: JsonObject) -> JsonObject:
        errors = list(validator.iter_errors(arguments))
        if any(isinstance(error.instance, str) for error in errors):
            arguments = copy.deepcopy(dict(arguments))
            for error in errors:
                _take_out(arguments, error)
            errors = list(validator.iter_errors(arguments))
        if errors:
            raise ArgumentsError(
                [f"{joined('', *e.absolute_path) or 'arguments'}: {e.message}" for e in errors]
            )
        return arguments

    return checked


def _take_out(arguments: Any, error: Any) -> None:
    """Take a list or object out of the text that it was made, where the schema wants one."""
    wanted = tuple(_CONTAINERS[name] for name in _wanted(error) if name in _CONTAINERS)
    if not wanted or not isinstance(error.instance, str):
        return
    *steps, last = error.absolute_path
    for step in steps:
        arguments = arguments[step]
    arguments[last] = as_container(error.instance, wanted)


def _wanted(error: Any) -> Sequence[str]:
    """The types that would have been right, in a union too."""
    if error.validator == "type":
        kinds = error.validator_value
        return [kinds] if isinstance(kinds, str) else list(kinds)
    same_place = [inner for inner in error.context or () if not inner.relative_path]
    return [kind for inner in same_place for kind in _wanted(inner)]


def _takes_mapping(parameter: inspect.Parameter, schema: JsonObject) -> bool:
    named = parameter.kind is not inspect.Parameter.VAR_KEYWORD
    return named and parameter.name not in schema.get("properties", {})


def _refuse_what_does_not_fit(
    function: Callable[..., Any], own: list[inspect.Parameter], schema: JsonObject
) -> None:
    """Find out now, and not at the first call, that the function cannot be given what the schema asks for."""
    required = {p.name for p in own if p.kind in NAMED and p.default is p.empty}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in own)
    asked = schema.get("properties", {})
    missing = sorted(required - asked.keys())
    unknown = [] if takes_any else sorted(asked.keys() - {p.name for p in own if p.kind in NAMED})
    if missing or unknown:
        told = f"it wants {missing[0]!r}" if missing else f"it does not take {unknown[0]!r}"
        raise ToolDefinitionError(
            f"{name_of(function)}: `parameters` does not fit the function: {told}; give the properties "
            "the names of its parameters, or take all arguments as one mapping"
        )
