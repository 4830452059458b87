"""What a model is: something that is given a request and answers in deltas.

Anything with a `name` and a `stream` method is a model. `tether.models` has those that speak to the
providers; `tether.testing.ScriptedModel` is one that follows a script.

No I/O.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Literal, Protocol, TypeAlias, cast, get_args, runtime_checkable

from attrs import field, frozen

from tether._given import (
    field_check,
    instance_of,
    mapping,
    number,
    one_of,
    optional,
    seconds,
    strings,
    whole_number,
)
from tether.deltas import Delta
from tether.errors import ModelError, UsageError
from tether.messages import (
    AssistantMessage,
    FailureKind,
    JsonObject,
    ToolResultMessage,
    UserMessage,
)

__all__ = (
    "PASSING_FAILURES",
    "AlternativeModels",
    "ConnectableModel",
    "DeltaStream",
    "Model",
    "ModelMessage",
    "ModelOptions",
    "ModelRequest",
    "RetryPolicy",
    "ThinkingLevel",
    "ToolChoice",
    "ToolSpec",
)

ModelMessage: TypeAlias = UserMessage | AssistantMessage | ToolResultMessage
"""The messages a model can be sent."""

ThinkingLevel: TypeAlias = Literal["off", "minimal", "low", "medium", "high"]

ToolChoice: TypeAlias = Literal["auto", "none", "required"] | tuple[Literal["tool"], str]
"""May the model call tools, must it not, must it; or `("tool", name)`: must it call this one."""

DeltaStream: TypeAlias = AsyncIterator[Delta]
"""A reply as it arrives. An object with `__anext__`, never an async generator: nobody closes those."""


@frozen
class ToolSpec:
    """What a model reads about a tool."""

    name: str
    description: str
    parameters: JsonObject
    """JSON Schema of an object."""


def _as_strings(strings: Iterable[str]) -> tuple[str, ...]:
    # What is not a list is left to the validator; a string would be taken for its characters.
    return tuple(strings) if isinstance(strings, list | tuple) else cast("Any", strings)


def _tool_choice(name: str, value: Any) -> Any:
    match value:
        case None | "auto" | "none" | "required" | ("tool", str()):
            return value
        case _:
            raise UsageError(
                f"{name} must be 'auto', 'none', 'required' or ('tool', name), not {value!r}"
            )


@frozen(kw_only=True)
class ModelOptions:
    """What can be asked of any model; None leaves it to the provider.

    Raises:
        UsageError: an option is none that any model could have.
    """

    temperature: float | None = field(default=None, validator=field_check(optional(number)))
    max_output_tokens: int | None = field(
        default=None, validator=field_check(optional(whole_number(1)))
    )
    stop_sequences: tuple[str, ...] = field(
        default=(), converter=_as_strings, validator=field_check(strings)
    )
    thinking: ThinkingLevel | None = field(
        default=None, validator=field_check(optional(one_of(ThinkingLevel)))
    )
    tool_choice: ToolChoice | None = field(default=None, validator=field_check(_tool_choice))
    cache: bool = field(default=True, validator=field_check(instance_of(bool, "True or False")))
    """Mark what repeats from request to request, where the provider wants it marked."""
    extra: Mapping[str, Any] = field(factory=dict, validator=field_check(mapping))
    """Merged into the body of the request, last, for whatever is not known here."""


@frozen(kw_only=True)
class ModelRequest:
    """One question to a model: all it needs to answer."""

    messages: Sequence[ModelMessage]
    system: str | None = None
    tools: Sequence[ToolSpec] = ()
    options: ModelOptions = field(factory=ModelOptions)


@runtime_checkable
class ConnectableModel(Protocol):
    """A model that can share connections between requests; a run connects its models for as long as it goes."""

    def connected(self) -> "AbstractAsyncContextManager[Model]":
        """Open what the requests of a block share.

        Returns:
            A context manager that gives the model to ask.
        """
        ...


@runtime_checkable
class Model(Protocol):
    """A model: it has a name, and streams a reply to a request."""

    @property
    def name(self) -> str:
        """What people call it, such as `anthropic:claude-sonnet-4-5`."""
        ...

    def stream(self, request: ModelRequest) -> AbstractAsyncContextManager[DeltaStream]:
        """Ask, and open the reply.

        Args:
            request: the question.

        Returns:
            A context manager that gives the deltas of the reply in order, a `ReplyEnd` last. Leaving it
            closes the connection.

        Raises:
            ModelError: on entering or while iterating.

        Cancellation:
            At every await; the connection is closed before the block is left.
        """
        ...


PASSING_FAILURES: Final[frozenset[FailureKind]] = frozenset(
    {"rate_limit", "overloaded", "server", "timeout", "connection"}
)
"""Kinds of failure that a later request, or one to another model, need not meet."""


def _as_kinds(kinds: Iterable[Any]) -> frozenset[FailureKind]:
    # What is not a set of strings is left to the validator; a string would be taken for its characters.
    named = isinstance(kinds, list | tuple | AbstractSet) and all(isinstance(k, str) for k in kinds)
    return frozenset(kinds) if named else cast("Any", kinds)


def _kinds(name: str, value: Any) -> None:
    known = get_args(FailureKind)
    if not isinstance(value, frozenset) or not value <= {*known}:
        raise UsageError(f"{name} must be a set of {', '.join(known)}; not {value!r}")


@frozen(kw_only=True)
class RetryPolicy:
    """Which failures lead to another attempt, how many there are, and how long to wait.

    An agent follows the policy of its model, the attribute `retry`, if it has one. A request is made again only if
    no block of its reply has begun: no text comes twice.

    Raises:
        UsageError: a number makes no sense, or there is no such kind.
    """

    attempts: int = field(default=4, validator=field_check(whole_number(1)))
    """The first one included; 1 means no other."""
    kinds: frozenset[FailureKind] = field(
        default=PASSING_FAILURES, converter=_as_kinds, validator=field_check(_kinds)
    )
    wait_initial: float = field(default=0.5, validator=field_check(number))
    """Seconds before the second attempt; twice as long before each further one, with some jitter."""
    wait_max: float = field(default=30.0, validator=field_check(seconds))
    """Seconds. If the server asks for a longer wait, the error is raised at once."""

    def wants(self, error: Exception) -> bool | float:
        """Decide about a failure.

        Args:
            error: what went wrong.

        Returns:
            False to raise it; the seconds that the server asked for; or True for the next wait of the policy.
        """
        if not isinstance(error, ModelError) or error.kind not in self.kinds:
            return False
        if error.retry_after is None:
            return True
        return error.retry_after if error.retry_after <= self.wait_max else False


@runtime_checkable
class AlternativeModels(Protocol):
    """A model made of several that stand in for each other.

    An agent asks the alternatives one after the other, each with its own `RetryPolicy`, until one begins to answer,
    and publishes a `ModelRetry` event before the next is asked.
    """

    @property
    def alternatives(self) -> Sequence[Model]:
        """The models, in the order in which they are asked; at least one."""
        ...

    def passes_on(self, model: Model, error: ModelError) -> bool:
        """Say whether the next one is asked, where `model` failed before its reply had begun."""
        ...
