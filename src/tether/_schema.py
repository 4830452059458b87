"""Type hints and docstrings to JSON Schema, and arguments back to Python values, every fault named.

msgspec knows how a type looks as JSON Schema and how to make a value of it. Here is what it leaves open: it
stops at the first fault, where a model wants to hear of all at once; it does not say what would have been
allowed; and it passes over descriptions and bounds that are written as plain strings or in annotated-types.

Values are first taken as they are, and only where that fails leniently ("42" for 42), so that what is right
already never changes.

No I/O.
"""

import functools
import inspect
import re
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Annotated, Any, Final, Union, cast, get_args, get_origin

import msgspec
from attrs import field, frozen

from tether.errors import ArgumentsError, ToolDefinitionError
from tether.messages import JsonObject

__all__ = (
    "Documentation",
    "Parameters",
    "TypeSpec",
    "documentation_of",
    "parameters_of",
    "raw_parameters",
)

_REF: Final = "#/$defs/{name}"
_BOUNDS: Final = {
    "ge": "ge",
    "gt": "gt",
    "le": "le",
    "lt": "lt",
    "multiple_of": "multiple_of",
    "min_length": "min_length",
    "max_length": "max_length",
}
"""Attributes of annotated-types' markers, and msgspec's names for them."""


def _in_msgspec_form(annotation: Any) -> Any:
    return _with_meta(annotation)


@frozen
class TypeSpec:
    """A type, as JSON Schema and as a check.

    Args:
        type: any type that msgspec knows, or a pydantic model.

    Raises:
        TypeError: it cannot be told from JSON what the value should be.
    """

    type: Any = field(converter=_in_msgspec_form)
    schema: JsonObject = field(init=False)
    """Self-contained: what it refers to is under its own `$defs`."""

    def __attrs_post_init__(self) -> None:
        msgspec.json.Decoder(self.type, dec_hook=_decode_pydantic)
        (schema,), definitions = msgspec.json.schema_components(
            [self.type], schema_hook=_pydantic_schema, ref_template=_REF
        )
        object.__setattr__(self, "schema", _hoisted(schema, definitions))

    def check(self, value: object) -> Any:
        """Make an instance of the type.

        Args:
            value: what JSON can hold.

        Returns:
            The instance.

        Raises:
            ArgumentsError: it does not fit; the text names the path.
        """
        try:
            return msgspec.convert(value, self.type, dec_hook=_decode_pydantic)
        except msgspec.ValidationError:
            pass
        try:
            return msgspec.convert(value, self.type, strict=False, dec_hook=_decode_pydantic)
        except msgspec.ValidationError as error:
            raise ArgumentsError([_explained(str(error), self.schema)]) from None


@frozen
class Parameters:
    """The parameters of a tool."""

    schema: JsonObject
    """JSON Schema of an object."""
    bind: Callable[[JsonObject], dict[str, Any]]
    """Arguments as a model gives them, to keyword arguments; raises `ArgumentsError`."""
    context: str | None = None
    """The parameter that takes the context, if there is one."""


@frozen
class Documentation:
    """What a docstring says."""

    description: str = ""
    parameters: Mapping[str, str] = field(factory=dict)


@frozen
class _Parameter:
    spec: TypeSpec
    default: Any

    @property
    def required(self) -> bool:
        return self.default is inspect.Parameter.empty


def documentation_of(function: Callable[..., Any]) -> Documentation:
    """Read a docstring in Google, NumPy or Sphinx style."""
    text = inspect.getdoc(function)
    if not text:
        return Documentation()
    import docstring_parser  # noqa: PLC0415 - only programs that define tools pay for it

    parsed = docstring_parser.parse(text)
    told = (parsed.short_description, parsed.long_description)
    return Documentation(
        "\n\n".join(part for part in told if part),
        {param.arg_name: param.description or "" for param in parsed.params},
    )


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
    parameters: dict[str, _Parameter] = {}
    context: str | None = None
    for name, annotation, default in _annotated(function):
        if context_type in {annotation, get_origin(annotation)}:
            context = name
            continue
        try:
            parameters[name] = _Parameter(TypeSpec(annotation), default)
        except (TypeError, ValueError) as error:
            raise ToolDefinitionError(
                f"{_name(function)}: parameter {name!r} cannot be described to a model: {error}"
            ) from error
    return Parameters(
        _object_schema(parameters, documentation), functools.partial(_bind, parameters), context
    )


def raw_parameters(
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
    own = inspect.signature(function).parameters
    hints = _hints(function)
    context = next(
        (name for name in own if context_type in {hints.get(name), get_origin(hints.get(name))}),
        None,
    )
    names = [name for name in own if name != context]
    as_one = len(names) == 1 and _takes_mapping(own[names[0]], schema)

    def bind(arguments: JsonObject) -> dict[str, Any]:
        faults = [
            f"{'.'.join(map(str, error.absolute_path)) or 'arguments'}: {error.message}"
            for error in validator.iter_errors(arguments)
        ]
        if faults:
            raise ArgumentsError(faults)
        return {names[0]: arguments} if as_one else dict(arguments)

    return Parameters(schema, bind, context)


def _takes_mapping(parameter: inspect.Parameter, schema: JsonObject) -> bool:
    named = parameter.kind is not inspect.Parameter.VAR_KEYWORD
    return named and parameter.name not in schema.get("properties", {})


def _annotated(function: Callable[..., Any]) -> Iterator[tuple[str, Any, Any]]:
    hints = _hints(function)
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind not in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}:
            raise ToolDefinitionError(
                f"{_name(function)}: parameter {parameter} cannot be given by name; "
                "a tool's parameters are plain or keyword-only"
            )
        if name not in hints:
            raise ToolDefinitionError(
                f"{_name(function)}: parameter {name!r} has no type; annotate it, "
                f"such as `{name}: str`"
            )
        yield name, hints[name], parameter.default


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
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


