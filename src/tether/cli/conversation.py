"""A conversation with a person: what they say, press and command, in any order and at any time.

It knows no terminal: what a person does comes as a stream of inputs, and what happens is shown by a display and told
line by line. Commands are functions in a registry like any others; see `tether.cli.talk`.
"""

import math
import mimetypes
import re
import traceback
from collections.abc import AsyncIterable, Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

import anyio
from anyio.abc import TaskGroup
from attrs import define, field, frozen

from tether import (
    Agent,
    Deny,
    Image,
    Invocation,
    Run,
    TetherError,
    Text,
    UserBlock,
    UserMessage,
    Verdict,
)
from tether.cli.display import Display
from tether.cli.extensions import App

__all__ = ("Closed", "Conversation", "Input", "Interrupted", "Pressed", "Said")

_ATTACHED: Final = re.compile(r"(?<!\S)@(\S+)")
_LONGEST_FILE: Final = 100_000
"""Bytes of a file that is attached as text."""


@frozen
class Said:
    """A person has said something: a request, or a command behind a slash."""

    text: str
    queued: bool = False
    """To be heard when the agent would stop, and not before."""


@frozen
class Interrupted:
    """A person has pressed Ctrl-C."""


@frozen
class Pressed:
    """A person has pressed a key that an extension knows."""

    key: str


@frozen
class Closed:
    """A person has closed their end."""


Input: TypeAlias = Said | Interrupted | Pressed | Closed


@define(eq=False)
class _Question:
    """Whether a call may run."""

    answered: anyio.Event = field(factory=anyio.Event)
    verdict: Verdict = False

    def answer(self, said: str) -> None:
        match said.lower():
            case "y" | "yes":
                self.verdict = "once"
            case "a" | "always":
                self.verdict = "always"
            case "" | "n" | "no":
                pass
            case _:
                self.verdict = Deny(said)
        self.answered.set()


