"""A conversation with a person: what they type, press and command, in any order and at any time.

It knows no terminal: what a person does comes as a stream of inputs, a display shows what happens in a run, and `tell`
prints the rest. Commands are functions in a registry like any others; see `tether.cli.slash_commands`.

What Esc and Ctrl-C do depends on the state of the conversation:

    state         a run starts   the run ends   Esc                        Ctrl-C                 any other input
    idle          running        -              -                          leave?, and says so    idle
    leave?        running        -              idle                       left                   idle
    running       -              idle           what is in flight stops    stopping: aborts it    running
    stopping      -              leave?         -                          left                   stopping
    left          -              left           left                       left                   left

A command that is under way takes both before any of these, and a question to the person takes the line that was typed
while it was on the screen.
"""

import math
import traceback
from collections.abc import AsyncIterable, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup
from attrs import define, evolve, field

from tether import Agent, Run, RunResult, TetherError, Text, UsageError, UserMessage
from tether.cli.attachments import message_with_files
from tether.cli.changes.snapshots import Snapshots
from tether.cli.display import Display, Waiting, said_line
from tether.cli.extensions import App
from tether.cli.input.kinds import Closed, Escaped, Input, Interrupted, Pressed, Typed
from tether.cli.input.lines import own_line, run_command
from tether.cli.mcp_servers import prompt_names, prompted, references_in, resources_read
from tether.cli.permission.kept_rules import KeptRules
from tether.cli.permission.modes import Modes
from tether.cli.question import Question, as_question
from tether.cli.screen.choice import Choice
from tether.cli.wording import explained

WHEN_STEERED: Final = "the agent reads it after this step"
WHEN_FINISHED: Final = "the agent reads it when it has finished"
WITH_THE_NEXT: Final = "the agent reads it with what you say next"

__all__ = ("Closed", "Conversation", "Escaped", "Input", "Interrupted", "Pressed", "State", "Typed")


class State(Enum):
    """What a conversation is doing; the module's table has the steps between them."""

    IDLE = "idle"
    CONFIRMING = "leave?"
    RUNNING = "running"
    STOPPING = "stopping"
    LEFT = "left"


