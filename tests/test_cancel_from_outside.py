"""However a run is cancelled from outside, its caller sees what it would see around a plain `await`.

Each way of cancelling is tried round an `await` of nothing at all, then round each way of waiting for an agent. What
comes out must be the same; and then the agent is idle, its transcript is valid, its next request is answered, its
tools have cleaned up, no task is left, and nobody has complained behind the caller's back.
"""

import asyncio
import gc
import math
import signal
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal

import anyio
import pytest
import trio
from attrs import define, field, frozen
from tests.waiting import until_blocked

from tether import (
    Agent,
    AssistantMessage,
    MessageUpdate,
    ModelRequest,
    Text,
    UserMessage,
    blocking,
    tool,
)
from tether.testing import Pause, ScriptedModel, call, check_transcript

pytestmark = pytest.mark.usefixtures("quick_garbage_collection")

GUARD = 10


@define
class Waiting:
    """Something that is waited for in vain."""

    wait: Callable[[], Coroutine[Any, Any, object]]
    reached: anyio.Event
    """Set once it is being waited for."""
    agent: Agent | None = None
    cleaned: list[str] = field(factory=list)
    """What its tools noted when they had cleaned up."""

    async def check(self) -> None:
        """See that the agent can go on."""
        if self.agent is None:
            return
        assert not self.agent.state.running
        check_transcript(self.agent.messages)
        assert self.cleaned in ([], ["cleaned"])
        assert (await self.agent.prompt("Go on.")).text == "Gone on."
        check_transcript(self.agent.messages)


def nothing() -> Waiting:
    reached = anyio.Event()

    async def wait() -> None:
        reached.set()
        await anyio.sleep_forever()

    return Waiting(wait, reached)


def task_groups_in_tasks() -> Waiting:
    """What a child is made of. Where one is cancelled natively, anyio forgets one of the task's requests."""
    reached = anyio.Event()

    async def inner() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep_forever)
            reached.set()
            await anyio.sleep_forever()

    async def wait() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(inner)
            await anyio.sleep_forever()

    return Waiting(wait, reached)


def _prompt(first: Any, reached: anyio.Event, *tools: Any) -> Waiting:
    agent = Agent(ScriptedModel(first, "Gone on."), tools=tools)
    return Waiting(lambda: agent.prompt("go"), reached, agent)


def a_reply() -> Waiting:
    reached = anyio.Event()
    return _prompt(["Hel", Pause(reached=reached)], reached)


def a_tool() -> Waiting:
    reached = anyio.Event()

    @tool
    async def hang() -> None:
        """Hang."""
        reached.set()
        await anyio.sleep_forever()

    return _prompt([call("hang"), call("hang")], reached, hang)


def a_tool_that_cleans_up() -> Waiting:
    reached = anyio.Event()

    @tool
    async def hang() -> None:
        """Hang, and take a while to stop."""
        try:
            reached.set()
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                for _ in range(5):
                    await anyio.lowlevel.checkpoint()
                waiting.cleaned.append("cleaned")

    waiting = _prompt(call("hang"), reached, hang)
    return waiting


def a_child() -> Waiting:
    reached = anyio.Event()
    child = Agent(ScriptedModel(["Hel", Pause(reached=reached)]), name="child")
    return _prompt(call("ask", request="?"), reached, child.as_tool("ask", "Ask."))


def an_event() -> Waiting:
    reached = anyio.Event()
    agent = Agent(ScriptedModel(["Hel", Pause(reached=reached)], "Gone on."))

    async def wait() -> None:
        async with agent.run("go") as run:
            async for _ in run:
                pass

    return Waiting(wait, reached, agent)


def a_block_of_ones_own() -> Waiting:
    reached = anyio.Event()
    agent = Agent(ScriptedModel(["Hel", Pause()], "Gone on."))

    async def wait() -> None:
        async with agent.run("go", max_buffer_size=0) as run:
            async for event in run:
                if isinstance(event, MessageUpdate):
                    reached.set()
                    await anyio.sleep_forever()

    return Waiting(wait, reached, agent)


def a_chat() -> Waiting:
    waiting = a_reply()
    assert waiting.agent is not None
    chat = waiting.agent.chat()
    waiting.wait = lambda: chat.asend("go")
    return waiting


def a_model_alone() -> Waiting:
    reached = anyio.Event()
    model = ScriptedModel(["Hel", Pause(reached=reached)])

    async def wait() -> None:
        async with model.stream(ModelRequest(messages=[UserMessage("go")])) as deltas:
            async for _ in deltas:
                pass

    return Waiting(wait, reached)