@define(eq=False)
class Conversation:
    """What goes on between a person and an agent.

    Args:
        app: the agent, and what people call it by.
        display: shows what happens in a run.
        tell: says a line or several.
        reload: loads extensions again.
    """

    app: App
    display: Display
    tell: Callable[[str], None]
    reload: Callable[[], None] = lambda: None
    run: Run | None = None
    """The run that is going."""
    leaving: bool = False
    """Set by whoever ends the conversation."""
    kept_in: Path | None = None
    """The file of the session, where there is one."""
    names: dict[str, Any] = field(factory=dict)
    """What /eval has assigned."""
    _going: bool = False
    _cut: bool = False
    _asked_to_leave: bool = False
    _command: anyio.CancelScope | None = None
    _questions: list["_Question"] = field(factory=list)
    _tasks: TaskGroup = field(init=False)

    @property
    def agent(self) -> Agent:
        """The agent."""
        return self.app.agent

    @property
    def busy(self) -> bool:
        """Whether there is anything that Ctrl-C would cut off."""
        return self._going or self._command is not None

    async def hold(self, inputs: AsyncIterable[Input]) -> None:
        """Go on until the person leaves. A run that still goes then is cancelled.

        Args:
            inputs: what the person does.

        Cancellation:
            Cancels the run, waits until its tools have cleaned up, and passes on.
        """
        # A command may take its time: what is said meanwhile waits for it, but for what it or a person cannot wait for.
        later, todo = anyio.create_memory_object_stream[Input](math.inf)
        with later, todo:
            async with self.agent.opened(), anyio.create_task_group() as self._tasks:
                self._tasks.start_soon(self._take_all, todo)
                async for one in inputs:
                    if not self._taken_at_once(one):
                        await later.send(one)
                    if isinstance(one, Closed):
                        break
                later.close()

    async def _take_all(self, inputs: AsyncIterable[Input]) -> None:
        async for one in inputs:
            await self._take(one)
            if self.leaving:
                break
        self._tasks.cancel_scope.cancel()

    def _taken_at_once(self, one: Input) -> bool:
        match one:
            case Interrupted() if self._command is not None:
                self._command.cancel()
            case Said(text) if self._questions:
                self._questions.pop(0).answer(text.strip())
            case _:
                return False
        return True

    async def _take(self, one: Input) -> None:
        again, self._asked_to_leave = self._asked_to_leave, False
        match one:
            case Closed():
                self.leaving = True
            case Interrupted() if self._going:
                self._interrupt()
            case Interrupted():
                self.leaving = again
                self._asked_to_leave = True
                if not again:
                    self.tell("Press Ctrl-C once more to leave, or type /quit.")
            case Pressed(key):
                await self._safely(self.app.keys[key], self)
            case Said(text) if self._taken_at_once(one) or not text.strip():
                pass
            case Said(text, queued) if text.startswith("/"):
                if (prompt := self.app.prompted(text[1:])) is not None:
                    self.say(prompt, queued=queued)
                else:
                    await self._safely(self.app.commands.run, text[1:], self)
            case Said(text, queued):
                self.say(text, queued=queued)

    def say(self, text: str, *, queued: bool = False) -> None:
        """Say something to the agent: it begins a run, or is heard by the one that goes.

        Args:
            text: what to say; files and images behind an `@` are attached.
            queued: to be heard when the agent would stop, and not before.
        """
        message = _message(text)
        if not self._going:
            self.start(message)
        elif queued:
            self.agent.follow_up(message)
            self.tell("(heard when it would stop)")
        else:
            self.agent.steer(message)
            self.tell("(heard as soon as it can be)")

    async def approve(self, invocation: Invocation) -> Verdict:
        """Ask the person whether a call may run; what they say next is the answer.

        Cancellation:
            At once; the question is taken back.
        """
        call = invocation.call
        question = _Question()
        self._questions.append(question)
        self.tell(f"{call.name} {dict(call.arguments)!r}\nrun it? [y]es, [a]lways, or why not")
        try:
            await question.answered.wait()
        finally:
            if question in self._questions:
                self._questions.remove(question)
        return question.verdict

    def start(self, prompt: UserMessage | None) -> None:
        """Start a run: with something to say, or from the conversation as it stands."""
        self._going = True
        self._tasks.start_soon(self._follow, prompt)

    async def _follow(self, prompt: UserMessage | None) -> None:
        try:
            async with self.agent.run(prompt) as self.run:
                async for event in self.run:
                    self.display.show(event)
        except TetherError as error:
            self.tell(f"! {error}")
        except Exception as error:  # noqa: BLE001 - an extension's, as a rule; the conversation goes on
            self.tell("".join(traceback.format_exception(error)).rstrip())
        finally:
            self.run, self._going, self._cut = None, False, False
            self.display.stop()

    def _interrupt(self) -> None:
        """Once: cut off what is in flight. Twice: end the run."""
        if self.run is None:
            return
        if self._cut:
            self.run.abort()
        else:
            self._cut = True
            self.run.interrupt()

    async def _safely(self, function: Callable[..., Any], *arguments: object) -> None:
        """Call what a person has called, and tell what comes of it."""
        try:
            with anyio.CancelScope() as self._command:
                answer = function(*arguments)
                if hasattr(answer, "__await__"):
                    answer = await answer
                if answer is not None:
                    self.tell(str(answer))
            if self._command.cancelled_caught:
                self.tell("(cut off)")
        except TetherError as error:
            self.tell(f"! {error}")
        except Exception as error:  # noqa: BLE001 - the conversation goes on
            self.tell("".join(traceback.format_exception(error)).rstrip())
        finally:
            self._command = None


def _message(text: str) -> UserMessage:
    """Make a message of what was said, with the files and images that it names behind an `@`."""
    blocks: list[UserBlock] = [Text(text)]
    for found in _ATTACHED.finditer(text):
        path = Path(found[1]).expanduser()
        if path.is_file():
            blocks.append(_attached(path))
    return UserMessage(blocks)


def _attached(path: Path) -> UserBlock:
    kind = mimetypes.guess_type(path.name)[0] or ""
    if kind.startswith("image/"):
        return Image(path.read_bytes(), kind)
    with path.open("rb") as file:
        content = file.read(_LONGEST_FILE).decode(errors="replace")
    more = "\n[...]" if path.stat().st_size > _LONGEST_FILE else ""
    return Text(f"{path}:\n{content}{more}")
