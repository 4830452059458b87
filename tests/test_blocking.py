"""The face for programs without an event loop, also where they are interrupted."""

import collections.abc
import gc
import inspect
import itertools
import queue
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import partial
from types import FrameType
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import ObjectReceiveStream
from attrs import define

from tether import (
    Agent,
    AgentEnd,
    ModelError,
    ModelRequest,
    Run,
    TextDelta,
    UsageError,
    blocking,
)
from tether.blocking import _thread_bridge
from tether.testing import Pause, ScriptedModel, call, check_transcript

BACKENDS: list[Any] = ["asyncio", "trio"]
GUARD = 60
"""Seconds."""


@pytest.mark.parametrize("backend", BACKENDS)
def test_blocking_prompts_and_runs(backend: Any) -> None:
    agent = Agent(ScriptedModel("one", "two", [Pause()]))
    assert blocking.prompt(agent, "a", backend=backend).text == "one"
    with blocking.run(agent, "b", backend=backend) as run:
        events = list(run)
        assert run.result().text == "two"
    assert isinstance(events[-1], AgentEnd)
    with blocking.run(agent, "c", backend=backend) as run:
        run.abort()
        assert run.result().stop_reason == "aborted"


@pytest.mark.parametrize("backend", BACKENDS)
def test_blocking_raises_what_failed_and_ends_what_is_left(backend: Any) -> None:
    agent = Agent(ScriptedModel(ModelError("no", kind="server"), [TextDelta("x"), Pause()]))
    with pytest.raises(ModelError, match="no"):
        blocking.prompt(agent, "a", backend=backend)
    with pytest.raises(LookupError), blocking.run(agent, "b", backend=backend) as run:
        next(iter(run))
        raise LookupError
    assert not agent.state.running


def test_a_blocking_run_has_what_a_run_has() -> None:
    """But for what makes a run one of anyio's streams."""
    stream = {name for name in dir(ObjectReceiveStream) if not name.startswith("_")}
    face = {name for name in dir(Run) if not name.startswith("_")} - stream
    assert {name for name in dir(blocking.BlockingRun) if not name.startswith("_")} == face


@pytest.mark.parametrize("name", ["run", "prompt"])
def test_the_functions_take_what_those_of_an_agent_take(name: str) -> None:
    taken = set(inspect.signature(getattr(blocking, name)).parameters)
    assert taken - {"agent", "request", "backend"} == set(
        inspect.signature(getattr(Agent, name)).parameters
    ) - {"self", "prompt"}


@pytest.mark.parametrize("backend", BACKENDS)
def test_blocking_handles_do_what_those_of_a_run_do(backend: Any) -> None:
    agent = Agent(ScriptedModel(["one ", Pause()], ["two ", "three"]), price=lambda _: 0.5)
    with blocking.run(agent, "go", backend=backend) as run:
        branch = run.branch(64, when_full="drop_oldest")
        text = run.text()
        assert next(text) == "one"
        accepted = run.steer("on", interrupt=True)
        assert "".join(text).strip() == "two three"
        result = run.result()
        assert accepted in result.messages
        assert (run.cost, result.cost, run.running_tools) == (1.0, 1.0, ())
        assert run.statistics().current_buffer_used == 0
        assert branch.statistics().dropped == 0
        assert isinstance(list(branch)[-1], AgentEnd)
        branch.close()
        with pytest.raises(UsageError, match="this run is over"):
            run.steer("late")


def test_blocking_works_in_several_threads_at_once() -> None:
    answers: list[str] = []

    def ask(number: int) -> None:
        answers.append(blocking.prompt(Agent(ScriptedModel(f"{number}")), "?").text)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["0", "1", "2", "3", "4"]


async def test_blocking_is_refused_where_it_would_stop_an_event_loop() -> None:
    agent = Agent(ScriptedModel("x"))
    for start in (blocking.prompt, lambda *a: blocking.run(*a).__enter__(), _send):
        with pytest.raises(UsageError, match=r"`await agent\.prompt.*async with.*to_thread"):
            start(agent, "a")


