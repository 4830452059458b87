"""Connect the models of a run, once each, for as long as the run goes."""

from contextlib import AsyncExitStack

from tether.model import ConnectableModel, Model

__all__ = ("Connections",)


class Connections(AsyncExitStack):
    """The connected models of one run: a context manager, left when the run is over."""

    def __init__(self) -> None:
        super().__init__()
        # By identity, since models need not be hashable; the model is kept so that its identity is.
        self._models: dict[int, tuple[Model, Model]] = {}

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
