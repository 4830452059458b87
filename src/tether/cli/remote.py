"""A conversation on a server, as a person holds it at a terminal: the same inputs and displays, over HTTP."""
# ruff: noqa: D417 - the conversation is not an argument of the command

import math
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any, NoReturn

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from attrs import define, field, frozen

from tether import (
    AgentEnd,
    AgentStart,
    ApprovalAnswered,
    ApprovalRequested,
    Commands,
    Event,
    MessageEnd,
    ModelRequest,
    Text,
    ToolCall,
    UsageError,
    UserMessage,
)
from tether.advice.approval import verdict_of
from tether.cli.conversation import (
    WHEN_FINISHED,
    WHEN_STEERED,
    Conversation,
    Input,
    State,
)
from tether.cli.display import innermost
from tether.cli.door import printable
from tether.cli.question import question_about
from tether.cli.resuming import last_said
from tether.web import Changed, ListedCommand, RemoteConversation, RemoteError, Snapshot

__all__ = ()


@frozen
class _Elsewhere:
    """The model of a conversation on a server: a name."""

    name: str

    def stream(self, request: ModelRequest) -> NoReturn:
        raise UsageError("this model is asked by the server")


@frozen
class _Handle:
    """What Ctrl-C does to the run on the server."""

    interrupt: Callable[[], None]
    abort: Callable[[], None]


@define(eq=False)
class RemoteTalk(Conversation):
    """What goes on between a person and an agent on a server.

    Its own agent runs nothing; it holds what the server says of the conversation, for the line below the editor.

    Args:
        talk: the conversation.
    """

    talk: RemoteConversation = field(kw_only=True)
    _asked: dict[tuple[str, ...], anyio.CancelScope] = field(factory=dict, init=False)
    """The questions that are open: the path of agents, and the call."""
    _said: "MemoryObjectSendStream[tuple[UserMessage, bool]]" = field(init=False)
    _is_lost: bool = field(default=False, init=False)

    async def _take_all(self, inputs: AsyncIterable[Input]) -> None:
        self._said, said = anyio.create_memory_object_stream[tuple[UserMessage, bool]](math.inf)
        async with self._said, said:
            self._tasks.start_soon(self._send_all, said)
            self._tasks.start_soon(self._follow_all)
            await super()._take_all(inputs)

    @property
    def has_mode(self) -> bool:
        """Whether the mode says what the agent may do; the server decides that."""
        return False

    # What the person says.

    def _say(self, message: UserMessage, *, queued: bool | None = None) -> None:
        queued = self._queued if queued is None else queued
        if self._is_running:
            self.tell(f"(queued: {WHEN_FINISHED if queued else WHEN_STEERED})")
        self._said.send_nowait((self.with_heard(message), queued))

    def start(self, prompt: UserMessage | None) -> None:
        """Refuse: runs start on the server."""
        raise UsageError("runs start on the server: say something")

    async def _send_all(self, said: "MemoryObjectReceiveStream[tuple[UserMessage, bool]]") -> None:
        async for message, queued in said:
            with self._errors_told():
                await self._send(message, queued=queued)

    async def _send(self, message: UserMessage, *, queued: bool) -> None:
        texts = [block.text for block in message.content if isinstance(block, Text)]
        files = [block for block in message.content if not isinstance(block, Text)]
        uploads = [
            await self.talk.upload(getattr(f, "name", None) or f.type, f.data, f.media_type)
            for f in files
        ]
        if texts[0].startswith("/"):  # what was attached is none of the words of the command
            uploads += [await self._upload_text(text) for text in texts[1:]]
            del texts[1:]
        await self.talk.say(
            "\n\n".join(texts),
            uploads=uploads,
            when="follow_up" if queued else "steer",
            told=self.tell,
        )

    async def _upload_text(self, text: str) -> str:
        name, _, rest = text.partition(":\n")
        name, rest = (name, rest) if rest and "\n" not in name else ("attached", text)
        return await self.talk.upload(name, rest.encode(errors="replace"), "text/plain")

    # What the server says.

    async def _follow_all(self) -> None:
        try:
            async with self.talk.follow("now") as events:
                events.lost = self._lost
                async for followed in events:
                    self._found()
                    match followed:
                        case Snapshot():
                            self._begin(followed)
                        case Changed(model=model):
                            self.agent.model = _Elsewhere(model)
                        case event:
                            self._show(event)
            self.tell("(the conversation was deleted)")
        except RemoteError as error:
            self.tell(f"! {error}")
        self.leave()
        self._tasks.cancel_scope.cancel()

    def _lost(self, reason: str) -> None:
        if not self._is_lost:
            self.tell(f"(the connection is lost: {reason}; trying again)")
        self._is_lost = True

    def _found(self) -> None:
        if self._is_lost:
            self.tell("(connected again)")
        self._is_lost = False

    def _begin(self, snapshot: Snapshot) -> None:
        """Begin anew with what there is."""
        self._end_run()
        self.agent.model = _Elsewhere(snapshot.model)
        self.agent.reset(message for _, message in snapshot.messages)
        title = f"{snapshot.title}; " if snapshot.title else ""
        self.tell(
            "\n".join([f"({title}{len(snapshot.messages)} messages)", *last_said(self.agent)])
        )
        if snapshot.state != "idle":
            self._begin_run()

    def _show(self, event: Event) -> None:
        match event:
            case AgentStart():
                self._begin_run()
            case MessageEnd(message):
                self.agent.reset([*self.agent.messages, message])
            case _:
                pass
        self.display.show(event)
        path, inner = innermost(event)
        match inner:
            case ApprovalRequested(call_id):
                # At once: the answer of somebody else may come before the task begins.
                scope = self._asked[(*path, call_id)] = anyio.CancelScope()
                self._tasks.start_soon(self._ask_about, (*path, call_id), inner, scope)
            case ApprovalAnswered(call_id):
                self._withdraw((*path, call_id))
            case _:
                pass
        if isinstance(event, AgentEnd):
            self._end_run()

    def _begin_run(self) -> None:
        if self._state not in {State.LEFT, State.STOPPING}:
            self._state = State.RUNNING
        handle: Any = _Handle(self._sender(self.talk.interrupt), self._sender(self.talk.abort))
        self.run = handle

    def _end_run(self) -> None:
        for key in [*self._asked]:
            self._withdraw(key)
        self.run = None
        self._end_running()
        self.display.stop()

    def _sender(self, command: Callable[[], Awaitable[None]]) -> Callable[[], None]:
        async def send() -> None:
            with self._errors_told():
                await command()

        def start() -> None:
            self._tasks.start_soon(send)

        return start

    # Approvals.

    async def _ask_about(
        self, key: tuple[str, ...], asked: ApprovalRequested, scope: anyio.CancelScope
    ) -> None:
        call = ToolCall(asked.call_id, asked.name, asked.arguments)
        with self._errors_told(), scope:
            # Files of this machine say nothing about those of the server.
            answer = await self.ask(question_about(call, is_here=False, room=None))
            await self.talk.answer(asked.call_id, verdict_of(answer))
        if self._asked.get(key) is scope:
            del self._asked[key]

    def _withdraw(self, key: tuple[str, ...]) -> None:
        """Take a question away that somebody else has answered, or nobody."""
        scope = self._asked.pop(key, None)
        if scope is not None:
            scope.cancel()


