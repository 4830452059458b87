"""Have many prompts answered, so many at once."""

import inspect
import math
import os
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Self, TypeAlias

import anyio
from anyio.abc import ObjectReceiveStream, ObjectSendStream
from anyio.lowlevel import checkpoint
from attrs import evolve

from tether import Agent, BusyError, Event, Limits, MessageEnd, Run, RunResult, UsageError
from tether.events import ToolExecutionStart, TurnStart
from tether.hooks import call_maybe_async
from tether.limits import LimitName, Spent
from tether.many.answer import Answer, Job, Progress
from tether.many.results import NoResults, Results, ResultsFile
from tether.messages import Prompt, Usage

__all__ = ("Answers", "MakeAgent", "each")

MakeAgent: TypeAlias = Agent | Callable[..., Agent | Awaitable[Agent]]
"""An agent, of which each prompt gets a copy; or a function that makes one, plain or async, of the `Job` or nothing."""


@asynccontextmanager
async def each(
    make_agent: MakeAgent,
    prompts: Iterable[Prompt] | AsyncIterable[Prompt],
    *,
    at_once: int = 16,
    limits: Limits | None = None,
    output: Any = None,
    results: Results | str | os.PathLike[str] | None = None,
    stop_on_error: bool = False,
) -> AsyncIterator["Answers"]:
    """Have prompts answered, each by an agent of its own.

    Prompts are pulled as there is room, and no run begins while `at_once` answers are being made or wait to be read.

    Args:
        make_agent: an agent, of which each prompt gets a copy; or a function that makes one. Copies share hooks, so a
            `tether.advice.rate_limit` on the agent holds for all of them together.
        prompts: what to say; a plain or an async iterable, which may be endless.
        at_once: how many runs may go at once.
        limits: what all runs may spend together. Where that is reached, runs are ended in order, and no further one
            begins; `Progress.limit` says so. The limits of the agent hold for each run.
        output: the type of the results, see `Agent.run`.
        results: where answers are kept, so that what was answered before is not asked again: the path of a file, or a
            `Results` such as `KeptConversations`.
        stop_on_error: raise the first error in place of its answer, and cancel the other runs.

    Returns:
        A context manager that gives the answers. Leaving its block cancels the runs that go, and waits until they have
        cleaned up.

    Raises:
        UsageError: something that is given is not what it must be.
        BaseException: what the block raised, as it was.

    Cancellation:
        Cancels all runs, waits until they have cleaned up, and passes on. Answers that were read are kept.
    """
    runs = _Runs(
        make_agent=_agent_maker(make_agent),
        limits=Limits() if limits is None else limits,
        output=output,
        results=_results(results),
        stop_on_error=stop_on_error,
        slots=anyio.Semaphore(_count(at_once)),
    )
    pulled = _iterated(prompts)
    send, receive = anyio.create_memory_object_stream[Answer](0)
    raised: list[BaseException] = []
    async with anyio.create_task_group() as tasks, send, receive:
        tasks.start_soon(runs.feed, pulled, send)
        try:
            yield Answers(runs, receive)
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:  # noqa: BLE001 - raised below, past what the task group makes of it
            raised.append(error)
        finally:
            tasks.cancel_scope.cancel()
    for failure in raised:
        raise failure


class Answers(AsyncIterator[Answer]):
    """The answers as they come, in no order. One task at a time may iterate."""

    def __init__(self, runs: "_Runs", receive: ObjectReceiveStream[Answer]) -> None:
        self._runs = runs
        self._receive = receive

    @property
    def progress(self) -> Progress:
        """How far the runs have come."""
        return self._runs.progress

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Answer:
        """Wait for the next answer.

        Raises:
            Exception: what the prompts raised, what kept no answer, or, with `stop_on_error`, what a run raised.

        Cancellation:
            At once.
        """
        try:
            return await self._receive.receive()
        except anyio.EndOfStream:
            if self._runs.failure is not None:
                raise self._runs.failure from None
            raise StopAsyncIteration from None

    async def result(self) -> Progress:
        """Wait for all runs, discarding the answers that nobody has read.

        Raises:
            Exception: as iteration does.

        Cancellation:
            At once.
        """
        async for _ in self:  # `receive` is a checkpoint
            pass
        return self.progress