def _send(agent: Agent, prompt: str) -> str:
    return blocking.chat(agent).send(prompt)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_blocking_chat_is_a_generator(backend: Any) -> None:
    agent = Agent(ScriptedModel("One.", ModelError("gone", kind="server"), "Two.", "Three."))
    chat = blocking.chat(agent, backend=backend)
    assert isinstance(chat, collections.abc.Generator)
    assert chat.send(None) == ""
    assert chat.send("first") == "One."
    with pytest.raises(ModelError, match="gone"):
        chat.send("second")
    assert chat.send("second again") == "Two."
    agent.follow_up("third")
    assert list(chat) == ["Three."]
    chat.close()
    with pytest.raises(StopIteration):
        chat.send("fourth")
    with pytest.raises(LookupError, match="x"):
        blocking.chat(agent).throw(LookupError("x"))


@pytest.mark.parametrize("backend", BACKENDS)
def test_tools_see_the_context_variables_of_who_waits(backend: Any) -> None:
    who: ContextVar[str] = ContextVar("who", default="nobody")

    async def whoami() -> str:
        return who.get()

    agent = Agent(ScriptedModel(call("whoami"), "I see."), tools=[whoami])
    who.set("me")
    blocking.prompt(agent, "Who?", backend=backend)
    assert agent.messages[2].text == "me"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("error", [StopIteration, GeneratorExit, KeyboardInterrupt, SystemExit])
def test_what_is_raised_in_the_block_comes_out_as_it_is(
    error: type[BaseException], backend: Any
) -> None:
    agent = Agent(ScriptedModel([TextDelta("x"), Pause()]))
    raised = error()
    with pytest.raises(error) as caught, blocking.run(agent, "a", backend=backend):
        raise raised
    assert caught.value is raised
    assert {frame.name for frame in caught.traceback} == {
        "test_what_is_raised_in_the_block_comes_out_as_it_is"
    }
    assert not agent.state.running


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("error", [queue.Empty, OSError, TimeoutError])
def test_what_a_hook_raises_comes_out_whatever_it_is(error: type[Exception], backend: Any) -> None:
    agent = Agent(ScriptedModel("x"))

    @agent.hook("before_model")
    def fail(_: ModelRequest) -> None:
        raise error("by a hook")

    with pytest.raises(error, match="by a hook"):
        blocking.prompt(agent, "a", backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_tool_that_ends_the_program_ends_it(backend: Any) -> None:
    async def leave() -> None:
        raise SystemExit(3)

    agent = Agent(ScriptedModel(call("leave")), tools=[leave])
    with pytest.raises(SystemExit) as caught:
        blocking.prompt(agent, "Go.", backend=backend)
    assert caught.value.code == 3
    check_transcript(agent.messages)


def test_an_unknown_backend_is_said_at_once() -> None:
    with pytest.raises(LookupError, match="twisted"):
        blocking.prompt(Agent(ScriptedModel("x")), "a", backend="twisted")  # type: ignore[call-overload]  # on purpose


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_run_whose_block_was_left_says_so(backend: Any) -> None:
    with blocking.run(Agent(ScriptedModel("x")), "a", backend=backend) as run:
        pass
    for use in (run.abort, run.result, run.__next__, lambda: run.partial, lambda: run.steer("b")):
        with pytest.raises(UsageError, match="block was left"):
            use()


@pytest.mark.parametrize("backend", BACKENDS)
def test_another_thread_that_waits_is_told_when_the_block_is_left(backend: Any) -> None:
    told: list[BaseException] = []
    waits = threading.Event()

    async def wait() -> None:
        waits.set()
        await anyio.sleep_forever()

    def read(run: blocking.BlockingRun) -> None:
        try:
            run.result()
        except UsageError as error:
            told.append(error)

    agent = Agent(ScriptedModel(call("wait")), tools=[wait])
    with blocking.run(agent, "a", backend=backend) as run:
        reader = threading.Thread(target=read, args=(run,))
        reader.start()
        assert waits.wait(GUARD)
    reader.join(GUARD)
    assert len(told) == 1


# Interrupted anywhere.

OURS = {"tether.blocking", "tether.blocking._thread_bridge", "contextlib", "threading"}
"""Where to interrupt: the code by which a thread waits for an event loop."""


@define
class Interrupted:
    """A call of a function, in a thread of its own, with KeyboardInterrupt raised before one of the lines it runs."""

    function: Callable[[], object]
    line: int
    """Counted from 1."""
    came: bool = False
    """Whether it came to that line."""
    raised: type[BaseException] | None = None

    def call(self) -> None:
        # Raised by a trace function, an exception may leave others as handled for ever; so the thread ends with it.
        thread = threading.Thread(target=self._call, daemon=True)
        thread.start()
        thread.join(GUARD)
        assert not thread.is_alive(), "it waits for something that nobody does"

    def _call(self) -> None:
        sys.settrace(self._trace)
        try:
            self.function()
        except BaseException as error:  # noqa: BLE001 - looked at by the test
            self.raised = type(error)  # itself it would keep alive what it passed through
        finally:
            sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, argument: object) -> Any:
        if frame.f_globals.get("__name__") not in OURS:
            return None
        if event == "line":
            self.line -= 1
            if self.line == 0:
                self.came = True
                raise KeyboardInterrupt
        return self._trace


def threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.is_alive()}


def ask(agent: Agent, backend: Any) -> None:
    blocking.prompt(agent, "Work.", backend=backend)


def ask_and_be_interrupted(agent: Agent, backend: Any) -> None:
    with blocking.run(agent, "Work.", backend=backend) as run:
        next(run)
        raise KeyboardInterrupt


@pytest.mark.usefixtures("quick_garbage_collection")
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("program", [ask, ask_and_be_interrupted])
def test_an_interruption_before_any_line_ends_the_run_and_comes_out_plain(
    program: Callable[[Agent, Any], None], backend: Any
) -> None:
    """Where it comes between the lines of a lock, it breaks the lock, and what else waits for it."""
    begun: list[str] = []
    ended: list[str] = []

    async def work() -> str:
        begun.append("work")
        try:
            await anyio.lowlevel.checkpoint()
            return "worked"
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
                ended.append("work")

    for line in itertools.count(1):
        agent = Agent(ScriptedModel(call("work"), "Done."), tools=[work])
        before = threads()
        interrupted = Interrupted(partial(program, agent, backend), line)
        interrupted.call()
        expected = KeyboardInterrupt if interrupted.came or program is not ask else None
        assert interrupted.raised is expected, line
        gc.collect()
        # Interrupted while its thread began, it lets it end by itself.
        waiting_until = time.monotonic() + GUARD
        while not threads() <= before and time.monotonic() < waiting_until:
            time.sleep(0.001)
        assert threads() <= before, line
        assert begun == ended
        assert not agent.state.running
        check_transcript(agent.messages)
        if not interrupted.came:
            break
    assert line > 100
    if program is ask:
        assert agent.messages[-1].text == "Done."


@pytest.mark.parametrize("_round", range(6))  # trio runs the tasks of one tick in any order
@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_asked_for_as_the_context_leaves_itself_is_refused(
    backend: Any, _round: int
) -> None:
    late = _thread_bridge._Call(lambda: "too late")

    @asynccontextmanager
    async def cut_off() -> AsyncIterator[anyio.CancelScope]:
        with anyio.CancelScope() as scope:
            yield scope

    async def ask_as_it_ends(scope: anyio.CancelScope) -> None:
        scope.cancel()
        try:
            await anyio.sleep_forever()
        finally:
            portal._request(late)

    with (
        pytest.raises(UsageError, match="the run's block was left"),
        _thread_bridge.entered(cut_off(), backend=backend) as (scope, portal),
    ):
        portal.call(partial(ask_as_it_ends, scope))
    with pytest.raises(UsageError, match="the run's block was left"):
        portal.wait(late.outcome)
    gc.collect()
