"""The parameters of a tool: from its function's signature, or from a JSON Schema that someone has. No I/O."""

import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, get_origin

from attrs import frozen

from tether._schema.classes import Field
from tether._schema.docstrings import Documentation
from tether._schema.faults import at_any_depth, joined
from tether._schema.specs import ObjectSpec
from tether.errors import ArgumentsError, ToolDefinitionError
from tether.messages import JsonObject

__all__ = ("Parameters", "hints_of", "parameters_from_schema", "parameters_of")


@frozen
class Parameters:
    """The parameters of a tool."""

    schema: JsonObject
    """JSON Schema of an object."""
    bind: Callable[[JsonObject], dict[str, Any]]
    """Arguments as a model gives them, to keyword arguments; raises `ArgumentsError`."""
    context: str | None = None
    """The parameter that takes the context, if there is one."""


def parameters_of(
    function: Callable[..., Any], documentation: Documentation, context_type: type
) -> Parameters:
    """Read a function's signature.

    Args:
        function: typed throughout; what it is annotated with decides.
        documentation: where descriptions come from that no annotation gives.
        context_type: a parameter annotated with it takes the context, and is no parameter of the tool.

    Returns:
        Its parameters.

    Raises:
        ToolDefinitionError: a parameter cannot be one of a tool; the text names it.
    """
    hints = hints_of(function)
    context = _context_in(function, hints, context_type)
    fields = [
        _field(function, parameter, hints, documentation)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name != context
    ]
    for one in fields:
        # Each by itself first, so that the one that cannot be described is named.
        try:
            ObjectSpec([one])
        except TypeError as error:
            raise ToolDefinitionError(
                f"{_name(function)}: parameter {one.name!r} cannot be described to a model: {error}"
            ) from error
    spec = ObjectSpec(fields)
    return Parameters(spec.schema, spec.check, context)


def parameters_from_schema(
    function: Callable[..., Any], schema: JsonObject, context_type: type
) -> Parameters:
    """Use a JSON Schema that someone has.

    Args:
        function: gets the arguments as keyword arguments; or all of them as one mapping, if it has just one
            parameter, and that is none of the schema's properties.
        schema: of an object; checked as a schema now, and used to check arguments later.
        context_type: a parameter annotated with it takes the context.

    Returns:
        The parameters.

    Raises:
        ToolDefinitionError: it is no JSON Schema of an object, or does not fit the function.
    """
    faults_in = _checker(function, schema)
    context = _context_in(function, hints_of(function), context_type)
    own = [p for p in inspect.signature(function).parameters.values() if p.name != context]
    as_one = len(own) == 1 and _takes_mapping(own[0], schema)
    if not as_one:
        _refuse_what_does_not_fit(function, own, schema)

    def bind(arguments: JsonObject) -> dict[str, Any]:
        if faults := at_any_depth(lambda: list(faults_in(arguments))):
            raise ArgumentsError(faults)
        return {own[0].name: arguments} if as_one else dict(arguments)

    return Parameters(schema, bind, context)


def _checker(
    function: Callable[..., Any], schema: JsonObject
) -> Callable[[JsonObject], Iterator[str]]:
    import jsonschema.validators  # noqa: PLC0415 - few tools bring a schema, and the library is large

    kind = jsonschema.validators.validator_for(schema)
    try:
        kind.check_schema(dict(schema))
    except jsonschema.SchemaError as error:
        raise ToolDefinitionError(
            f"{_name(function)}: `parameters` is no JSON Schema: {error.message}"
        ) from error
    if schema.get("type") != "object":
        raise ToolDefinitionError(
            f'{_name(function)}: `parameters` must be the schema of an object ("type": "object")'
        )
    validator = kind(schema)

    def faults_in(arguments: JsonObject) -> Iterator[str]:
        for error in validator.iter_errors(arguments):
            yield f"{joined('', *error.absolute_path) or 'arguments'}: {error.message}"

    return faults_in


def _takes_mapping(parameter: inspect.Parameter, schema: JsonObject) -> bool:
    named = parameter.kind is not inspect.Parameter.VAR_KEYWORD
    return named and parameter.name not in schema.get("properties", {})


def _refuse_what_does_not_fit(
    function: Callable[..., Any], own: list[inspect.Parameter], schema: JsonObject
) -> None:
    """Find out now, and not at the first call, that the function cannot be given what the schema asks for."""
    required = {p.name for p in own if p.kind in _NAMED and p.default is p.empty}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in own)
    asked = schema.get("properties", {})
    missing = sorted(required - asked.keys())
    unknown = [] if takes_any else sorted(asked.keys() - {p.name for p in own if p.kind in _NAMED})
    if missing or unknown:
        told = f"it wants {missing[0]!r}" if missing else f"it does not take {unknown[0]!r}"
        raise ToolDefinitionError(
            f"{_name(function)}: `parameters` does not fit the function: {told}; give the properties "
            "the names of its parameters, or take all arguments as one mapping"
        )


_NAMED = frozenset({inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY})


def _field(
    function: Callable[..., Any],
    parameter: inspect.Parameter,
    hints: Mapping[str, Any],
    documentation: Documentation,
) -> Field:
    name = parameter.name
    if parameter.kind not in _NAMED:
        raise ToolDefinitionError(
            f"{_name(function)}: parameter {parameter} cannot be given by name; "
            "a tool's parameters are plain or keyword-only"
        )
    if name not in hints:
        raise ToolDefinitionError(
            f"{_name(function)}: parameter {name!r} has no type; annotate it, such as `{name}: str`"
        )
    return Field(
        name,
        hints[name],
        parameter.default,
        required=parameter.default is parameter.empty,
        description=documentation.parameters.get(name, ""),
    )


def _context_in(
    function: Callable[..., Any], hints: Mapping[str, Any], context_type: type
) -> str | None:
    found = (
        name
        for name in inspect.signature(function).parameters
        if context_type in {hints.get(name), get_origin(hints.get(name))}
    )
    return next(found, None)


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the types of a function's parameters, wherever they are named.

    Raises:
        ToolDefinitionError: an annotation names what is not to be found.
    """
    target = inspect.unwrap(function)
    while isinstance(target, functools.partial):
        target = target.func
    if not isinstance(target, types.FunctionType | types.MethodType):
        target = type(target).__call__
    try:
        return typing.get_type_hints(target, localns=_enclosing(target), include_extras=True)
    except NameError as error:
        raise ToolDefinitionError(
            f"{_name(function)}: an annotation names {error.name!r}, which is not to be found "
            "from its module; import it there, outside `if TYPE_CHECKING`"
        ) from error


def _enclosing(function: Any) -> dict[str, Any]:
    """The names a local function has from around it, where a string annotation may find its types."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=False)
    found: dict[str, Any] = {}
    for name, cell in cells:
        with suppress(ValueError):  # not assigned yet
            found[name] = cell.cell_contents
    return found


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)
