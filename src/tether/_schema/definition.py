"""What a function is as a tool: its name, what models read about it, and how its arguments are read. No I/O."""

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

from attrs import frozen

from tether._schema.callables import is_kind, name_of, refuse_what_cannot_run
from tether._schema.docstrings import documentation_of
from tether._schema.given import parameters_from_schema
from tether._schema.options import check_definition, check_options
from tether._schema.parameters import Parameters, parameters_of
from tether.messages import JsonObject

__all__ = ("Definition", "definition_of")


@frozen
class Definition:
    """A function that can be a tool."""

    name: str
    description: str
    parameters: Parameters
    is_async: bool


def definition_of(
    function: Callable[..., Any],
    *,
    name: str | None,
    schema: JsonObject | None,
    context_type: type,
    options: Mapping[str, Any],
    kinds: Collection[str],
) -> Definition:
    """Read a function.

    Args:
        function: what will run.
        name: what models call it; the function's own name if None.
        schema: the JSON Schema of its parameters; made from the signature if None.
        context_type: a parameter annotated with it takes the context.
        options: the tool's other options, which are checked.
        kinds: what `options["kind"]` may be.

    Returns:
        What it is as a tool; its description is the docstring without its sections.

    Raises:
        ToolDefinitionError: it cannot be a tool; the text names the parameter and what would be right.
    """
    refuse_what_cannot_run(function)
    name = name or name_of(function)
    check_definition(function, name)
    check_options(name, options, kinds)
    documentation = documentation_of(function)
    parameters = (
        parameters_of(function, documentation, context_type)
        if schema is None
        else parameters_from_schema(function, schema, context_type)
    )
    return Definition(
        name,
        documentation.description,
        parameters,
        is_kind(inspect.iscoroutinefunction, function),
    )