@define(eq=False)
class Conversation:
    """What goes on between a person and an agent.

    Args:
        app: the agent, and the commands, keys, models and prompts that the person may use.
        display: shows what happens in a run.
        tell: prints a text to the person, of one line or several.
        reload: loads extensions again.
        session_path: the file of the session, if there is one.
        draw_question: shows a question where the next line is typed, or takes it away; without it, `tell` prints it.
        mode: how much the agent may do without a question.
        rules: the rules that the person keeps about that.
        changes: what the agent has changed in files.
    """

    app: App
    display: Display
    tell: Callable[[str], None]
    reload: Callable[[], Awaitable[None]] = anyio.lowlevel.checkpoint
    session_path: Path | None = None
    draw_question: Callable[[Question | None], None] | None = None
    mode: Modes = field(factory=Modes)
    rules: KeptRules = field(factory=KeptRules)
    changes: Snapshots = field(factory=Snapshots)
    has_editor: bool = field(default=False, init=False)
    """Whether a line editor draws choices, and what waits for the agent."""
    goes_on: bool = field(default=False, init=False)
    """Whether a run begins by itself: with the calls that a process has left open."""
    run: Run | None = field(default=None, init=False)
    """The run that is going on."""
    _heard: list[Text] = field(factory=list, init=False)
    """What the agent reads with the next message."""
    names: dict[str, Any] = field(factory=dict, init=False)
    """The variables of /eval."""
    _state: State = field(default=State.IDLE, init=False)
    _queued: bool = field(default=False, init=False)
    """Whether what the line says that is being taken waits until the agent has finished."""
    _untaken: int = field(default=0, init=False)
    """Inputs that wait for the one before them."""
    _command: anyio.CancelScope | None = field(default=None, init=False)
    """The scope of the command that is under way."""
    question: Question | None = field(default=None, init=False)
    """The question that the person is asked now."""
    _one_question: anyio.Lock = field(factory=anyio.Lock, init=False)
    _tasks: TaskGroup = field(init=False)

    @property
    def agent(self) -> Agent:
        """The agent."""
        return self.app.agent

    @property
    def has_mode(self) -> bool:
        """Whether the mode says what the agent may do: it does not where the agent is on a server."""
        return True

    @property
    def state(self) -> State:
        """What the conversation is doing."""
        return self._state

    @property
    def busy(self) -> bool:
        """Whether Esc or Ctrl-C would stop anything."""
        return self._is_running or self._command is not None

    @property
    def _is_running(self) -> bool:
        return self._state in {State.RUNNING, State.STOPPING}

    def leave(self) -> None:
        """End the conversation. A run that is still going on is cancelled."""
        self._state = State.LEFT

    async def hold(self, inputs: AsyncIterable[Input]) -> None:
        """Hold the conversation until the person leaves.

        Args:
            inputs: what the person does.

        Cancellation:
            Cancels the run, waits until its tools have cleaned up, and passes on.
        """
        # A command may take its time: later inputs wait for it, except its interruption and the answer to a question.
        later, waiting = anyio.create_memory_object_stream[Input](math.inf)
        with later, waiting:
            async with self.agent.opened(), anyio.create_task_group() as self._tasks:
                self._tasks.start_soon(self._take_all, waiting)
                if self.goes_on:
                    self.start(None)
                async for one in inputs:
                    if not self._taken_at_once(one):
                        await later.send(one)
                        await self._handed_over()
                    if isinstance(one, Closed):
                        break
                later.close()

    async def _handed_over(self) -> None:
        """Wait until an input is taken up, or a command holds it up: what stops that must find it."""
        self._untaken += 1
        while self._untaken and self._command is None:  # noqa: ASYNC110 - that takes a step or two
            await anyio.lowlevel.checkpoint()

    async def _take_all(self, inputs: AsyncIterable[Input]) -> None:
        async for one in inputs:
            self._untaken -= 1
            await self._take(one)
            if self._state is State.LEFT:
                break
        self._tasks.cancel_scope.cancel()

    def _taken_at_once(self, one: Input) -> bool:
        match one:
            case Interrupted() | Escaped() if self._command is not None:
                self._command.cancel()
            case Typed(text, answers=Question() as asked):
                self._answer(asked, text.strip())
            case _:
                return False
        return True

    def _answer(self, asked: Question, text: str) -> None:
        if asked is self.question:
            self.question = None
            asked.answer(text)
        else:
            self.tell(f"(the question was withdrawn; not taken: {text})")

    async def _take(self, one: Input) -> None:
        if isinstance(one, Interrupted):
            self._interrupt()
            return
        if isinstance(one, Escaped) and self._state is State.RUNNING and self.run is not None:
            self.run.interrupt()
        if self._state is State.CONFIRMING:
            self._state = State.IDLE
        match one:
            case Closed():
                self.leave()
            case Pressed(key) if (function := self.app.keys.get(key)) is not None:
                await self._call(function, self)
            case Typed(text, queued) if text.strip():
                self._queued = queued
                await self._take_line(text)
                self._queued = False
            case _:
                pass

    async def _take_line(self, text: str) -> None:
        if text.startswith("/"):
            if (prompt := self.app.prompted(text[1:])) is not None:
                self.say(prompt)
            elif self.app.servers and (
                next(iter(text[1:].split()), "") in prompt_names(self.app.servers)
            ):
                await self._call(self._say_prompt, text[1:])
            else:
                await self._call(run_command, self, text[1:])
        elif (own := own_line(self, text)) is not None:
            await self._call(own)
        elif references := references_in(text, self.app.servers):
            await self._call(self._say_with_resources, text, references)
        else:
            self.say(text)

    def _interrupt(self) -> None:
        match self._state:
            case State.IDLE:
                self._state = State.CONFIRMING
                self.tell("Press Ctrl-C once more to leave, or type /quit.")
            case State.CONFIRMING:
                self.leave()
            case State.RUNNING:
                self._state = State.STOPPING
                if self.run is not None:
                    self.run.abort()
            case State.STOPPING:
                self.leave()
            case State.LEFT:  # already
                pass

    def say(self, text: str, *, queued: bool | None = None) -> None:
        """Say something to the agent: it starts a run, or steers the one that is going on.

        Args:
            text: what to say; files and images behind an `@` are attached; what cannot be is told.
            queued: whether a run that is going on gets it only when it has finished; if None, as the person wants it
                for the line that they have typed.
        """
        self._say(message_with_files(text, lambda line: self.tell(f"! {line}")), queued=queued)

    async def _say_prompt(self, line: str) -> None:
        if self.app.servers is not None:
            self._say(await prompted(line, self.app.servers))

    async def _say_with_resources(self, text: str, references: Sequence[str]) -> None:
        if self.app.servers is not None:
            read = await resources_read(references, self.app.servers, self.tell)
            message = message_with_files(
                text, lambda line: self.tell(f"! {line}"), others=references
            )
            self._say(UserMessage([*message.content, *read]))

    def say_message(self, message: UserMessage) -> None:
        """Say a message to the agent as it is, without attaching anything; see `say`."""
        self._say(message)

    def hear(self, text: str) -> None:
        """Have the agent read a text with what the person says next."""
        self._heard.append(Text(text))

    def with_heard(self, message: UserMessage) -> UserMessage:
        """Add to a message what the agent is to read with it."""
        heard, self._heard = self._heard, []
        return evolve(message, content=(*message.content, *heard)) if heard else message

    def _say(self, message: UserMessage, *, queued: bool | None = None) -> None:
        message = self.with_heard(message)
        queued = self._queued if queued is None else queued
        if not self._is_running:
            self.start(message)
        elif queued:
            self.agent.follow_up(message)
            self._tell_waiting(WHEN_FINISHED)
        else:
            self.agent.steer(message)
            self._tell_waiting(WHEN_STEERED)

    def _tell_waiting(self, when: str) -> None:
        if not self.has_editor:
            self.tell(f"(queued: {when})")

    def waiting(self) -> Sequence[Waiting]:
        """Return what the person has said and the agent has not heard yet. It may be called from any thread."""
        state = self.agent.state
        steered = WHEN_STEERED if self._is_running else WITH_THE_NEXT
        finished = WHEN_FINISHED if self._is_running else WITH_THE_NEXT
        return [
            *(Waiting(said_line(m), steered) for m in state.steering if isinstance(m, UserMessage)),
            *(
                Waiting(said_line(m), finished)
                for m in state.follow_ups
                if isinstance(m, UserMessage)
            ),
        ]

    async def ask(self, question: str | Question) -> str:
        """Ask the person something; the next line that they type is the answer.

        Several questions are asked one after the other. What was typed before the question was drawn is not an answer.

        Args:
            question: what to ask; its last line stands where the prompt does.

        Returns:
            The answer, without the spaces around it.

        Cancellation:
            At once; the question is withdrawn.
        """
        async with self._one_question:
            self.question = asked = as_question(question)
            self._draw_question(asked)
            try:
                await asked.answered.wait()
            finally:
                self.question = None
                self._draw_question(None)
                if not asked.answered.is_set() and not isinstance(asked, Choice):
                    self.tell("(the question is withdrawn)")
        return asked.text

    def _draw_question(self, asked: Question | None) -> None:
        if self.draw_question is not None:
            self.draw_question(asked)
        elif asked is not None:
            self.tell(asked.drawn)

    def start(self, prompt: UserMessage | None) -> None:
        """Start a run.

        Args:
            prompt: what to say; None to let the model go on from the conversation as it is.

        Raises:
            UsageError: a run is going on.
        """
        if self._is_running:
            raise UsageError("a run is going on; say something to it, or wait until it has ended")
        self._state = State.RUNNING
        self._tasks.start_soon(self._follow, prompt)

    async def _follow(self, prompt: UserMessage | None) -> None:
        goes_on = False
        try:
            with self._errors_told():
                async with self.agent.run(prompt) as self.run:
                    if self._state is State.STOPPING:  # since before it began
                        self.run.abort()
                    async for event in self.run:
                        self.display.show(event)
                    goes_on = self._keep_for_the_next(await self.run.result())
        finally:
            self.run = None
            self._end_running()
            self.display.stop()
        if goes_on and self.waiting() and self._state is State.IDLE:
            self.start(None)

    def _keep_for_the_next(self, result: RunResult) -> bool:
        """Have what the run was told and did not read read by the next one.

        Returns:
            Whether that begins by itself: nothing has stopped this one, and the person spoke just as it ended.
        """
        is_over = result.stop_reason != "stop"
        for message in result.undelivered:
            self.agent.steer(message)
            if is_over and not self.has_editor:
                self.tell(f"(not read yet, {WITH_THE_NEXT}: {message.text})")
        return not is_over

    def _end_running(self) -> None:
        if self._state is State.STOPPING:
            self._state = (
                State.CONFIRMING
            )  # the second Ctrl-C leaves, however quickly a run has stopped
        elif self._state is State.RUNNING:
            self._state = State.IDLE

    async def _call(self, function: Callable[..., Any], *arguments: object) -> None:
        """Call a command's or a key's function, and tell the person what it returns."""
        self._command = scope = anyio.CancelScope()
        try:
            with self._errors_told(), scope:
                answer = function(*arguments)
                if hasattr(answer, "__await__"):
                    answer = await answer
                if answer is not None:
                    self.tell(str(answer))
            if scope.cancelled_caught:
                self.tell("(interrupted)")
        finally:
            self._command = None

    @contextmanager
    def _errors_told(self) -> Iterator[None]:
        try:
            yield
        except TetherError as error:
            self.tell(f"! {explained(error)}")
        except Exception as error:  # noqa: BLE001 - mostly an extension's, and the conversation goes on
            self.tell("".join(traceback.format_exception(error)).rstrip())