def remote_commands(offered: Iterable[ListedCommand] = ()) -> Commands:
    """Make the registry of slash commands.

    Args:
        offered: the commands of the server; none replaces one of the terminal's.
    """
    commands = Commands(Conversation)
    for function in (_help, _quit, _list, _rename, _abort, _cancel):
        commands.command(function.__name__.lstrip("_"))(function)
    for one in offered:
        if one.name and one.name not in commands:
            with suppress(UsageError):  # a name that no command can have
                add = commands.command(
                    one.name, help=printable(one.description), raw=True, hint=printable(one.hint)
                )
                add(_calling(one.name))
    return commands


def _calling(name: str) -> Callable[..., None]:
    """Make a command that the server expands."""

    def call(conversation: Conversation, words: str = "") -> None:
        conversation.say(f"/{name} {words}".rstrip())

    return call


def _help(conversation: Conversation, command: str | None = None) -> str:
    """List all commands, or explain one.

    Args:
        command: its name
    """
    return conversation.app.commands.help(command)


def _quit(conversation: Conversation) -> None:
    """Leave; nothing ends on the server."""
    conversation.leave()


async def _list(conversation: Conversation, search: str = "") -> str:
    """List the conversations on the server.

    Args:
        search: what the title or a message contains
    """
    found = await _talk(conversation).remote.conversations(search=search)
    lines = [f"{one.id}  {one.state:8} {one.messages:4} messages  {one.title}" for one in found]
    return "\n".join(
        [*lines, "`tether attach URL ID` holds one; the first characters of the id are enough."]
    )


async def _rename(conversation: Conversation, title: str) -> None:
    """Give the conversation a title.

    Args:
        title: in quotes, if it has several words
    """
    await _talk(conversation).rename(title)


async def _abort(conversation: Conversation) -> None:
    """End the run that is going."""
    await _talk(conversation).abort()


async def _cancel(conversation: Conversation, call_id: str) -> None:
    """Cancel one running call of a tool.

    Args:
        call_id: which
    """
    await _talk(conversation).cancel_tool(call_id)


def _talk(conversation: Conversation) -> RemoteConversation:
    if not isinstance(conversation, RemoteTalk):
        raise UsageError("this command is for conversations on a server")
    return conversation.talk