def somebody_who_follows_a_branch() -> Waiting:
    reached = anyio.Event()
    agent = Agent(ScriptedModel(["Hel", Pause(reached=reached)], "Gone on."))

    async def wait() -> None:
        async with agent.run("go") as run:
            branch = run.branch(math.inf)
            async for _ in branch:
                pass

    return Waiting(wait, reached, agent)


WAITINGS = [
    a_reply,
    a_tool,
    a_tool_that_cleans_up,
    a_child,
    an_event,
    a_block_of_ones_own,
    a_chat,
    a_model_alone,
    somebody_who_follows_a_branch,
]


def described(error: BaseException) -> object:
    """What a caller can tell of an exception, its group's members included."""
    if isinstance(error, BaseExceptionGroup):
        return (type(error), [described(inner) for inner in error.exceptions])
    if isinstance(error, anyio.get_cancelled_exc_class()):
        # The text of a cancellation by a scope says where it came from, which is the backend's own affair.
        ours = isinstance(error, asyncio.CancelledError) and "cancel scope" not in str(error)
        return (type(error), str(error) if ours else "by a scope")
    return (type(error), str(error))


async def outcome(way: Callable[[Waiting], Awaitable[object]], waiting: Waiting) -> object:
    with anyio.fail_after(GUARD):
        try:
            return await way(waiting)
        except Exception as error:  # noqa: BLE001 - it is described, and compared
            return described(error)


# By scopes of anyio, on both backends.


async def move_on(waiting: Waiting) -> object:
    async with when_reached(waiting) as reached:
        with anyio.move_on_after(math.inf) as scope:
            reached(lambda: setattr(scope, "deadline", anyio.current_time()))
            await waiting.wait()
    return scope.cancelled_caught


async def fail(waiting: Waiting) -> object:
    async with when_reached(waiting) as reached:
        with anyio.fail_after(math.inf) as scope:
            reached(lambda: setattr(scope, "deadline", anyio.current_time()))
            await waiting.wait()
    return "not cancelled"


async def cancel_a_scope_further_out(waiting: Waiting) -> object:
    seen: list[object] = []
    async with when_reached(waiting) as reached:
        with anyio.CancelScope() as outer, anyio.CancelScope() as inner:
            reached(outer.cancel)
            try:
                await waiting.wait()
            except anyio.get_cancelled_exc_class() as error:
                seen.append(described(error))
                raise
    return (seen, outer.cancelled_caught, inner.cancelled_caught)


async def let_a_sibling_fail(waiting: Waiting) -> object:
    async def sibling() -> None:
        await waiting.reached.wait()
        raise LookupError("sibling")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sibling)
        await waiting.wait()
    return "not cancelled"


async def let_a_sibling_fail_beside_a_child_task(waiting: Waiting) -> object:
    async def sibling() -> None:
        await waiting.reached.wait()
        raise LookupError("sibling")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(waiting.wait)
        tasks.start_soon(sibling)
    return "not cancelled"


async def cancel_before_it_starts(waiting: Waiting) -> object:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await waiting.wait()
    return scope.cancelled_caught


@asynccontextmanager
async def when_reached(waiting: Waiting) -> AsyncIterator[Callable[[Callable[[], object]], None]]:
    """Do something once the waiting has begun, from a task that is not cancelled with it."""
    async with anyio.create_task_group() as tasks:

        def then(act: Callable[[], object]) -> None:
            async def wait() -> None:
                await waiting.reached.wait()
                act()

            tasks.start_soon(wait)

        yield then
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("make", WAITINGS)
@pytest.mark.parametrize(
    "way",
    [
        move_on,
        fail,
        cancel_a_scope_further_out,
        let_a_sibling_fail,
        let_a_sibling_fail_beside_a_child_task,
        cancel_before_it_starts,
    ],
)
async def test_by_a_scope(
    way: Callable[[Waiting], Awaitable[object]], make: Callable[[], Waiting]
) -> None:
    expected = await outcome(way, nothing())
    waiting = make()
    assert await outcome(way, waiting) == expected
    if waiting.agent is not None and not waiting.reached.is_set():
        waiting.agent.model = ScriptedModel("Gone on.")  # the first request was never made
    await waiting.check()