def _object_schema(
    parameters: Mapping[str, _Parameter], documentation: Documentation
) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    for name, parameter in parameters.items():
        schema = dict(parameter.spec.schema)
        definitions |= schema.pop("$defs", {})
        if description := documentation.parameters.get(name):
            schema.setdefault("description", description)
        if not parameter.required:
            schema |= _default(parameter.default)
        properties[name] = schema
    required = [name for name, parameter in parameters.items() if parameter.required]
    whole = {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
    return {**whole, "$defs": definitions} if definitions else whole


def _default(value: object) -> dict[str, Any]:
    try:
        return {"default": msgspec.to_builtins(value, str_keys=True)}
    except TypeError:
        return {}


def _bind(parameters: Mapping[str, _Parameter], arguments: JsonObject) -> dict[str, Any]:
    bound: dict[str, Any] = {}
    faults: list[str] = []
    for name, parameter in parameters.items():
        if name not in arguments:
            if parameter.required:
                faults.append(f"{name}: is missing")
            continue
        try:
            bound[name] = parameter.spec.check(arguments[name])
        except ArgumentsError as error:
            if arguments[name] is None and not parameter.required:
                continue  # Models that must name every parameter say null for "as it is by default".
            faults += [f"{name}{fault}" for fault in error.faults]
    for name in arguments.keys() - parameters.keys():
        known = ", ".join(parameters) or "none"
        faults.append(f"{name}: there is no such parameter; there are: {known}")
    if faults:
        raise ArgumentsError(faults)
    return bound


def _explained(error: str, schema: JsonObject) -> str:
    """Make of msgspec's message one that begins with the path, and says what is allowed."""
    text, _, place = error.partition(" - at `")
    path = place.rstrip("`").removeprefix("$")
    text = text[:1].lower() + text[1:].replace("`", "")
    allowed = _at(schema, path).get("enum")
    hint = f"; allowed: {', '.join(map(repr, allowed))}" if allowed else ""
    return f"{path}: {text}{hint}"


def _at(schema: JsonObject, path: str) -> JsonObject:
    """The part of a schema that speaks of a path such as `.box.lines[...]`."""
    here: Any = schema
    for key in [None, *re.findall(r"\.(\w+)|\[", path)]:
        if key == "":
            here = here.get("items", here.get("additionalProperties", {}))
        elif key is not None:
            here = here.get("properties", {}).get(key, {})
        while isinstance(here, Mapping) and "$ref" in here:
            here = schema.get("$defs", {}).get(here["$ref"].rpartition("/")[2], {})
        if not isinstance(here, Mapping):
            return {}
    return cast("JsonObject", here)


def _with_meta(annotation: Any) -> Any:
    """Put what is written as plain strings, or in annotated-types, into msgspec's own form."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        base, *marks = arguments
        metas = [meta for mark in marks if (meta := _meta(mark)) is not None]
        return functools.reduce(lambda inner, meta: Annotated[inner, meta], metas, _with_meta(base))
    if origin is None or origin is typing.Literal or not arguments:
        return annotation
    changed = tuple(_with_meta(a) if not isinstance(a, list) else a for a in arguments)
    if changed == arguments:
        return annotation
    if origin in {Union, types.UnionType}:
        return Union[changed]  # noqa: UP007 - made of a tuple
    generic: Any = origin
    return generic[changed] if isinstance(origin, type) else annotation


def _meta(mark: object) -> msgspec.Meta | None:
    if isinstance(mark, msgspec.Meta):
        return mark
    if isinstance(mark, str):
        return msgspec.Meta(description=mark)
    bounds: dict[str, Any] = {
        ours: getattr(mark, theirs)
        for theirs, ours in _BOUNDS.items()
        if getattr(mark, theirs, None) is not None
    }
    description = getattr(mark, "description", None)
    if isinstance(description, str):
        bounds["description"] = description
    return msgspec.Meta(**bounds) if bounds else None


# pydantic is not imported: a type is one of its models only where a program has imported it.


def _is_pydantic(kind: Any) -> bool:
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(kind, type) and issubclass(kind, pydantic.BaseModel)


def _pydantic_schema(kind: type) -> dict[str, Any]:
    if not _is_pydantic(kind):
        raise TypeError(f"{kind!r} is no type that JSON Schema can describe")
    schema: dict[str, Any] = kind.model_json_schema(ref_template="#/$defs/{model}")  # type: ignore[attr-defined]  # it is a pydantic model
    return schema


def _decode_pydantic(kind: type, value: object) -> Any:
    if not _is_pydantic(kind):
        raise TypeError(f"{kind!r} cannot be made of JSON")
    try:
        return kind.model_validate(value)  # type: ignore[attr-defined]  # it is a pydantic model
    except ValueError as error:
        plain = [{"loc": (), "msg": str(error)}]
        faults = getattr(error, "errors", lambda: plain)()
        told = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults)
        raise ValueError("; ".join(told)) from None


def _hoisted(schema: dict[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Bring the definitions of nested schemas to the top, where references look for them."""
    found = dict(definitions)

    def lift(part: Any) -> Any:
        if isinstance(part, dict):
            own = part.get("$defs", {})
            found.update({name: lift(inner) for name, inner in own.items()})
            return {key: lift(value) for key, value in part.items() if key != "$defs"}
        return [lift(item) for item in part] if isinstance(part, list) else part

    top = lift(schema)
    found = {name: lift(definition) for name, definition in found.items()}
    return {**top, "$defs": found} if found else top
