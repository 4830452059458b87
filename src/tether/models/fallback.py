"""Models that stand in for each other. No I/O of its own."""

from collections import deque
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from attrs import frozen

from tether._scopes.exceptions import PlainModelErrors
from tether.deltas import Delta, ReplyInfo
from tether.errors import ModelError, UsageError
from tether.messages import FailureKind
from tether.model import PASSING_FAILURES, DeltaStream, Model, ModelRequest
from tether.models.catalogue import model_from_name

__all__ = ("Fallback", "fallback")


@frozen
class Fallback:
    """Several models as one: the first that answers. Made by `fallback`.

    An agent follows each model's own retry policy before it turns to the next, and reports both as `ModelRetry`
    events. `stream` alone makes one request to each.
    """

    alternatives: Sequence[Model]
    on: Collection[FailureKind] = PASSING_FAILURES

    @property
    def name(self) -> str:
        """The names of all, in order."""
        return " or ".join(model.name for model in self.alternatives)

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[DeltaStream]:
        """Ask the models in order until one begins to answer; see `Model.stream`."""
        async with AsyncExitStack() as opened:
            yield await self._begun(request, opened)

    async def _begun(self, request: ModelRequest, opened: AsyncExitStack) -> DeltaStream:
        for model in self.alternatives:
            try:
                with PlainModelErrors():
                    async with AsyncExitStack() as trying:
                        deltas = await trying.enter_async_context(model.stream(request))
                        beginning = await _beginning(deltas)
                        opened.push_async_exit(trying.pop_all())
            except ModelError as error:
                if not self.passes_on(model, error):
                    raise
            else:
                return _Begun(beginning, deltas)
        raise AssertionError("the last model either answers or raises")

    def passes_on(self, model: Model, error: ModelError) -> bool:
        """Decide whether the next model is asked after one failed before its reply had begun."""
        return error.kind in self.on and model is not self.alternatives[-1]


def fallback(*models: Model | str, on: Collection[FailureKind] = PASSING_FAILURES) -> Fallback:
    """Make one model from several: if one fails, the next is asked.

    The next is asked only if no block of a reply has begun: no text comes twice.

    Args:
        *models: models or their names, in order.
        on: the kinds of failure after which the next one is asked.

    Returns:
        The model.

    Raises:
        UsageError: there are fewer than two.
        UnknownModelError: there is no model of such a name.
    """
    if len(models) < 2:
        raise UsageError(
            "fallback needs at least two models: the first to ask, and one that takes over"
        )
    made = [model_from_name(model) if isinstance(model, str) else model for model in models]
    return Fallback(tuple(made), frozenset(on))


async def _beginning(deltas: DeltaStream) -> list[Delta]:
    """Read a reply until a block of it begins, or until it is over."""
    read: list[Delta] = []
    async for delta in deltas:
        read.append(delta)
        if not isinstance(delta, ReplyInfo):
            return read
    raise ModelError("the reply stopped before it began", kind="malformed")


class _Begun:
    """A reply whose first deltas have been read already."""

    def __init__(self, beginning: list[Delta], deltas: DeltaStream) -> None:
        self._read = deque(beginning)
        self._deltas = deltas

    def __aiter__(self) -> "_Begun":
        return self

    async def __anext__(self) -> Delta:
        return self._read.popleft() if self._read else await anext(self._deltas)
