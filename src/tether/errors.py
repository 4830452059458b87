"""Every exception that tether raises, by whose fault it is.

    TetherError
    |-- UsageError                 the caller's: tether was used in a way it cannot be
    |   |-- BusyError              what was asked for is in use
    |   |   `-- AgentBusyError     a run is going already
    |   |-- NothingToContinueError a run without a prompt, and nothing to continue from
    |   |-- ToolDefinitionError    a function or schema that cannot be a tool
    |   `-- UnknownModelError      a model name that names nothing
    |-- DecodeError                the data's: JSON that is not a message or event, with the path
    |-- ModelError                 the provider's, or the wire's: `kind` says which
    |-- ArgumentsError             the model's: arguments that do not fit; it reads why, and may repair
    |-- OutputError                the model's: no result of the type that was asked for
    |-- LostClaimError             another writer's: it has taken the conversation over
    |-- WorkerLostError            the cluster's: the worker of a run is gone, or does not answer
    `-- ConsumerTooSlowError       the consumer's: a branch with `when_full="fail"` fell behind

What anyio has a name for keeps it: `anyio.ClosedResourceError`, `anyio.BrokenResourceError`,
`anyio.BusyResourceError`, `anyio.WouldBlock`. Cancellation is never wrapped.
"""

from collections.abc import Sequence
from typing import Any

from tether.messages import AssistantMessage, Failure, FailureKind

__all__ = (
    "AgentBusyError",
    "ArgumentsError",
    "BusyError",
    "ConsumerTooSlowError",
    "DecodeError",
    "LostClaimError",
    "ModelError",
    "NothingToContinueError",
    "OutputError",
    "TetherError",
    "ToolDefinitionError",
    "UnknownModelError",
    "UsageError",
    "WorkerLostError",
)


class TetherError(Exception):
    """The root of the tree. Each of them can be pickled and copied, notes included."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Have it made anew as it is: `__init__` takes something else than the text that it makes of it."""
        state = dict(self.__dict__)
        if "__notes__" in state:
            state["__notes__"] = [*state["__notes__"]]
        return _made_anew, (type(self), self.args), state


def _made_anew(kind: type[TetherError], args: tuple[Any, ...]) -> TetherError:
    error = kind.__new__(kind)
    error.args = args
    return error


class UsageError(TetherError):
    """tether was used in a way it cannot be.

    Attributes:
        message: what was wrong and what would be right, for anyone.
        hint: what else Python code may do; it ends the text of the error, and is not in `message`.
    """

    def __init__(self, message: str = "", *, hint: str = "") -> None:
        super().__init__(message + hint)
        self.message: str = message
        self.hint: str = hint


class BusyError(UsageError):
    """What was asked for is in use: another writes to the conversation.

    Attributes:
        retry_after: seconds until the claim of the other runs out, if it is not renewed; None where it does not.
    """

    def __init__(
        self, message: str = "", *, hint: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.retry_after: float | None = retry_after


class AgentBusyError(BusyError):
    """A run of this agent is going already."""


class NothingToContinueError(UsageError):
    """A run was started without a prompt, and there is nothing to continue from."""


class ToolDefinitionError(UsageError):
    """A function or a schema cannot be made a tool."""


class UnknownModelError(UsageError):
    """A model name names nothing that is known."""


class DecodeError(TetherError):
    """JSON that is not a message, event or entry; the text names the path that is wrong.

    Attributes:
        path: where in the document, such as `$.content[0].text`.
    """

    def __init__(self, reason: str, *, path: str = "$") -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path


class ModelError(TetherError):
    """A model, or the way to it, failed.

    Attributes:
        kind: what kind of failure it is.
        status: the HTTP status, where there was one.
        request_id: the provider's name for the request, where it gave one.
        retry_after: seconds the provider asked us to wait, where it did.
        partial: the reply as far as it had arrived, where some had.
        closest: names of models like the one that was not found, where some are known.
        failed_generation: what the model wrote, where its server could not read the call in it and refused the reply.
        hint: where to look, for a person; part of the text of the error, and not of `message`.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: FailureKind,
        status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        partial: AssistantMessage | None = None,
        closest: Sequence[str] = (),
        failed_generation: str | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.kind: FailureKind = kind
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after
        self.partial = partial
        self.closest: tuple[str, ...] = tuple(closest)
        self.failed_generation = failed_generation
        self.hint = hint

    @property
    def failure(self) -> Failure:
        """The same as data, for a transcript."""
        return Failure(self.kind, self.message, self.status, self.request_id)

    def __str__(self) -> str:
        about = [self.kind.replace("_", " ")]
        if self.status is not None:
            about.append(f"HTTP {self.status}")
        if self.request_id is not None:
            about.append(f"request {self.request_id}")
        hint = f"; {self.hint}" if self.hint else ""
        closest = f"; did you mean {' or '.join(self.closest)}?" if self.closest else ""
        return f"{self.message} ({', '.join(about)}){hint}{closest}"


class ArgumentsError(TetherError):
    """A tool call's arguments do not fit the tool's parameters.

    Attributes:
        faults: one sentence for each fault, each naming its parameter.
    """

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults: tuple[str, ...] = tuple(faults)


class OutputError(TetherError):
    """A run has ended without a result of the type that was asked for; its transcript is valid.

    Attributes:
        attempts: what was wrong with each attempt.
    """

    def __init__(self, message: str, *, attempts: Sequence[str] = ()) -> None:
        super().__init__("; ".join([message, *dict.fromkeys(attempts)]))
        self.attempts: tuple[str, ...] = tuple(attempts)


class LostClaimError(TetherError):
    """Another writer has taken the conversation over: this one writes nothing more."""


class WorkerLostError(TetherError):
    """The worker of a run is gone, or does not answer. The conversation holds what had arrived, and is valid.

    A run without a prompt goes on with it on another worker; see `tether.ray`.
    """


class ConsumerTooSlowError(TetherError):
    """A branch that asked to fail when full was full."""