@pytest.mark.parametrize("how", ["prompt", "run"])
async def test_after_the_end_a_cancellation_changes_nothing(how: str) -> None:
    agent = Agent(ScriptedModel("Hello.", "Gone on."))
    with anyio.CancelScope() as scope:
        if how == "prompt":
            text = (await agent.prompt("hi")).text
        else:
            async with agent.run("hi") as run:
                text = (await run.result()).text
        before = agent.messages
        scope.cancel()
        assert text == "Hello."
        assert agent.messages == before
        await anyio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert (await agent.prompt("Go on.")).text == "Gone on."


async def test_one_of_a_hundred_is_cancelled_and_the_others_go_on() -> None:
    release, waiting = anyio.Event(), anyio.Event()
    texts: dict[int, str] = {}
    scopes: dict[int, anyio.CancelScope] = {}
    agents = [Agent(ScriptedModel(["Hel", Pause(release), f"lo {n}."])) for n in range(100)]

    async def run(number: int) -> None:
        with anyio.CancelScope() as scopes[number]:
            if len(scopes) == len(agents):
                waiting.set()
            texts[number] = (await agents[number].prompt("hi")).text

    with anyio.fail_after(GUARD):
        async with anyio.create_task_group() as tasks:
            for number in range(100):
                tasks.start_soon(run, number)
            await waiting.wait()
            await until_blocked()
            scopes[42].cancel()
            await until_blocked()
            assert [n for n, agent in enumerate(agents) if not agent.state.running] == [42]
            release.set()
    assert texts == {n: f"Hello {n}." for n in range(100) if n != 42}
    assert [message.text for message in agents[42].messages] == ["hi", "Hel"]
    for agent in agents:
        check_transcript(agent.messages)


# By what asyncio has of its own.


@frozen
class Seen:
    """What became of a task on asyncio."""

    outcome: object
    cancelled: bool
    cancelling: int


