"""What a plain tool runs in the event loop from its thread ends with the call."""

import sys
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest
import trio
from attrs import define, field

from tether import Agent, ToolResultMessage, blocking, tool
from tether._scopes.loop_call import LoopCaller
from tether._scopes.threads import run_in_thread
from tether.testing import ScriptedModel, call, check_transcript

GUARD = 60


@define
class Shop:
    """An agent that pays, and what came of it."""

    begun: anyio.Event = field(factory=anyio.Event)
    go_on: anyio.Event = field(factory=anyio.Event)
    told: list[str] = field(factory=list)
    agent: Agent = field(init=False)

    def __attrs_post_init__(self) -> None:
        @tool
        async def pay() -> str:
            """Pay."""
            self.begun.set()
            try:
                await self.go_on.wait()
            finally:
                with anyio.CancelScope(shield=True):
                    for _ in range(5):
                        await anyio.lowlevel.checkpoint()
                self.told.append("cleaned up")
            self.told.append("paid")
            return "paid"

        script = ScriptedModel(call("pay"), "Bought.", call("pay"), "Bought again.")
        self.agent = Agent(script, tools=[pay])


def by_anyio(shop: Shop) -> str:
    return anyio.from_thread.run(shop.agent.prompt, "x").text


def by_trio(shop: Shop) -> str:
    return trio.from_thread.run(shop.agent.prompt, "x").text


async def _buy_in_a_child_task(shop: Shop) -> str:
    texts: list[str] = []

    async def buy() -> None:
        async with shop.agent.run("x") as run:
            texts.append((await run.result()).text)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(buy)
    return texts[0]


def by_trio_from_a_child_task(shop: Shop) -> str:
    return trio.from_thread.run(_buy_in_a_child_task, shop)


def through_another_agent(shop: Shop) -> str:
    @tool
    def buy() -> str:
        """Buy."""
        return by_anyio(shop)

    middle = Agent(ScriptedModel(call("buy"), "Bought.", call("buy"), "Bought again."), tools=[buy])
    return anyio.from_thread.run(middle.prompt, "x").text


ROUTES = [by_anyio, by_trio, by_trio_from_a_child_task, through_another_agent]


@pytest.fixture(params=ROUTES, ids=lambda route: route.__name__)
def route(request: pytest.FixtureRequest, anyio_backend_name: str) -> Any:
    if "by_trio" in request.param.__name__ and anyio_backend_name != "trio":
        pytest.skip("trio is not running")
    return request.param


@define
class Asked:
    """A plain tool that asks, and what it is told."""

    route: Callable[[Shop], str]
    shop: Shop = field(factory=Shop)
    later: list[object] = field(factory=list)
    ended: threading.Event = field(factory=threading.Event)

    def ask(self) -> str:
        """Ask the shop."""
        try:
            return self.route(self.shop)
        finally:
            if sys.exc_info()[0] is not None:
                self._try_again()
            self.ended.set()

    def _try_again(self) -> None:
        tries: list[Callable[[], object]] = [
            lambda: self.route(self.shop),
            lambda: anyio.from_thread.run(anyio.lowlevel.checkpoint),
            lambda: anyio.from_thread.run_sync(len, "x"),
            anyio.from_thread.check_cancelled,
        ]
        for attempt in tries:
            try:
                self.later.append(attempt())
            except ExceptionGroup as group:  # of a task group of the route's own
                self.later += [type(error) for error in group.exceptions]
            except BaseException as error:  # noqa: BLE001 - it is looked at
                self.later.append(type(error))

    def given_up(self, cancelled: type[BaseException]) -> None:
        """Check what a thread meets that was given up."""
        assert self.later == [CancelledError, CancelledError, CancelledError, cancelled]


