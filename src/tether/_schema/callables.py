"""Callables of every kind: what they are called, what they take, and how they run. No I/O."""

import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from tether._schema.hints import found_in
from tether.errors import ToolDefinitionError

__all__ = (
    "hints_of",
    "is_built_in",
    "is_kind",
    "name_of",
    "parameters_in",
    "refuse_what_cannot_run",
    "underlying",
    "untyped",
)

_BUILT_IN: Final = types.BuiltinFunctionType | types.MethodDescriptorType | types.MethodWrapperType
_CACHED: Final = type(functools.cache(len))


def underlying(function: Any) -> Any:
    """The function that others wrap, in whatever way they do: it has the annotations."""
    *_, last = _layers(function)
    return last


def _layers(function: Any) -> Iterator[Any]:
    yield function
    if isinstance(function, functools.partial):
        yield from _layers(function.func)
    elif not isinstance(function, type) and hasattr(function, "__wrapped__"):
        yield from _layers(function.__wrapped__)


def name_of(function: Any) -> str:
    """What people call it: its own name, that of the function it wraps, or that of its class."""
    named = function if hasattr(function, "__name__") else underlying(function)
    return str(getattr(named, "__name__", type(named).__name__))


def is_kind(test: Callable[[Any], bool], function: Callable[..., Any]) -> bool:
    """Ask of what is really called: not of a partial, nor of an object with `__call__`."""
    while isinstance(function, functools.partial):
        function = function.func
    if test(function):
        return True
    return not isinstance(function, type) and test(_call_of(function))


def _call_of(function: Any) -> Any:
    return type(function).__call__


def _init_of(kind: Any) -> Any:
    return kind.__init__


def refuse_what_cannot_run(function: Any) -> None:
    """Refuse what can be called by nobody, or only once.

    Raises:
        ToolDefinitionError: it cannot; the text has what to write.
    """
    if isinstance(function, classmethod):
        name = function.__func__.__name__
        raise ToolDefinitionError(
            f"{name}: a classmethod is not bound to its class yet; make the tool behind the class: "
            f"`tool(TheClass.{name})`"
        )
    if not callable(function):
        raise ToolDefinitionError(f"{function!r} is not a function")
    if isinstance(function, _CACHED) and inspect.iscoroutinefunction(underlying(function)):
        raise ToolDefinitionError(
            f"{name_of(function)}: a cache of an async function keeps its coroutines, and each can be "
            "awaited only once; cache the values that it returns"
        )


def parameters_in(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """What a callable takes, without the arguments that a partial gives it.

    Raises:
        ToolDefinitionError: it does not say.
    """
    try:
        found = dict(inspect.signature(function).parameters)
    except (ValueError, TypeError) as error:
        raise untyped(function) from error
    for layer in _layers(function):
        if isinstance(layer, functools.partial):
            for name in layer.keywords:
                found.pop(name, None)
    return found


def is_built_in(function: Any) -> bool:
    """Whether a callable is written in C, and so has no type hints."""
    return isinstance(underlying(function), _BUILT_IN)


def untyped(function: Any) -> ToolDefinitionError:
    """Make the error for what has no type hints and cannot be given any."""
    name = name_of(function)
    return ToolDefinitionError(
        f"{name}: it is built in and has no type hints; write a typed function that calls it, such as "
        f"`def call_{name}(value: str) -> str: return {name}(value)`"
    )


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the types of a function's parameters, wherever they are named.

    Raises:
        ToolDefinitionError: an annotation names what is not to be found, or the function does not say what it takes.
    """
    told = {name: one.annotation for name, one in parameters_in(function).items()}
    typed = {name: hint for name, hint in told.items() if hint is not inspect.Parameter.empty}
    # A signature that a decorator has made may have types that no function has.
    own = {name: hint for name, hint in typed.items() if not isinstance(hint, str)}
    return own | _annotations(function)


def _annotations(function: Callable[..., Any]) -> dict[str, Any]:
    target = underlying(function)
    while not isinstance(target, types.FunctionType | types.MethodType):
        inner = _init_of(target) if isinstance(target, type) else _call_of(target)
        if not isinstance(underlying(inner), types.FunctionType | types.MethodType):
            return {}
        target = underlying(inner)
    names = {**getattr(target, "__globals__", {}), **_enclosing(target)}
    try:
        hints = typing.get_type_hints(target, localns=_enclosing(target), include_extras=True)
    except NameError as error:
        raise ToolDefinitionError(
            f"{name_of(function)}: an annotation names {error.name!r}, which is not to be found "
            "from its module; import or define it there, outside of functions and `if TYPE_CHECKING`"
        ) from error
    except (TypeError, SyntaxError, AttributeError) as error:
        raise ToolDefinitionError(
            f"{name_of(function)}: an annotation cannot be read: {error}"
        ) from error
    return {name: found_in(hint, names) for name, hint in hints.items()}


def _enclosing(function: Any) -> dict[str, Any]:
    """The names a local function has from around it, where a string annotation may find its types."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=False)
    found: dict[str, Any] = {}
    for name, cell in cells:
        with suppress(ValueError):  # not assigned yet
            found[name] = cell.cell_contents
    return found
