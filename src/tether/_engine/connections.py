"""Connect the models of a run, once each, for as long as the run goes."""

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from tether.model import ConnectableModel, Model

__all__ = ("Connections",)


class Connections:
    """The connected models of one run: a context manager, left when the run is over."""

    __slots__ = ("_models", "_opened")

    def __init__(self) -> None:
        self._opened = AsyncExitStack()
        # By identity, since models need not be hashable; the model is kept so that its identity is.
        self._models: dict[int, tuple[Model, Model]] = {}

    async def connected(self, model: Model) -> Model:
        """Return the model to ask: connected, where it can be.

        Raises:
            Exception: what opening the connection raised.

        Cancellation:
            While it connects; it is then asked to connect again next time.
        """
        if not isinstance(model, ConnectableModel):
            return model
        known = self._models.get(id(model))
        if known is None:
            known = (model, await self._opened.enter_async_context(model.connected()))
            self._models[id(model)] = known
        return known[1]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return await self._opened.__aexit__(kind, error, traceback)
