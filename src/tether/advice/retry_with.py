"""Where a model fails, another one is asked."""

from collections.abc import Collection
from contextlib import AbstractAsyncContextManager

from attrs import frozen

from tether import (
    AroundModel,
    DeltaStream,
    FailureKind,
    Model,
    ModelRequest,
    ProceedModel,
    fallback,
)

__all__ = ("retry_with",)

PASSING: Collection[FailureKind] = ("rate_limit", "overloaded", "server", "timeout", "connection")


@frozen
class _Asked:
    """The model that advice is around, as a model."""

    name: str
    proceed: ProceedModel

    def stream(self, request: ModelRequest) -> AbstractAsyncContextManager[DeltaStream]:
        return self.proceed(request)


def retry_with(model: Model | str, *, on: Collection[FailureKind] = PASSING) -> AroundModel:
    """Make advice around the model that asks another one where it fails before it says anything.

    Args:
        model: who is asked then, or its name.
        on: for which kinds of failure.

    Returns:
        The advice, for `agent.around_model`.
    """
    return lambda request, proceed: fallback(_Asked("", proceed), model, on=on).stream(request)
