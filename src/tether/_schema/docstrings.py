"""What docstrings say of functions, classes and their parameters. No I/O."""

import functools
import inspect
import types
from collections.abc import Mapping
from typing import Any, Final

from attrs import field, frozen

__all__ = ("Documentation", "documentation_of")


_FUNCTIONS: Final = types.FunctionType | types.MethodType | types.BuiltinFunctionType


@frozen
class Documentation:
    """What a docstring says."""

    description: str = ""
    parameters: Mapping[str, str] = field(factory=dict)


def documentation_of(documented: Any) -> Documentation:
    """Read the docstring of a function or class, in Google, NumPy or Sphinx style."""
    text = _docstring(documented)
    if not text:
        return Documentation()
    import docstring_parser  # noqa: PLC0415 - only programs that define tools pay for it

    try:
        parsed = docstring_parser.parse(text)
    except docstring_parser.ParseError:
        return Documentation(text)
    told = (parsed.short_description, parsed.long_description)
    parameters = {
        name.strip(): parameter.description or ""
        for parameter in parsed.params
        for name in parameter.arg_name.split(",")
    }
    return Documentation("\n\n".join(part for part in told if part), parameters)


def _docstring(documented: Any) -> str:
    if isinstance(documented, functools.partial):
        return _docstring(documented.func)
    if isinstance(inner := getattr(documented, "__wrapped__", None), functools.partial):
        return _docstring(inner)  # not what `partial` says of itself
    if isinstance(documented, type):
        # Not by inspect.getdoc: that gives a class without one what `dict` says of itself.
        text = inspect.cleandoc(documented.__doc__ or "")
        return "" if text.startswith(f"{documented.__name__}(") else text  # a dataclass made it
    if isinstance(documented, _FUNCTIONS) or hasattr(documented, "__wrapped__"):
        return inspect.getdoc(documented) or ""
    kind = type(documented)
    return inspect.getdoc(kind.__call__) or _docstring(kind)
