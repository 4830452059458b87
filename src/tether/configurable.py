"""What an agent is made of: its model, system prompt, tools and options, each checked as it is given or assigned.

No I/O.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, overload

from attrs import evolve

from tether._given import Checked, function, instance_of, items, optional, seconds
from tether.errors import UsageError
from tether.hookable import Hookable
from tether.limits import Limits
from tether.messages import AssistantMessage, JsonObject
from tether.model import Model, ModelOptions, ThinkingLevel
from tether.tools import Tool, ToolKind, tool

if TYPE_CHECKING:
    from tether.session import Session

__all__ = ("Configurable",)


class Configurable(Hookable):
    """Something that has the configuration of an agent. `Agent` says what each part means.

    Every part may be assigned at any time. A run that is going uses the new value from its next turn.
    """

    system: Checked[str | None] = Checked(optional(instance_of(str, "a string")))
    name: Checked[str] = Checked(instance_of(str, "a string"))
    options: Checked[ModelOptions] = Checked(instance_of(ModelOptions))
    limits: Checked[Limits] = Checked(instance_of(Limits))
    sequential: Checked[bool] = Checked(instance_of(bool, "True or False"))
    tool_timeout: Checked[float] = Checked(seconds)
    price: Checked[Callable[[AssistantMessage], float] | None] = Checked(optional(function))
    deps: Any
    if TYPE_CHECKING:
        # Who reads the annotations of an agent while a program runs need not have imported sessions.
        session: Session | None

    @property
    def model(self) -> Model:
        """The model. A name may be assigned."""
        return self._model

    @model.setter
    def model(self, model: Model | str) -> None:
        named: Any = _named(model) if isinstance(model, str) else model
        if isinstance(named, type) or not isinstance(named, Model):
            raise UsageError(f"model of Agent must be a model or the name of one, not {named!r}")
        self._model = named

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The tools. Plain functions may be assigned among them."""
        return self._tools

    @tools.setter
    def tools(self, tools: Iterable[Tool | Callable[..., Any]]) -> None:
        items("tools of Agent", tools)
        made = tuple(item if isinstance(item, Tool) else tool(item) for item in tools)
        names = [item.name for item in made]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise UsageError(f"two tools are called {twice[0]!r}; give one of them another name")
        self._tools = made

    @overload
    def tool(self, function: Callable[..., Any], /) -> Tool: ...
    @overload
    def tool(
        self,
        /,
        *,
        name: str | None = None,
        description: str | None = None,
        parameters: JsonObject | None = None,
        timeout: float | None = None,
        sequential: bool = False,
        max_concurrency: int | None = None,
        title: str | None = None,
        kind: ToolKind = "other",
        read_only: bool = False,
        destructive: bool | None = None,
        idempotent: bool = False,
    ) -> Callable[[Callable[..., Any]], Tool]: ...
    def tool(
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        name: str | None = None,
        description: str | None = None,
        parameters: JsonObject | None = None,
        timeout: float | None = None,
        sequential: bool = False,
        max_concurrency: int | None = None,
        title: str | None = None,
        kind: ToolKind = "other",
        read_only: bool = False,
        destructive: bool | None = None,
        idempotent: bool = False,
    ) -> Tool | Callable[[Callable[..., Any]], Tool]:
        """Make a tool of the decorated function and give it to this agent: `@agent.tool`, or `@agent.tool(...)`.

        Args:
            function: typed throughout; async, or plain and then run in a worker thread.
            name: what models call it; the other options too are those of `tether.tool`.
            description: what models read about it.
            parameters: a JSON Schema to use in place of the signature.
            timeout: seconds it may run.
            sequential: calls of a reply run one after the other, if it is among them.
            max_concurrency: how many calls of it may run at once.
            title: its name for people.
            kind: what it does, roughly.
            read_only: it changes nothing.
            destructive: whether it may change or end what was there before.
            idempotent: a second call with the same arguments changes nothing more.

        Returns:
            The tool; without a function, a decorator that makes it.

        Raises:
            ToolDefinitionError: the function cannot be made a tool.
            UsageError: the agent has a tool of that name.
        """
        make = tool(
            name=name,
            description=description,
            parameters=parameters,
            timeout=timeout,
            sequential=sequential,
            max_concurrency=max_concurrency,
            title=title,
            kind=kind,
            read_only=read_only,
            destructive=destructive,
            idempotent=idempotent,
        )

        def add(function: Callable[..., Any]) -> Tool:
            self.tools = [*self._tools, made := make(function)]
            return made

        return add if function is None else add(function)

    @property
    def thinking(self) -> ThinkingLevel | None:
        """How much the model thinks; None leaves it to the provider."""
        return self.options.thinking

    @thinking.setter
    def thinking(self, level: ThinkingLevel | None) -> None:
        self.options = evolve(self.options, thinking=level)


def _named(name: str) -> Model:
    from tether.models.catalogue import model_from_name  # noqa: PLC0415 - only where a model is named

    return model_from_name(name)