@define
class Complaints:
    """What the event loop was told that nobody else heard."""

    said: list[str] = field(factory=list)

    def __call__(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.said.append(f"{context['message']}: {context.get('exception')!r}")


def on_asyncio(main: Callable[[], Awaitable[object]], *, eager: bool = False) -> object:
    """Run a program, and see that nothing was left or reported."""
    complaints = Complaints()

    async def watched() -> object:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(complaints)
        if eager and sys.version_info >= (3, 12):
            loop.set_task_factory(asyncio.eager_task_factory)
        result = await main()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, "tasks were left"
        return result

    result = asyncio.run(watched(), debug=True)
    gc.collect()
    assert complaints.said == []
    return result


async def as_task(waiting: Waiting, act: Callable[["asyncio.Task[object]"], object]) -> Seen:
    """Wait in a task of asyncio's own, and act on it once it waits."""

    async def wait() -> object:
        return await waiting.wait()

    task = asyncio.create_task(wait())
    await waiting.reached.wait()
    await asyncio.sleep(0)
    act(task)
    async with asyncio.timeout(GUARD):
        await asyncio.wait([task])
    return _seen(task)


def _seen(task: "asyncio.Task[object]") -> Seen:
    if task.cancelled():
        try:
            task.result()
        except asyncio.CancelledError as error:
            return Seen(error.args, cancelled=True, cancelling=task.cancelling())
    failure = task.exception()
    result = task.result() if failure is None else described(failure)
    return Seen(result, cancelled=False, cancelling=task.cancelling())


async def cancel_once(waiting: Waiting) -> object:
    return await as_task(waiting, lambda task: task.cancel("enough"))


async def cancel_twice_at_once(waiting: Waiting) -> object:
    def twice(task: "asyncio.Task[object]") -> None:
        task.cancel("enough")
        task.cancel("enough")

    return await as_task(waiting, twice)


async def cancel_again_and_again(waiting: Waiting) -> object:
    """Also while tools clean up, which then have to hurry."""

    async def wait() -> object:
        return await waiting.wait()

    task = asyncio.create_task(wait())
    await waiting.reached.wait()
    for _ in range(4):
        await asyncio.sleep(0)
        task.cancel()
    async with asyncio.timeout(GUARD):
        await asyncio.wait([task])
    return _seen(task).cancelled


async def time_out(waiting: Waiting) -> object:
    async with asyncio.timeout(None) as timeout:
        task = asyncio.create_task(waiting.reached.wait())
        task.add_done_callback(lambda _: timeout.reschedule(0))
        await waiting.wait()
    return "not cancelled"


async def wait_for(waiting: Waiting) -> object:
    async def wait() -> None:
        await waiting.wait()

    await asyncio.wait_for(wait(), 0.1)
    return "not cancelled"


async def fail_beside_it(waiting: Waiting) -> object:
    async def sibling() -> None:
        await waiting.reached.wait()
        raise LookupError("sibling")

    async def wait() -> None:
        await waiting.wait()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(wait())
        tasks.create_task(sibling())
    return "not cancelled"


async def fail_beside_its_host(waiting: Waiting) -> object:
    async def sibling() -> None:
        await waiting.reached.wait()
        raise LookupError("sibling")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(sibling())
        await waiting.wait()
    return "not cancelled"


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("make", WAITINGS)
@pytest.mark.parametrize(
    "way",
    [
        cancel_once,
        cancel_twice_at_once,
        cancel_again_and_again,
        time_out,
        wait_for,
        fail_beside_it,
        fail_beside_its_host,
    ],
)
def test_by_what_asyncio_has(
    way: Callable[[Waiting], Awaitable[object]], make: Callable[[], Waiting], eager: bool
) -> None:
    async def main() -> object:
        plain = task_groups_in_tasks() if make is a_child else nothing()
        expected = await outcome(way, plain)
        waiting = make()
        assert await outcome(way, waiting) == expected
        await waiting.check()
        return expected

    assert on_asyncio(main, eager=eager) is not None


@pytest.mark.parametrize("make", WAITINGS)
def test_by_the_end_of_the_event_loop(make: Callable[[], Waiting]) -> None:
    """A task that is still going when the program ends, as `asyncio.run` ends it."""
    complaints = Complaints()

    async def main() -> Waiting:
        asyncio.get_running_loop().set_exception_handler(complaints)
        waiting = make()

        async def wait() -> None:
            await waiting.wait()

        waiting.cleaned.append(asyncio.create_task(wait()))  # type: ignore[arg-type]  # keeps it alive
        await waiting.reached.wait()
        return waiting

    waiting = asyncio.run(main(), debug=True)
    waiting.cleaned.pop(0)
    gc.collect()
    assert complaints.said == []
    asyncio.run(waiting.check())


def test_a_conversation_left_open_is_no_trouble_at_the_end_of_the_event_loop() -> None:
    async def main() -> None:
        chat = Agent(ScriptedModel("Hello.", "Again.")).chat()
        assert await chat.asend("hi") == "Hello."
        async with chat.events("again") as run:
            async for _ in run:
                break
        await asyncio.get_running_loop().shutdown_asyncgens()

    on_asyncio(main)


# By what trio has of its own.


async def trio_move_on(waiting: Waiting) -> object:
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(math.inf) as scope:

            async def end() -> None:
                await waiting.reached.wait()
                scope.deadline = trio.current_time()

            nursery.start_soon(end)
            await waiting.wait()
    return scope.cancelled_caught


async def trio_fail(waiting: Waiting) -> object:
    async with trio.open_nursery() as nursery:
        with trio.fail_after(math.inf) as scope:

            async def end() -> None:
                await waiting.reached.wait()
                scope.deadline = trio.current_time()

            nursery.start_soon(end)
            await waiting.wait()
    return "not cancelled"


async def trio_fail_beside_it(waiting: Waiting) -> object:
    async def sibling() -> None:
        await waiting.reached.wait()
        raise LookupError("sibling")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiting.wait)
        nursery.start_soon(sibling)
    return "not cancelled"


async def trio_cancel_the_nursery(waiting: Waiting) -> object:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiting.wait)
        await waiting.reached.wait()
        nursery.cancel_scope.cancel()
    return nursery.cancel_scope.cancelled_caught


@pytest.mark.parametrize("make", WAITINGS)
@pytest.mark.parametrize(
    "way", [trio_move_on, trio_fail, trio_fail_beside_it, trio_cancel_the_nursery]
)
def test_by_what_trio_has(
    way: Callable[[Waiting], Awaitable[object]], make: Callable[[], Waiting]
) -> None:
    async def main() -> None:
        expected = await outcome(way, nothing())
        waiting = make()
        assert await outcome(way, waiting) == expected
        await waiting.check()

    trio.run(main)


# By Ctrl-C.


