"""The deadline of a request and its reply: where it stands while a run reads, and while it waits for others."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio
import httpx
import pytest
from anyio.lowlevel import checkpoint
from tests.models._http.test_client import WHOLE, answering, chunk, model_at, stalling
from tests.models.replay import Exchange, events, serving

from tether import Agent, Event, MessageUpdate, ModelError, UserMessage
from tether.deltas import ReplyEnd, TextDelta
from tether.model import DeltaStream, Model, ModelRequest
from tether.models._http.reply_stream import ReplyStream
from tether.models._http.waiting import Waiting
from tether.taps import Tap


class Followed:
    """An agent of which it is known where the deadline of its reply stands."""

    def __init__(self, model: Model) -> None:
        self.agent = Agent(model)
        self.agent.around_model(self._keep)

    @asynccontextmanager
    async def _keep(self, request: ModelRequest, proceed: Any) -> AsyncIterator[DeltaStream]:
        async with proceed(request) as deltas:
            self._reply = cast("ReplyStream", deltas)
            yield deltas
        assert self.deadline == math.inf

    @property
    def deadline(self) -> float:
        waiting: Waiting = self._reply._waiting
        return waiting.scope.deadline


class Deadlines(Tap):
    """Where the deadline stood when each piece of text came; the next is sent then."""

    def __init__(self, followed: Followed) -> None:
        self._followed = followed
        self._came = anyio.Event()
        self.seen: list[float] = []

    def published(self, event: Event) -> None:
        if isinstance(event, MessageUpdate):
            self.seen.append(self._followed.deadline)
            self._came.set()

    async def next(self) -> None:
        await self._came.wait()
        self._came = anyio.Event()


async def test_a_run_leaves_the_deadline_where_it_is_from_one_piece_of_text_to_the_next() -> None:
    async def piece_by_piece(exchange: Exchange) -> None:
        await exchange.start()
        for _ in range(20):
            await exchange.send(events(chunk("x")))
            await tap.next()
        await exchange.send(WHOLE)

    async with serving(piece_by_piece) as server:
        followed = Followed(model_at(server, idle_timeout=1e6))
        tap = Deadlines(followed)
        followed.agent.tap(tap)
        with anyio.fail_after(60):
            assert (await followed.agent.prompt("hi")).text == "x" * 20 + "Hello"
    first, *others = tap.seen[:20]
    assert first == math.inf  # it comes with the beginning of the message
    assert len(set(others)) == 1
    assert anyio.current_time() < others[0] < math.inf


async def test_the_deadline_is_taken_away_while_a_listener_has_the_word() -> None:
    async with serving(answering(*[events(chunk("x"))] * 20, WHOLE)) as server:
        followed = Followed(model_at(server))
        seen: list[float] = []

        @followed.agent.hook("on_event")
        async def listen(event: Event) -> None:
            if isinstance(event, MessageUpdate):
                await checkpoint()
                seen.append(followed.deadline)

        await followed.agent.prompt("hi")
    assert len(seen) >= 20
    assert set(seen) == {math.inf}


async def test_the_deadline_is_taken_away_while_a_consumer_has_no_room() -> None:
    async with serving(answering(*[events(chunk("x"))] * 100, WHOLE)) as server:
        followed = Followed(model_at(server))
        async with followed.agent.run("hi") as run:
            async for event in run:
                if isinstance(event, MessageUpdate):
                    break
            with anyio.fail_after(60):
                while run.statistics().tasks_waiting_send == 0:
                    await anyio.wait_all_tasks_blocked()
            assert followed.deadline == math.inf
            assert (await run.result()).text == "x" * 100 + "Hello"


async def test_a_run_fails_when_the_server_goes_silent_within_its_answer() -> None:
    async with stalling(*[events(chunk("Hel"))] * 3) as (server, _):
        with pytest.raises(ModelError, match=r"was silent for 0\.3 s within its answer"):
            await Agent(model_at(server, idle_timeout=0.3)).prompt("hi")


async def test_a_deadline_that_is_set_again_comes_no_earlier_and_a_sixteenth_later_at_most() -> (
    None
):
    waiting = Waiting()
    for seconds in (16_000.0, 1_600.0, 16_000.0):
        seen: list[float] = []
        for _ in range(20):
            before = anyio.current_time()
            waiting.allow_again(seconds, httpx.ReadTimeout)
            now = anyio.current_time()
            assert before + seconds <= waiting.scope.deadline
            assert waiting.scope.deadline <= now + seconds * 17 / 16
            seen.append(waiting.scope.deadline)
            await checkpoint()
        assert len(set(seen)) == 1
    waiting.stop()
    assert waiting.scope.deadline == math.inf


class Passing:
    """Deltas behind something that waits itself, and passes on what it does not have."""

    def __init__(self, deltas: DeltaStream, seen: list[float]) -> None:
        self._deltas = deltas
        self._seen = seen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._deltas, name)

    def __aiter__(self) -> "Passing":
        return self

    async def __anext__(self) -> Any:
        self._seen.append(cast("ReplyStream", self._deltas)._waiting.scope.deadline)
        await checkpoint()
        return await anext(aiter(self._deltas))


async def test_a_wrapper_that_passes_on_attributes_makes_no_promise() -> None:
    seen: list[float] = []

    @asynccontextmanager
    async def wrap(request: ModelRequest, proceed: Any) -> AsyncIterator[DeltaStream]:
        async with proceed(request) as deltas:
            yield Passing(deltas, seen)

    async with serving(answering(*[events(chunk("x"))] * 5, WHOLE)) as server:
        agent = Agent(model_at(server))
        agent.around_model(wrap)
        await agent.prompt("hi")
    assert set(seen) == {math.inf}


async def test_a_deadline_that_passes_as_a_piece_comes_is_a_timeout() -> None:
    async with serving(answering(*[events(chunk("x"))] * 5, WHOLE)) as server:
        followed = Followed(model_at(server))

        @followed.agent.hook("on_event")
        async def listen(event: Event) -> None:
            if isinstance(event, MessageUpdate):
                # As where the loop was held up for so long: the piece and the end of the time are seen together.
                followed._reply._waiting.scope.cancel()
                await checkpoint()

        with pytest.raises(ModelError, match="was silent for") as caught:
            await followed.agent.prompt("hi")
    assert caught.value.kind == "timeout"


async def test_a_deadline_that_passes_as_the_end_comes_leaves_the_reply_whole() -> None:
    async with serving(answering(WHOLE)) as server:
        asked = ModelRequest(messages=[UserMessage("hi")])
        text = ""
        async with model_at(server).stream(asked) as deltas:
            async for delta in deltas:
                text += delta.text if isinstance(delta, TextDelta) else ""
                if isinstance(delta, ReplyEnd):
                    cast("ReplyStream", deltas)._waiting.scope.cancel()
            await checkpoint()
    assert text == "Hello"
