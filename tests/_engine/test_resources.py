"""A run connects each of its models once, and lets go of them when it is over."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from tether._engine.background import Background, open_background
from tether._engine.resources import Resources
from tether.model import DeltaStream, Model, ModelRequest
from tether.testing import ScriptedModel


class Connectable:
    """A model that counts its connections; it cannot be hashed."""

    __hash__ = None  # type: ignore[assignment]  # as models may be
    name = "connectable"

    def __init__(self, model: Model, log: list[str], *, fails: bool = False) -> None:
        self._model = model
        self._log = log
        self._fails = fails

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Connectable)

    def stream(self, request: ModelRequest) -> AbstractAsyncContextManager[DeltaStream]:
        return self._model.stream(request)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Model]:
        if self._fails:
            raise OSError("no route")
        self._log.append("open")
        try:
            yield self._model
        finally:
            self._log.append("close")


async def test_a_model_is_connected_once_and_one_that_equals_it_by_itself() -> None:
    log: list[str] = []
    inner = ScriptedModel()
    first, second = Connectable(inner, log), Connectable(inner, log)
    async with Resources(open_background) as resources:
        assert await resources.connected(first) is inner
        assert await resources.connected(first) is inner
        assert log == ["open"]
        await resources.connected(second)
        assert log == ["open", "open"]
    assert log == ["open", "open", "close", "close"]


async def test_a_model_without_connections_is_asked_as_it_is() -> None:
    model = ScriptedModel()
    async with Resources(open_background) as resources:
        assert await resources.connected(model) is model


async def test_one_that_cannot_be_opened_leaves_the_others_open_until_the_end() -> None:
    log: list[str] = []
    async with Resources(open_background) as resources:
        await resources.connected(Connectable(ScriptedModel(), log))
        with pytest.raises(OSError, match="no route"):
            await resources.connected(Connectable(ScriptedModel(), log, fails=True))
        assert log == ["open"]
    assert log == ["open", "close"]


async def test_the_place_for_tasks_is_opened_once_it_is_asked_for() -> None:
    log: list[str] = []

    @asynccontextmanager
    async def open_logged() -> AsyncIterator[Background]:
        log.append("open")
        async with open_background() as background:
            yield background
        log.append("close")

    async with Resources(open_logged) as resources:
        assert log == []
        assert await resources.background() is await resources.background()
        assert log == ["open"]
    assert log == ["open", "close"]