@pytest.fixture
def default_sigint() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("default_sigint")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("make", WAITINGS)
def test_by_ctrl_c(make: Callable[[], Waiting], backend: str) -> None:
    waiting: list[Waiting] = []

    async def main() -> None:
        waiting.append(make())

        async def interrupt() -> None:
            await waiting[0].reached.wait()
            signal.raise_signal(signal.SIGINT)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(interrupt)
            await waiting[0].wait()

    def leaves(error: BaseException) -> list[BaseException]:
        if isinstance(error, BaseExceptionGroup):
            return [leaf for inner in error.exceptions for leaf in leaves(inner)]
        return [error]

    with pytest.raises(BaseException) as caught:  # noqa: PT011 - a group of it, where the caller has a task group
        anyio.run(main, backend=backend)
    assert [type(leaf) for leaf in leaves(caught.value)] == [KeyboardInterrupt]
    anyio.run(waiting[0].check, backend=backend)


@pytest.mark.usefixtures("default_sigint")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("place", ["hook", "tool", "block"])
def test_ctrl_c_within_our_own_code_comes_out_plain(place: str, backend: str) -> None:
    agent = Agent(ScriptedModel(call("press"), "Gone on.", "Gone on."))
    pressed: list[bool] = []

    def press() -> None:
        if not pressed:
            pressed.append(True)
            signal.raise_signal(signal.SIGINT)

    @agent.hook("on_event")
    def on_event(_: object) -> None:
        if place == "hook":
            press()

    @tool(name="press")
    async def press_in_tool() -> str:
        """Press it."""
        if place == "tool":
            press()
            await anyio.lowlevel.checkpoint()
        return "pressed"

    agent.tools = [press_in_tool]

    async def main() -> None:
        async with agent.run("go") as run:
            async for _ in run:
                if place == "block":
                    press()
                    await anyio.lowlevel.checkpoint()

    with pytest.raises(KeyboardInterrupt):
        anyio.run(main, backend=backend)
    assert pressed
    assert not agent.state.running
    check_transcript(agent.messages)


# What comes out, where several things go wrong.


async def test_two_that_fail_at_once_come_as_a_group_of_both() -> None:
    agent = Agent(ScriptedModel(["Hel", Pause()]))

    @agent.hook("on_event")
    async def fail_when_cancelled(event: object) -> None:
        if isinstance(event, MessageUpdate):
            try:
                await anyio.sleep_forever()
            finally:
                raise LookupError("hook")

    with pytest.raises(ExceptionGroup) as caught:
        async with agent.run("go"):
            await until_blocked()
            raise ValueError("block")
    assert {type(error) for error in caught.value.exceptions} == {LookupError, ValueError}
    check_transcript(agent.messages)


async def test_an_error_that_was_on_its_way_is_not_turned_into_a_cancellation() -> None:
    """The block has failed by itself; that it is cancelled while it waits for its tools does not hide that."""
    reached = anyio.Event()

    @tool
    async def slow() -> None:
        """Take a while to stop."""
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                reached.set()
                await anyio.lowlevel.checkpoint()

    agent = Agent(ScriptedModel(call("slow")), tools=[slow])
    caught: list[BaseException] = []
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:

            async def cancel() -> None:
                await reached.wait()
                scope.cancel()

            tasks.start_soon(cancel)
            with suppress(LookupError):
                try:
                    async with agent.run("go"):
                        await until_blocked()
                        raise LookupError("block")
                except BaseException as error:
                    caught.append(error)
                    raise
    assert [type(error) for error in caught] == [LookupError]
    check_transcript(agent.messages)


async def test_a_text_that_had_arrived_is_kept() -> None:
    waiting = a_reply()
    assert waiting.agent is not None
    await outcome(move_on, waiting)
    last = waiting.agent.messages[-1]
    assert isinstance(last, AssistantMessage)
    assert (last.content, last.stop_reason) == ((Text("Hel"),), "aborted")


@pytest.mark.usefixtures("default_sigint")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_ctrl_c_that_wakes_nobody_ends_a_blocking_run(backend: Literal["asyncio", "trio"]) -> None:
    """A signal that comes just before a thread waits does not wake it: as here, where another thread gets it."""

    def main_thread_waits() -> bool:
        frame = sys._current_frames()[threading.main_thread().ident or 0]
        return frame.f_code.co_name == "wait"

    async def press() -> None:
        """Press Ctrl-C."""
        for _ in range(5):  # seen a few times, it has got to where it waits
            while not main_thread_waits():
                await anyio.sleep(0.001)
            await anyio.sleep(0.01)
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        await anyio.sleep_forever()

    agent = Agent(ScriptedModel(call("press")), tools=[press])
    with pytest.raises(KeyboardInterrupt):
        blocking.prompt(agent, "go", backend=backend)
    check_transcript(agent.messages)
    assert [message.role for message in agent.messages] == ["user", "assistant", "tool"]
