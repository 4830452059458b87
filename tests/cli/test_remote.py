"""A conversation on a server at a terminal, without the terminal: what is said, asked, answered, and lost."""

import io
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.from_thread import start_blocking_portal
from attrs import define, field
from tests.cli.screen import terminal

from tether import (
    Agent,
    ApprovalAnswered,
    ApprovalRequested,
    Commands,
    Session,
    Text,
    ToolExecutionStart,
    UserMessage,
)
from tether.cli.conversation import Closed, Escaped, Input, Interrupted, Typed
from tether.cli.display import Screen
from tether.cli.door import printable
from tether.cli.extensions import App
from tether.cli.input.completing import completions
from tether.host import Conversation, FolderStore
from tether.testing import Pause, call

pytest.importorskip("starlette", reason="starlette is not installed")

from tests.web.asgi import opened
from tests.web.servers import GUARD, hypercorn
from tests.web.test_native import talking

from tether.cli.attach_command import AttachArguments, offered_by, run
from tether.cli.remote import RemoteTalk, remote_commands
from tether.cli.status import Status
from tether.web import ListedCommand, Remote, RemoteConversation, connect


@define
class Person:
    """Says things, and reads what is told and shown."""

    conversation: RemoteTalk
    send: Callable[[Input], None]
    screen: io.StringIO = field(factory=io.StringIO)
    told: list[str] = field(factory=list)

    async def until(self, text: str) -> None:
        with anyio.fail_after(GUARD):
            while text not in self.screen.getvalue() and not any(text in t for t in self.told):
                await anyio.sleep(0.005)

    async def until_asked(self) -> None:
        with anyio.fail_after(GUARD):
            while self.conversation.question is None:
                await anyio.sleep(0.005)

    def says(self, text: str) -> None:
        self.send(Typed(text, answers=self.conversation.question))


@asynccontextmanager
async def attached(talk: RemoteConversation) -> AsyncIterator[Person]:
    screen, told = io.StringIO(), list[str]()
    conversation = RemoteTalk(
        App(Agent("offline"), remote_commands(await talk.remote.commands())),
        Screen(screen),
        lambda text: told.append(printable(text)),
        talk=talk,
    )
    assert "ask" not in Status(conversation).line(), "the server decides what is asked about"
    send, inputs = anyio.create_memory_object_stream[Input](100)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(conversation.hold, inputs)
        with send, inputs:
            yield Person(conversation, send.send_nowait, screen, told)
            send.send_nowait(Closed())
            with anyio.fail_after(GUARD):
                while conversation.state.value != "left":
                    await anyio.sleep(0.005)


@asynccontextmanager
async def conversation_on_a_server(*replies: Any) -> AsyncIterator[RemoteConversation]:
    async with hypercorn(talking(*replies)) as url, connect(url) as remote:
        yield await remote.conversation()


async def test_a_person_says_something_and_allows_a_call() -> None:
    async with (
        conversation_on_a_server(["Wait. ", call("look", at="it")], "Fine.", "Bye.") as talk,
        attached(talk) as person,
    ):
        person.says("look at it")
        await person.until_asked()
        assert person.conversation.busy
        person.says("y")
        await person.until("Fine.")
        await person.until("2 turns")
        assert "* look(at='it')" in person.screen.getvalue()
        person.says("bye")
        await person.until("Bye.")


async def test_who_comes_later_sees_where_the_conversation_is_and_another_answers() -> None:
    async with (
        conversation_on_a_server("Hello.", [call("look", at="it")], "Fine.") as talk,
        attached(talk) as one,
    ):
        one.says("hi")
        await one.until("Hello.")
        await one.until("1 turn")
        one.says("look")
        await one.until_asked()
        async with attached(talk) as other:
            await other.until("(hi; 4 messages)\nHello.\n> look")
            await other.until_asked()
            other.says("no")
            await one.until("withdrawn")
            await one.until("denied")
            await other.until("Fine.")
        await one.until("Fine.")


async def test_esc_cuts_off_and_ctrl_c_stops_the_run_on_the_server() -> None:
    async with (
        conversation_on_a_server(["Well", Pause()], ["Again", Pause()], "So.") as talk,
        attached(talk) as person,
    ):
        person.says("go")
        await person.until("Well")
        person.says("shorter")
        await person.until("after this step")
        person.send(Escaped())
        await person.until("Again")
        person.send(Interrupted())
        await person.until("; stopped")


async def test_commands_and_errors_are_told() -> None:
    async with conversation_on_a_server("Hello.") as talk, attached(talk) as person:
        await person.until("(0 messages)")
        person.says("/rename 'A name'")
        person.says("/list")
        await person.until("A name")
        await person.until(talk.id)  # whole: ids of files begin with their date
        person.says("/cancel x")
        await person.until("HTTP 409")
        person.says("/help")
        await person.until("Leave; nothing ends")
        person.says("/quit")
        with anyio.fail_after(GUARD):
            while person.conversation.state.value != "left":
                await anyio.sleep(0.005)