@pytest.mark.parametrize("way", ["parent", "cancel_tool", "timeout", "abort", "steer", "block"])
async def test_a_run_that_a_thread_began_ends_with_the_call(
    way: str, route: Callable[[Shop], str]
) -> None:
    asked = Asked(route)
    shop = asked.shop
    timeout = 0.3 if way == "timeout" else None
    made = tool(name="ask", timeout=timeout)(asked.ask)
    agent = Agent(ScriptedModel(call("ask", id="ask"), "Gone on."), tools=[made])
    with anyio.fail_after(GUARD):
        with anyio.CancelScope() as parent:
            async with agent.run("go") as run:
                await shop.begun.wait()
                match way:
                    case "parent":
                        parent.cancel()
                    case "cancel_tool":
                        run.cancel_tool("ask")
                    case "abort":
                        agent.abort()
                    case "steer":
                        agent.steer("Stop.", interrupt=True)
                    case _:
                        pass
                if way != "block":
                    await run.result()
        # It has ended before the scope was left.
        assert shop.told == ["cleaned up"]
        assert not shop.agent.state.running
        shop.go_on.set()
        await anyio.to_thread.run_sync(asked.ended.wait)
    assert shop.told == ["cleaned up"]
    asked.given_up(anyio.get_cancelled_exc_class())
    for one in (agent, shop.agent):
        check_transcript(one.messages)


async def test_a_run_that_a_thread_began_comes_to_its_end(route: Callable[[Shop], str]) -> None:
    asked = Asked(route)
    asked.shop.go_on.set()
    agent = Agent(ScriptedModel(call("ask"), "Gone on."), tools=[tool(asked.ask)])
    with anyio.fail_after(GUARD):
        assert (await agent.prompt("go")).text == "Gone on."
    assert asked.shop.told == ["cleaned up", "paid"]
    assert outcomes(agent) == [("ok", "Bought.")]


async def test_what_fails_in_the_event_loop_fails_in_the_thread() -> None:
    seen: list[object] = []
    error = LookupError("nothing there")

    async def fail() -> None:
        raise error

    @tool
    def look() -> str:
        """Look."""
        try:
            anyio.from_thread.run(fail)
        except LookupError as caught:
            seen.append(caught)
        return anyio.from_thread.run_sync(lambda: "looked")

    agent = Agent(ScriptedModel(call("look"), "Gone on."), tools=[look])
    with anyio.fail_after(GUARD):
        await agent.prompt("go")
    assert seen == [error]
    assert outcomes(agent) == [("ok", "looked")]


async def test_what_a_thread_gave_to_somebody_else_outlives_its_call() -> None:
    shop = Shop()
    async with anyio.from_thread.BlockingPortal() as portal:

        @tool
        def order() -> str:
            """Have it bought by whoever owns the portal."""
            portal.start_task_soon(shop.agent.prompt, "x")
            return "ordered"

        agent = Agent(ScriptedModel(call("order"), "Gone on."), tools=[order])
        with anyio.fail_after(GUARD):
            await agent.prompt("go")
            await shop.begun.wait()
            assert outcomes(agent) == [("ok", "ordered")]
            shop.go_on.set()
    assert shop.told == ["cleaned up", "paid"]


def by_asyncio_run(agent: Agent) -> str:
    return anyio.run(agent.prompt, "x", backend="asyncio").text


def by_trio_run(agent: Agent) -> str:
    return anyio.run(agent.prompt, "x", backend="trio").text


def by_a_portal(agent: Agent) -> str:
    with anyio.from_thread.start_blocking_portal() as portal:
        text: str = portal.call(agent.prompt, "x").text
        return text


def by_blocking(agent: Agent) -> str:
    with blocking.run(agent, "x") as run:
        for _ in run:
            pass
        return run.result().text


def by_blocking_in_a_pool(agent: Agent) -> str:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(copy_context().run, by_blocking, agent).result()


OTHER_LOOPS = [by_asyncio_run, by_trio_run, by_a_portal, by_blocking, by_blocking_in_a_pool]


@pytest.mark.parametrize("ask", OTHER_LOOPS, ids=lambda ask: ask.__name__)
async def test_a_run_in_an_event_loop_of_the_threads_own_comes_to_its_end(
    ask: Callable[[Agent], str],
) -> None:
    inner = Agent(ScriptedModel("Hello."))
    made = tool(name="ask", description="Ask.")(lambda: ask(inner))
    agent = Agent(ScriptedModel(call("ask"), "Gone on."), tools=[made])
    with anyio.fail_after(GUARD):
        await agent.prompt("go")
    assert outcomes(agent) == [("ok", "Hello.")]


