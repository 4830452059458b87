"""What a run opens once it is needed, and closes when it is over: its models, and the place for tasks of its tools."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack

from tether._engine.background import Background
from tether.model import ConnectableModel, Model

__all__ = ("Resources",)


class Resources(AsyncExitStack):
    """The resources of one run: a context manager, left when the run is over.

    Args:
        open_background: enters the place for tasks that outlive the calls which start them.
    """

    def __init__(
        self, open_background: Callable[[], AbstractAsyncContextManager[Background]]
    ) -> None:
        super().__init__()
        # By identity, since models need not be hashable; the model is kept so that its identity is.
        self._models: dict[int, tuple[Model, Model]] = {}
        self._open_background = open_background
        self._background: Background | None = None

    async def connected(self, model: Model) -> Model:
        """Return the model to ask: connected, where it can be.

        Raises:
            Exception: what opening the connection raised.

        Cancellation:
            While it connects; it is then connected anew when it is next asked for.
        """
        if not isinstance(model, ConnectableModel):
            return model
        known = self._models.get(id(model))
        if known is None:
            known = (model, await self.enter_async_context(model.connected()))
            self._models[id(model)] = known
        return known[1]

    async def background(self) -> Background:
        """Return the place for tasks; to be called in the task of the run, outside any scope that it leaves sooner.

        Cancellation:
            It does not wait.
        """
        if self._background is None:
            self._background = await self.enter_async_context(self._open_background())
        return self._background
