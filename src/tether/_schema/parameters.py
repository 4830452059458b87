"""The parameters of a tool, from its function's signature. No I/O."""

import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, get_args, get_origin

from attrs import evolve, frozen

from tether._schema.callables import hints_of, is_built_in, name_of, parameters_in, untyped
from tether._schema.classes import Field, field_of, fields_of
from tether._schema.docstrings import Documentation
from tether._schema.faults import or_type_error
from tether._schema.foreign import is_pydantic
from tether._schema.hints import UNIONS, alias_value
from tether._schema.shapes import DEFINITIONS
from tether._schema.specs import ObjectSpec, TypeSpec
from tether.errors import ToolDefinitionError
from tether.messages import JsonObject

__all__ = ("NAMED", "Parameters", "context_in", "parameters_of")

NAMED = frozenset({inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY})
"""The kinds of parameters that can be given by name."""


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
    """Read a function's signature, or the fields of a class.

    Args:
        function: typed throughout; what it is annotated with decides.
        documentation: where descriptions come from that no annotation gives.
        context_type: a parameter annotated with it takes the context, and is not a parameter of the tool.

    Returns:
        Its parameters.

    Raises:
        ToolDefinitionError: a parameter cannot be one of a tool; the text names it.
    """
    if is_built_in(function):
        raise untyped(function)
    if is_pydantic(function):
        return _of_model(function)
    context = None
    if isinstance(function, type) and (own := _fields_of_class(function)) is not None:
        fields = own
    else:
        hints = hints_of(function)
        context = context_in(function, hints, context_type)
        fields = [
            field
            for parameter in parameters_in(function).values()
            if parameter.name != context
            for field in _fields(function, parameter, hints)
        ]
    fields = [_described(field, documentation) for field in fields]
    for field in fields:
        # Each by itself first, so that the one that cannot be described is named.
        try:
            ObjectSpec([field])
        except TypeError as error:
            raise _refused(function, field.name, error) from error
    _refuse_twins(function, fields)
    spec = ObjectSpec(fields)
    return Parameters(spec.schema, spec.check, context)


def _described(field: Field, documentation: Documentation) -> Field:
    about = documentation.parameters
    told = about.get(field.argument or field.name) or about.get(field.name) or field.description
    return evolve(field, description=told)


def _refuse_twins(function: Callable[..., Any], fields: list[Field]) -> None:
    names = [field.name for field in fields]
    for name in names:
        if names.count(name) > 1:
            raise ToolDefinitionError(
                f"{name_of(function)}: two of its parameters are called {name!r}; rename one"
            )


def _refused(function: Callable[..., Any], name: str, error: TypeError) -> ToolDefinitionError:
    return ToolDefinitionError(
        f"{name_of(function)}: parameter {name!r} cannot be described to a model: {error}"
    )


# Classes.


def _of_model(model: Any) -> Parameters:
    """A model of pydantic's is checked by pydantic, and then made of the arguments as they came."""
    try:
        spec = TypeSpec(model)
    except TypeError as error:
        raise ToolDefinitionError(
            f"{model.__name__} cannot be described to a model: {error}"
        ) from error
    schema = dict(spec.schema)
    if isinstance(reference := schema.pop("$ref", None), str):
        schema = {**schema["$defs"][reference.removeprefix(DEFINITIONS)], **schema}
    if schema.get("type") != "object":
        raise ToolDefinitionError(
            f"{model.__name__}: its instances are not objects in JSON; write a function that takes one"
        )

    def bind(arguments: JsonObject) -> dict[str, Any]:
        spec.check(arguments, "")
        return dict(arguments)

    return Parameters(schema, bind)


def _fields_of_class(kind: type) -> list[Field] | None:
    try:
        return or_type_error(fields_of, kind)
    except TypeError as error:
        raise ToolDefinitionError(
            f"{kind.__name__} cannot be described to a model: {error}"
        ) from error


# Functions.


def _fields(
    function: Callable[..., Any], parameter: inspect.Parameter, hints: Mapping[str, Any]
) -> Iterator[Field]:
    name = parameter.name
    hint = hints.get(name, parameter.empty)
    if parameter.kind is parameter.VAR_KEYWORD and get_origin(hint) is typing.Unpack:
        # Its keys are parameters.
        yield from _unpacked(function, name, get_args(hint)[0])
        return
    if parameter.kind not in NAMED:
        raise ToolDefinitionError(
            f"{name_of(function)}: parameter {parameter} cannot be given by name; "
            f"a tool's parameters are plain or keyword-only: {_instead(parameter, hint)}"
        )
    if hint is parameter.empty:
        raise ToolDefinitionError(_without_type(function, name))
    try:
        yield field_of(name, hint, parameter.default)
    except TypeError as error:
        raise _refused(function, name, error) from error


def _instead(parameter: inspect.Parameter, hint: Any) -> str:
    """What to write in place of a parameter that cannot be given by name."""
    kind = getattr(hint, "__name__", "Any")
    match parameter.kind:
        case parameter.VAR_POSITIONAL | parameter.VAR_KEYWORD if hint is parameter.empty:
            return (
                "name each; where it wraps another function, put `@functools.wraps(function)` on it"
            )
        case parameter.VAR_POSITIONAL:
            return f"take a list, `{parameter.name}: list[{kind}]`"
        case parameter.VAR_KEYWORD:
            return f"take an object, `{parameter.name}: dict[str, {kind}]`, or Unpack a TypedDict"
        case _:
            return "leave out the `/`, or write a function that calls this one"


def _without_type(function: Callable[..., Any], name: str) -> str:
    own = name_of(function)
    if name in {"self", "cls"} and "." in getattr(function, "__qualname__", ""):
        return (
            f"{own}: parameter {name!r} has no type, since this is a method that is not bound yet; "
            f"make the tool of the bound one: `tool(obj.{own})`"
        )
    return f"{own}: parameter {name!r} has no type; annotate it, such as `{name}: str`"


def _unpacked(function: Callable[..., Any], name: str, kind: Any) -> Iterator[Field]:
    try:
        yield from or_type_error(fields_of, kind) or []
    except TypeError as error:
        raise _refused(function, name, error) from error


def context_in(
    function: Callable[..., Any], hints: Mapping[str, Any], context_type: type
) -> str | None:
    """Find the parameter that takes the context.

    Raises:
        ToolDefinitionError: there are several, or it cannot be given by name.
    """
    found = [
        parameter
        for name, parameter in parameters_in(function).items()
        if _is_context(hints.get(name), context_type)
    ]
    if len(found) > 1:
        raise ToolDefinitionError(
            f"{name_of(function)}: {' and '.join(one.name for one in found)} both take the context; "
            "leave out one"
        )
    for one in found:
        if one.kind not in NAMED:
            raise ToolDefinitionError(
                f"{name_of(function)}: parameter {one} takes the context, and cannot be given by name"
            )
        return one.name
    return None


def _is_context(hint: Any, context_type: type) -> bool:
    """Whether a type is the context, whatever stands around it."""
    if context_type in (hint, get_origin(hint)):
        return True
    if get_origin(hint) is Annotated:
        return _is_context(get_args(hint)[0], context_type)
    if get_origin(hint) in UNIONS:
        members = [one for one in get_args(hint) if one is not type(None)]
        return len(members) == 1 and _is_context(members[0], context_type)
    value = alias_value(hint)
    return value is not None and _is_context(value, context_type)