def reviewing() -> Commands:
    """What a server may offer; two of these names are the terminal's own, or none at all."""
    commands = Commands(Conversation)

    @commands.command(raw=True, hint="BRANCH")
    def review(words: str = "") -> UserMessage:
        """Review a change."""
        return UserMessage(f"Review {words!r}.")

    @commands.command()
    def title(talk: Conversation) -> str:
        """Show the title."""
        return f"It is {talk.title}."

    @commands.command("quit")
    def ends(talk: Conversation) -> str:
        """End all."""
        raise AssertionError(talk)

    return commands


async def test_commands_of_the_server_are_offered_and_expanded_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.md").write_text("Be brief.\n")
    async with (
        hypercorn(talking("Fine.", commands=reviewing())) as url,
        connect(url) as remote,
    ):
        talk = await remote.conversation(title="a talk")
        async with attached(talk) as person:
            await person.until("(a talk; 0 messages)")
            assert [*completions(person.conversation, "/r")] == ["/rename", "/review"]
            person.says("/help review")
            await person.until("review BRANCH")
            person.says("/title")
            await person.until("It is a talk.")
            person.says("/nosuch main")
            await person.until("there is no command 'nosuch'. /help lists all")
            person.says("/review 'it' in @notes.md")
            await person.until("1 turn")
            said = (await talk.snapshot()).messages[0][1]
            assert isinstance(said, UserMessage)
            assert [block.text for block in said.content if isinstance(block, Text)] == [
                "Review \"'it' in @notes.md\".",
                "notes.md:\nBe brief.\n",
            ]
            person.says("/quit")


async def test_a_command_of_the_server_waits_as_its_line_does() -> None:
    go_on = anyio.Event()
    agent = talking(["Hel", Pause(go_on), "lo."], "Steered.", "Reviewed.", commands=reviewing())
    async with hypercorn(agent) as url, connect(url) as remote:
        talk = await remote.conversation()
        async with attached(talk) as person:
            person.says("hi")
            await person.until("Hel")
            person.send(Typed("/review it", queued=True))
            await person.until("(queued: the agent reads it when it has finished)")
            person.says("and steer")
            await person.until("(queued: the agent reads it after this step)")
            with anyio.fail_after(GUARD):
                while len((await talk.snapshot()).queued) < 2:
                    await anyio.sleep(0.005)
            go_on.set()
            await person.until("Reviewed.")
            await person.until("3 turns")
        texts = [message.text for _, message in (await talk.snapshot()).messages]
        assert texts == ["hi", "Hello.", "and steer", "Steered.", "Review 'it'.", "Reviewed."]


async def test_a_call_that_somebody_has_answered_at_once_is_not_asked_about() -> None:
    async with conversation_on_a_server("Hello.") as talk, attached(talk) as person:
        await person.until("(0 messages)")
        asked = ApprovalRequested("c1", "look", {"at": "it"})
        for event in (ToolExecutionStart("c1", "look", {"at": "it"}), asked):
            person.conversation._show(event)
        person.conversation._show(ApprovalAnswered("c1", "look", "once"))
        again = ApprovalRequested("c2", "look", {"at": "that"})
        for event in (ToolExecutionStart("c2", "look", {"at": "that"}), again):
            person.conversation._show(event)
        await person.until_asked()
        assert person.conversation.question is not None
        assert "that" in person.conversation.question.drawn


def test_what_a_server_offers_replaces_nothing_and_has_a_name() -> None:
    listed = [ListedCommand(name, "\x1b[2JWhat", "\x07") for name in ("quit", "", "a b", "go:on")]
    offered = remote_commands(listed)
    assert {one.name for one in offered} - {one.name for one in remote_commands()} == {"go:on"}
    assert "\x1b" not in offered.help("go:on") + offered.help("quit")
    assert offered["quit"].function is remote_commands()["quit"].function


async def test_a_server_that_knows_no_commands_offers_none() -> None:
    async with opened(talking()) as client:
        client.base_url = "http://localhost/elsewhere/"
        assert await offered_by(Remote(client)) == ()


@pytest.mark.skipif(os.name == "nt", reason="needs a terminal of Unix")
def test_a_command_of_the_server_at_a_terminal(tmp_path: Path) -> None:
    site = talking("Well.", commands=reviewing())
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(hypercorn(site)) as url,
        terminal(tmp_path, "attach", url, ready="(0 messages)") as there,
    ):
        there.types("/rev\t")
        there.until("> /review")
        there.says(" main")
        there.until("Review 'main'.")
        there.until("Well.")
        there.until_at_rest()
        there.says("/nosuch")
        there.until("there is no command 'nosuch'. /help lists all")
        there.says("/quit")
        assert there.until_gone() == 0


async def test_a_conversation_that_is_deleted_is_left() -> None:
    async with conversation_on_a_server("Hello.") as talk, attached(talk) as person:
        await person.until("(0 messages)")
        await talk.delete()
        await person.until("deleted")


async def test_where_another_process_writes_to_the_last_conversation_a_new_one_is_suggested(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = FolderStore(tmp_path)
    with Session(store.path("one")) as session:
        session.record(UserMessage("hi"))
        async with hypercorn(talking(store=store)) as url:
            arguments = AttachArguments(url=url, id="", new=False, token=None, backend="asyncio")
            assert await run(arguments) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert told.startswith("tether: another session writes to ")
    assert told.endswith("; `--new` begins another conversation")
