"""Structured output: a tool that a run adds, and that the model must call with its result.

A tool works with every provider; a format for replies does not. A result that does not fit is answered with every
fault, as for any tool, and the model may repair it. A reply without a result is answered with what to do. Both happen
a bounded number of times.

No I/O.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from attrs import define, evolve, field

from tether._engine.turn_settings import TurnSettings
from tether.errors import ArgumentsError, OutputError, ToolDefinitionError, UsageError
from tether.events import TurnEnd
from tether.loop import End
from tether.messages import JsonObject
from tether.tools import Tool, ToolResult

if TYPE_CHECKING:
    from tether._schema.given import ResultSpec
    from tether._schema.specs import ObjectSpec

__all__ = ("Output",)

_NAME: Final = "final_result"
_DESCRIPTION: Final = "Give your final result. Call this once, when you are done; it ends the task."
_REMINDER: Final = f"Give your result by calling the tool {_NAME}."


def _described(kind: Any) -> "ObjectSpec | ResultSpec":
    from tether._schema.classes import Field  # noqa: PLC0415 - few runs have a result, and the package is large
    from tether._schema.given import ResultSpec  # noqa: PLC0415 - likewise
    from tether._schema.specs import ObjectSpec  # noqa: PLC0415 - likewise

    if isinstance(kind, Mapping):
        try:
            return ResultSpec(kind)
        except ToolDefinitionError as error:
            raise UsageError(f"output is not a JSON Schema: {error}") from error
    try:
        return ObjectSpec([Field("result", kind, required=True)])
    except TypeError as error:
        raise UsageError(f"output cannot be described to a model: {error}") from error


@define(eq=False, repr=False)
class Output:
    """The result that one run is to have.

    Args:
        spec: its type.
        attempts: how often the model may try.

    Raises:
        UsageError: the type cannot be described to a model, or there is no attempt.
    """

    spec: "ObjectSpec | ResultSpec" = field(converter=_described)
    attempts: int = 3
    value: Any = None
    given: bool = False
    _faults: list[str] = field(factory=list[str])

    def __attrs_post_init__(self) -> None:
        if self.attempts < 1:
            raise UsageError(f"output_attempts must be at least 1, not {self.attempts}")

    @property
    def over(self) -> bool:
        """Whether the run may end: the result is there, or the model has tried often enough."""
        return self.given or len(self._faults) >= self.attempts

    def settings(self, settings: TurnSettings) -> TurnSettings:
        """Add the tool, and have the model call tools, where it may be made to.

        Raises:
            UsageError: there is a tool of that name.
        """
        if _NAME in settings.tools:
            raise UsageError(f"a tool is called {_NAME!r}, which is what the result is given by")
        options = settings.options
        # Providers that let models think do not let them be forced meanwhile.
        if options.tool_choice is None and options.thinking in {None, "off"}:
            options = evolve(options, tool_choice="required" if settings.tools else ("tool", _NAME))
        return evolve(settings, tools={**settings.tools, _NAME: self._tool()}, options=options)

    def reminder(self, turn: TurnEnd) -> str | None:
        """Say what to tell a model that has answered without a result; None where it goes on by itself."""
        if self.given or turn.results or turn.message.incomplete or turn.message.paused:
            return None
        self._faults.append(f"the reply was plain text instead of a call of {_NAME}")
        return None if self.over else _REMINDER

    def error(self, end: End) -> OutputError:
        """Make the exception for a run that has ended without a result."""
        attempts = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
        if self.over:
            why = f"{attempts} failed"
        elif end.limit is not None:
            why = f"the run reached its limit of {end.limit}"
        else:
            why = f"the run ended first ({end.stop_reason})"
        return OutputError(f"there is no result: {why}", attempts=self._faults)

    def _tool(self) -> Tool:
        async def take(result: Any) -> ToolResult:
            if not self.given:
                self.value, self.given = result, True
            return ToolResult("The result was taken.", terminate=True)

        return Tool(_NAME, _DESCRIPTION, self.spec.schema, take, bind=self._bind, read_only=True)

    def _bind(self, arguments: JsonObject) -> dict[str, Any]:
        try:
            return self.spec.check(arguments)
        except ArgumentsError as error:
            self._faults.append(str(error))
            raise