class _Runs:
    """The runs: begun as there is room, counted, ended together."""

    def __init__(
        self,
        *,
        make_agent: Callable[[Job], Any],
        limits: Limits,
        output: Any,
        results: Results,
        stop_on_error: bool,
        slots: anyio.Semaphore,
    ) -> None:
        self._make_agent = make_agent
        self._limits = limits
        self._output = output
        self._results = results
        self._stop_on_error = stop_on_error
        self._slots = slots
        self._spent = Spent()
        self._going: set[Run] = set()
        self._counts = Progress()
        self._scope = anyio.CancelScope()
        self._ends_at = math.inf
        self.failure: Exception | None = None

    @property
    def progress(self) -> Progress:
        return evolve(self._counts, usage=self._spent.usage, cost=self._spent.cost)

    async def feed(self, prompts: AsyncIterator[Prompt], send: ObjectSendStream[Answer]) -> None:
        """Begin a run for each prompt, as there is room."""
        if self._limits.seconds is not None:
            self._ends_at = anyio.current_time() + self._limits.seconds
        async with send:
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    await self._begin_all(
                        prompts, lambda job: tasks.start_soon(self._one, job, send)
                    )

    async def _begin_all(
        self, prompts: AsyncIterator[Prompt], begin: Callable[[Job], object]
    ) -> None:
        place = 0
        while True:
            await self._slots.acquire()
            if self._is_over():
                return
            try:
                prompt = await anext(prompts)
            except StopAsyncIteration:
                return
            except Exception as error:  # noqa: BLE001 - it is raised where the answers are read
                self._fail(error)
                return
            begin(Job(place, prompt))
            place += 1

    async def _one(self, job: Job, send: ObjectSendStream[Answer]) -> None:
        try:
            answer = await self._answered(job)
            if answer is None:
                return
            if answer.error is not None and self._stop_on_error:
                self._fail(answer.error)
            await send.send(answer)
        except anyio.BrokenResourceError:
            pass  # nobody reads any more, and all is being cancelled
        except Exception as error:  # noqa: BLE001 - it is raised where the answers are read
            self._fail(error)
        finally:
            self._slots.release()

    async def _answered(self, job: Job) -> Answer | None:
        try:
            agent = await self._agent(job)
        except Exception as error:  # noqa: BLE001 - it belongs to this prompt
            self._counts = evolve(self._counts, begun=self._counts.begun + 1)
            return self._counted(Answer(job, error=error))
        try:
            async with self._results.asking(job, agent) as known:
                if known == "answered":
                    self._counts = evolve(self._counts, kept=self._counts.kept + 1)
                    return None
                self._counts = evolve(self._counts, begun=self._counts.begun + 1)
                prompt = None if known == "begun" else job.prompt
                answer = await self._run(job, agent, prompt)
                await self._results.keep(answer)
        except BusyError as error:  # another process has this prompt, or had it when it was killed
            self._counts = evolve(self._counts, begun=self._counts.begun + 1)
            answer = Answer(job, error=error)
        return self._counted(answer)

    async def _agent(self, job: Job) -> Agent:
        agent = await call_maybe_async(self._make_agent, job)
        if not isinstance(agent, Agent):
            raise UsageError(f"make_agent must return an Agent, not {agent!r}")
        return agent

    async def _run(self, job: Job, agent: Agent, prompt: Prompt | None) -> Answer:
        count = _Count(self._spent)
        try:
            limits = self._limits_of(agent)
            async with agent.run(prompt, limits=limits, output=self._output) as run:
                self._going.add(run)
                try:
                    return Answer(job, await self._followed(run, count))
                finally:
                    count.take(run)
                    self._going.discard(run)
        except Exception as error:  # noqa: BLE001 - it is the answer
            return Answer(job, error=error)

    async def _followed(self, run: Run, count: "_Count") -> RunResult:
        async for event in run:
            count.note(event)
            if isinstance(event, MessageEnd):
                count.take(run)
                if (limit := self._limits.reached(self._spent)) is not None:
                    self._reach(limit)
        return await run.result()

    def _limits_of(self, agent: Agent) -> Limits:
        """The limits of one run: those of its agent, and what is left of those of all."""
        left = {
            name: _least(getattr(agent.limits, name), all_of_them, used)
            for name, all_of_them, used in (
                ("turns", self._limits.turns, self._spent.turns),
                ("tool_calls", self._limits.tool_calls, self._spent.tool_calls),
                ("input_tokens", self._limits.input_tokens, self._spent.usage.input_tokens),
                ("output_tokens", self._limits.output_tokens, self._spent.usage.output_tokens),
                ("cost", self._limits.cost, self._spent.cost),
            )
        }
        seconds = agent.limits.seconds
        if self._ends_at < math.inf:
            seconds = min(
                math.inf if seconds is None else seconds,
                max(0.0, self._ends_at - anyio.current_time()),
            )
        return evolve(agent.limits, **left, seconds=seconds)

    def _counted(self, answer: Answer) -> Answer:
        counts = self._counts
        self._counts = (
            evolve(counts, done=counts.done + 1)
            if answer.ok
            else evolve(counts, failed=counts.failed + 1)
        )
        return answer

    def _is_over(self) -> bool:
        if self._counts.limit is None:
            limit = self._limits.reached(self._spent)
            if limit is None and anyio.current_time() >= self._ends_at:
                limit = "seconds"
            if limit is not None:
                self._reach(limit)
        return self._counts.limit is not None

    def _reach(self, limit: LimitName) -> None:
        self._counts = evolve(self._counts, limit=self._counts.limit or limit)
        for run in self._going:
            run.abort()

    def _fail(self, error: Exception) -> None:
        self.failure = self.failure or error
        self._scope.cancel()


