"""What a program under exploration asks of the simulation."""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from itertools import count
from typing import Any, Final, Protocol

import anyio
from anyio.abc import TaskGroup
from attrs import define, field, frozen

from tether import Agent, RunResult, UsageError
from tether.messages import Prompt
from tether.model import Model
from tether.testing.explore.actions import act
from tether.testing.explore.choices import Choices
from tether.testing.explore.driving import Cast, Drive
from tether.testing.explore.model import SimulatedModel
from tether.testing.explore.recordings import RecordedAgents
from tether.testing.explore.store import SimulatedBatchStore, SimulatedSession, SimulatedStore
from tether.testing.explore.tools import simulated_tool
from tether.testing.scripted import ScriptedModel

__all__ = ("Backend", "Fault", "Simulation")

_EPOCH: Final = 1_800_000_000.0


@frozen
class Fault:
    """Something that went wrong in a run."""

    kind: str
    """What was checked: a plan is shrunk to one that has a fault of the same kind."""
    text: str
    error: BaseException | None = field(default=None, eq=False)


class Backend(Protocol):
    """What differs between asyncio and trio."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    async def cancellable(
        self,
        function: Callable[[], Awaitable[None]],
        began: Callable[[Callable[[], object]], object],
    ) -> None:
        """Await a function so that it can be cancelled as the backend cancels."""
        ...


@define(eq=False)
class Simulation:
    """One run of a program. A program is given it, and asks it for what the program does not decide.

    Args:
        choices: answer.
        backend: what it runs on.
        recorded: records the agents, if it is given.
    """

    choices: Choices
    backend: Backend
    recorded: RecordedAgents | None = None
    faults: list[Fault] = field(factory=list[Fault], init=False)
    drives: list[Drive] = field(factory=list[Drive], init=False)
    """Those that are going, the innermost last."""
    trace: list[Any] = field(factory=list[Any], init=False)
    """The events that were published."""
    casts: dict[Agent, Cast] = field(factory=dict[Agent, Cast], init=False)
    tasks: TaskGroup | None = field(default=None, init=False)
    """Holds what outlives the calls of tools."""
    _ids: Any = field(factory=count, init=False)

    def choose(self, site: str, n: int, words: Sequence[str] = ()) -> int:
        """Choose a number, as the simulation chooses all else: 0 is the tame answer.

        Args:
            site: what the choice is called; it is numbered where it is asked for again.
            n: how many answers there are.
            words: says what each answer means, for the report.

        Returns:
            A number from 0 to n - 1.

        Raises:
            UsageError: there is no answer to choose, or the name cannot be written in a plan.
        """
        if n < 1 or not site or any(letter in "= \t\n:" for letter in site):
            raise UsageError(
                f"a choice has a name without blanks, = and :, and n >= 1: {site!r}, {n}"
            )
        return self.choices.choose(f"{site}.{self.choices.number(site)}", n, words)

    def agent(self, agent: Agent, *, model: Model | None = None) -> Agent:
        """Make an agent like this one that answers to the simulation.

        Its model makes replies with calls of the agent's tools, or fails. Its tools may fail or hang before or after
        they do their work. It has a session whose store may fail, and the clock and ids of the simulation. Plain
        functions are called in the event loop; they cannot use `anyio.from_thread`.

        Args:
            agent: the agent; it is left as it is.
            model: a model whose replies are taken, with failures and delays around them; so is a `ScriptedModel` that
                the agent has.

        Returns:
            The other agent. An agent that it calls as a tool has to be given to the simulation too.
        """
        number = len(self.casts)
        label = f".{agent.name}{number}" if number else ""
        if model is None and isinstance(agent.model, ScriptedModel):
            model = agent.model

        def complain(error: AssertionError) -> None:
            self.fault("request", error)

        simulated = SimulatedModel(self.choices, label, model, complain)
        kind = (SimulatedStore, SimulatedBatchStore)[
            self.choices.choose(f"store{label}", 2, ("", "the store takes a while"))
        ]
        store = kind(self.choices, label)
        session = SimulatedSession(store, self.now, self.new_id)
        changes: dict[str, Any] = {}
        asks = any(hook.name == "approve" for hook in agent.hooks.at("around_tool"))
        if asks:
            changes["approve"] = self._approve
        made = agent.copy(
            model=simulated,
            tools=[simulated_tool(tool, self.choices, self.start) for tool in agent.tools],
            session=session,
            clock=self.now,
            new_id=self.new_id,
            **changes,
        )
        made.reset(agent.messages)
        if self.recorded is not None:
            self.recorded.add(made, self.now)
        self.casts[made] = Cast(made, simulated, store, session, len(made.messages))
        return made

    async def drive(self, agent: Agent, prompt: Prompt | None) -> RunResult | None:
        """Run an agent as careless people would, and check what comes of it.

        Its events are read slowly, or not to the end; further consumers branch off. Meanwhile somebody steers it,
        interrupts it, aborts it, cancels a tool, or the drive. Then the events, the transcript, the session, the usage
        and the messages that were said are checked.

        Args:
            agent: one that `agent` has made.
            prompt: what to say; None continues the conversation.

        Returns:
            The result; None where the run was cancelled or left, or failed because the simulation had something fail.

        Raises:
            UsageError: the agent does not answer to the simulation.
            Exception: what a tool or hook of the agent's own raised into the run.

        Cancellation:
            Passes on, and what there is is checked no further.
        """
        cast = self.casts.get(agent)
        if cast is None:
            raise UsageError("give the agent to the simulation, and drive what sim.agent returns")
        drive = Drive(self, cast, prompt, self.choices.number("drive"))
        overlaps = bool(self.drives)
        for other in self.drives:
            other.alone = False
        drive.alone = not overlaps
        self.drives.append(drive)
        try:
            return await drive.perform()
        finally:
            self.drives.remove(drive)

    # What the parts of the simulation ask for.

    def now(self) -> float:
        """Seconds since the epoch, as the virtual clock has it."""
        try:
            return _EPOCH + anyio.current_time()
        except anyio.NoEventLoopError:
            return _EPOCH

    def new_id(self) -> str:
        """Make an id."""
        return f"id{next(self._ids)}"

    def start(self, function: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> None:
        """Start a task that ends with the run of the program."""
        if self.tasks is not None:
            self.tasks.start_soon(function, *args)

    def fault(self, kind: str, error: BaseException) -> None:
        """Note that something went wrong."""
        self.faults.append(Fault(kind, str(error) or type(error).__name__, error))

    def act(self, site: str) -> None:
        """Do something to the program, if that is chosen, before a task takes a step."""
        if self.drives:
            act(self.choices, site, self.drives[-1])

    async def _approve(self, _: object) -> Any:
        site = f"answer.{self.choices.number('answer')}"
        how = self.choices.choose(site, len(_ANSWERS), _ANSWERS)
        await anyio.sleep((0, 0, 0, 2, 200, 5000)[how])
        return ("once", "always", False, "once", "always", False)[how]


_ANSWERS: Final = (
    "",
    "a person allows the tool from now on",
    "a person denies the call",
    "a person takes 2 s to allow the call",
    "a person takes 200 s to allow the tool",
    "nobody answers the question for an hour",
)