@pytest.mark.parametrize("way", ["parent", "cancel_tool", "timeout"])
@pytest.mark.parametrize("ask", OTHER_LOOPS, ids=lambda ask: ask.__name__)
async def test_a_run_in_an_event_loop_of_the_threads_own_ends_with_the_call(
    ask: Callable[[Agent], str], way: str
) -> None:
    begun, ended = threading.Event(), threading.Event()
    told: list[str] = []

    @tool
    async def pay() -> None:
        """Pay."""
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                for _ in range(5):
                    await anyio.lowlevel.checkpoint()
            told.append("cleaned up")

    def ask_the_shop() -> None:
        """Ask the shop."""
        try:
            ask(shop)
        finally:
            ended.set()

    shop = Agent(ScriptedModel(call("pay")), tools=[pay])
    made = tool(timeout=1 if way == "timeout" else None)(ask_the_shop)
    agent = Agent(ScriptedModel(call("ask_the_shop", id="ask"), "Gone on."), tools=[made])
    with anyio.fail_after(GUARD):
        with anyio.CancelScope() as parent:
            async with agent.run("go") as run:
                await anyio.to_thread.run_sync(begun.wait)
                if way == "parent":
                    parent.cancel()
                elif way == "cancel_tool":
                    run.cancel_tool("ask")
                await run.result()
        # It has ended before the call did.
        assert told == ["cleaned up"]
        await anyio.to_thread.run_sync(ended.wait)
    for one in (agent, shop):
        check_transcript(one.messages)


async def test_a_plain_tool_cannot_end_the_program() -> None:
    @tool
    def leave() -> None:
        """Leave."""
        sys.exit(3)

    @tool
    async def stay() -> str:
        """Stay."""
        return "here"

    agent = Agent(ScriptedModel([call("leave"), call("stay")], "Gone on."), tools=[leave, stay])
    with anyio.fail_after(GUARD):
        assert (await agent.prompt("go")).text == "Gone on."
    assert outcomes(agent) == [("error", "RuntimeError: leave called sys.exit(3)"), ("ok", "here")]


async def test_a_plain_tool_with_an_event_loop_of_its_own_cannot_end_the_program_either() -> None:
    async def leave_in_a_task() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.lowlevel.checkpoint)
            raise SystemExit(3)

    @tool
    def leave() -> None:
        """Leave."""
        anyio.run(leave_in_a_task, backend="trio")

    agent = Agent(ScriptedModel(call("leave"), "Gone on."), tools=[leave])
    with anyio.fail_after(GUARD):
        assert (await agent.prompt("go")).text == "Gone on."
    assert outcomes(agent) == [("error", "RuntimeError: leave called sys.exit")]


@pytest.mark.parametrize("plain", [True, False])
async def test_an_exception_whose_text_cannot_be_had_is_a_result(plain: bool) -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise ValueError("no words")

    def fail() -> None:
        """Fail."""
        raise MuteError

    async def fail_async() -> None:
        """Fail."""
        raise MuteError

    made = tool(name="fail")(fail if plain else fail_async)
    agent = Agent(ScriptedModel(call("fail"), "Gone on."), tools=[made])
    with anyio.fail_after(GUARD):
        assert (await agent.prompt("go")).text == "Gone on."
    assert outcomes(agent) == [("error", "MuteError: <no text: making it raised ValueError>")]


@pytest.mark.parametrize("way", [anyio.from_thread.run, anyio.from_thread.run_sync])
async def test_a_thread_that_asks_an_event_loop_that_ends_is_let_go(
    monkeypatch: pytest.MonkeyPatch, way: Callable[..., object]
) -> None:
    asked, let_go = anyio.Event(), threading.Event()
    ask_in_time = LoopCaller._post

    def ask_too_late(caller: LoopCaller, _: Callable[[], object]) -> None:
        ask_in_time(caller, asked.set)

    def work() -> None:
        monkeypatch.setattr(LoopCaller, "_post", ask_too_late)
        try:
            way(anyio.sleep, 0)
        except CancelledError:
            let_go.set()

    async def work_in_thread() -> None:
        await run_in_thread(work, limiter=anyio.CapacityLimiter(1))

    with anyio.fail_after(GUARD):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work_in_thread)
            await asked.wait()
            tasks.cancel_scope.cancel()
        assert await anyio.to_thread.run_sync(let_go.wait, GUARD)


def outcomes(agent: Agent) -> list[tuple[str, str]]:
    return [(m.outcome, m.text) for m in agent.messages if isinstance(m, ToolResultMessage)]