class _Count:
    """Adds what one run spends to what all have spent."""

    def __init__(self, spent: Spent) -> None:
        self._spent = spent
        self._usage = Usage()
        self._cost = 0.0

    def note(self, event: Event) -> None:
        """Count a turn or a call."""
        match event:
            case TurnStart():
                self._spent.turns += 1
            case ToolExecutionStart():
                self._spent.tool_calls += 1
            case _:
                pass

    def take(self, run: Run) -> None:
        """Count the tokens and the cost that have come since the last time."""
        usage, cost = run.usage, run.cost
        self._spent.usage += usage - self._usage
        self._spent.cost += cost - self._cost
        self._usage, self._cost = usage, cost


class _Pulled(AsyncIterator[Prompt]):
    """A plain iterable, pulled from in the event loop."""

    def __init__(self, prompts: Iterable[Prompt]) -> None:
        self._prompts = iter(prompts)

    async def __anext__(self) -> Prompt:
        await checkpoint()
        try:
            return next(self._prompts)
        except StopIteration:
            raise StopAsyncIteration from None


def _iterated(prompts: Any) -> AsyncIterator[Prompt]:
    if isinstance(prompts, AsyncIterable):
        return aiter(prompts)
    if isinstance(prompts, str) or not isinstance(prompts, Iterable):
        raise UsageError(f"prompts must be an iterable of prompts, not {prompts!r}")
    return _Pulled(prompts)


def _agent_maker(make_agent: Any) -> Callable[[Job], Any]:
    if isinstance(make_agent, Agent):
        agent = make_agent
        return lambda _: agent.copy()
    if not callable(make_agent):
        raise UsageError(
            f"make_agent must be an Agent, or a function that makes one, not {make_agent!r}"
        )
    function: Callable[..., Any] = make_agent
    try:
        inspect.signature(function).bind(None)
    except (TypeError, ValueError):
        return lambda _: function()
    return function


def _results(results: Any) -> Results:
    match results:
        case None:
            return NoResults()
        case str() | os.PathLike():
            return ResultsFile(results)
        case _:
            return results  # type: ignore[no-any-return]


def _count(at_once: Any) -> int:
    if isinstance(at_once, bool) or not isinstance(at_once, int) or at_once < 1:
        raise UsageError(f"at_once must be a whole number from 1 on, not {at_once!r}")
    return at_once


def _least(own: float | None, all_of_them: float | None, used: float) -> Any:
    """The lower of a run's limit and of what is left of that of all; None if there is neither."""
    left = None if all_of_them is None else max(0, all_of_them - used)
    return min((limit for limit in (own, left) if limit is not None), default=None)
