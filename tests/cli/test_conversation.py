"""A conversation without a terminal: what is said, pressed and commanded, while runs go on."""

import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, get_args

import anyio
import pytest
from tests.waiting import until_blocked

from tether import (
    Agent,
    HookPoint,
    Image,
    ModelError,
    Session,
    Text,
    ToolResultMessage,
    UserMessage,
    approval,
    tool,
)
from tether.cli.conversation import Closed, Conversation, Input, Interrupted, Pressed, Said
from tether.cli.display import Screen
from tether.cli.editor import KEYS, completions
from tether.cli.extensions import App
from tether.cli.talk import talk_commands
from tether.testing import Pause, ScriptedModel, call, check_transcript

GUARD = 10


@tool
async def hang() -> None:
    """Hang."""
    await anyio.sleep_forever()


class Person:
    """Says things, and reads what is told."""

    def __init__(
        self, talk: Conversation, told: list[str], send: Callable[[Input], Awaitable[None]]
    ):
        self.talk = talk
        self.told = told
        self._send = send

    async def does(self, *inputs: Input | str) -> list[str]:
        """Do things one after the other; return what was told."""
        before = len(self.told)
        for one in inputs:
            await self._send(Said(one) if isinstance(one, str) else one)
            await until_blocked()
        return self.told[before:]


@asynccontextmanager
async def talking(agent: Agent, **app: Any) -> AsyncIterator[Person]:
    told: list[str] = []
    screen = io.StringIO()
    talk = Conversation(
        App(agent, talk_commands(), **app), Screen(screen, colour=False), told.append
    )
    send, inputs = anyio.create_memory_object_stream[Input](10)
    with anyio.fail_after(GUARD):
        async with anyio.create_task_group() as tasks, send, inputs:
            tasks.start_soon(talk.hold, inputs)
            await until_blocked()
            person = Person(talk, told, send.send)
            yield person
            if not talk.leaving:
                await send.send(Closed())
    assert not agent.state.running
    check_transcript(agent.messages)


def texts(agent: Agent) -> list[str]:
    return [message.text for message in agent.messages]


async def test_what_is_said_is_answered() -> None:
    agent = Agent(ScriptedModel("Hello.", "Fine."))
    async with talking(agent) as person:
        assert await person.does("hi", "", "  ", "how are you?") == []
    assert texts(agent) == ["hi", "Hello.", "how are you?", "Fine."]


async def test_what_is_said_meanwhile_steers_or_waits() -> None:
    go_on = anyio.Event()
    agent = Agent(ScriptedModel(["Hel", Pause(go_on), "lo."], "Shorter.", "And bye."))
    async with talking(agent) as person:
        told = await person.does("hi", "Shorter!", Said("Say bye.", queued=True))
        assert told == ["(heard as soon as it can be)", "(heard when it would stop)"]
        go_on.set()
        await until_blocked()
    assert texts(agent) == ["hi", "Hello.", "Shorter!", "Shorter.", "Say bye.", "And bye."]


async def test_ctrl_c_cuts_off_then_ends_then_asks_to_leave_and_the_conversation_survives() -> None:
    agent = Agent(
        ScriptedModel(["Hel", Pause()], call("hang"), ["So", Pause()], "Gone on."), tools=[hang]
    )
    async with talking(agent) as person:
        await person.does("one", Interrupted())
        assert not agent.state.running, "behind a reply that was cut off the run ends"
        await person.does("two", Interrupted())
        assert agent.state.running, "behind a call that was cut off it goes on"
        await person.does(Interrupted())
        assert not agent.state.running
        assert await person.does("three") == []
        [told] = await person.does(Interrupted())
        assert "once more" in told
        await person.does("/tools")
        assert not person.talk.leaving
        await person.does(Interrupted(), Interrupted())
        assert person.talk.leaving
    outcomes = [m.outcome for m in agent.messages if isinstance(m, ToolResultMessage)]
    assert outcomes == ["interrupted"]
    assert texts(agent)[-2:] == ["three", "Gone on."]


async def test_leaving_cancels_the_run_that_goes() -> None:
    agent = Agent(ScriptedModel(["Hel", Pause()]))
    async with talking(agent) as person:
        await person.does("hi", "/quit")
    assert texts(agent) == ["hi", "Hel"]


async def test_what_goes_wrong_is_told_and_the_conversation_goes_on() -> None:
    agent = Agent(ScriptedModel(ModelError("gone", kind="server"), "Hello.", "Hello."))

    def fail(_: object) -> None:
        raise LookupError("hook")

    async with talking(agent) as person:
        assert await person.does("hi") == ["! gone (server)"]
        agent.hooks.add("after_model", fail)
        [told] = await person.does("hi")
        assert told.startswith("Traceback")
        assert told.endswith("LookupError: hook")
        agent.hooks.remove("after_model", fail)
        assert await person.does("/zzz") == ["! there is no command 'zzz'"]
        [told] = await person.does("/eval 1 / 0")
        assert told.endswith("ZeroDivisionError: division by zero")
        assert await person.does("hi") == []


async def test_a_person_is_asked_and_their_next_words_are_the_answer() -> None:
    calls = [call("add", id=name, a=1) for name in "abc"]

    @tool
    async def add(a: int) -> int:
        """Add."""
        return a + 1

    script = ScriptedModel(calls, call("add", a=2), "ok")
    agent = Agent(script, tools=[add], sequential=True)
    async with talking(agent) as person:
        agent.around_tool(approval(person.talk.approve))
        [told] = await person.does("go")
        assert told.startswith("add {'a': 1}\nrun it?")
        assert len(await person.does("n", "too small", "always")) == 2
    results = [m.text for m in agent.messages if isinstance(m, ToolResultMessage)]
    assert results == [
        "This call was denied: the user does not want it",
        "This call was denied: too small",
        "2",
        "3",
    ]


async def test_files_and_images_are_attached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    await anyio.Path("a.txt").write_text("content")
    await anyio.Path("b.png").write_bytes(b"png")
    agent = Agent(ScriptedModel("Seen."))
    async with talking(agent) as person:
        await person.does("look at @a.txt and @b.png and @nothing and me@home")
        assert list(completions(person.talk, "see @")) == ["@a.txt", "@b.png"]
        assert list(completions(person.talk, "see @b")) == ["@b.png"]
    [asked, _] = agent.messages
    assert isinstance(asked, UserMessage)
    assert asked.content[1:] == (Text("a.txt:\ncontent"), Image(b"png", "image/png"))


async def test_commands_of_a_conversation(tmp_path: Path) -> None:
    with Session.open(tmp_path / "s.jsonl") as session:
        agent = Agent(
            ScriptedModel("One.", "Two.", "Two again.", "Long.", "Three."),
            tools=[hang],
            session=session,
        )
        async with talking(agent, models={"mine": lambda: agent.model}) as person:
            does = person.does
            await does("first", "second")
            assert await does("/model mine") == ["scripted"]
            assert await does("/thinking high") == ["thinking: high"]
            assert await does("/tools") == ["hang: Hang."]
            [told] = await does("/session")
            assert told.startswith("6 entries, 1 branches")
            assert await does("/undo") == ["2 messages are left"]
            await does("second", "/retry")
            assert texts(agent) == ["first", "One.", "second", "Long."], "the script went on"
            [tree] = await does("/tree")
            assert [line[0] for line in tree.splitlines()].count(" ") == 4
            first = agent.messages[1].id
            entry = next(e.id for e in session.entries.values() if e.data.get("id") == first)
            assert await does(f"/fork {entry[:6]}") == ["2 messages on this branch"]
            [told] = await does("/cost")
            assert "tokens in" in told
            page = tmp_path / "talk.html"
            assert await does(f"/export {page}") == [f"written to {page}"]
            assert "<p>first</p>" in page.read_text()
            assert await does("/eval len(agent.messages)") == ["2"]
            assert await does("/eval x = await agent.wait_idle()") == []
            assert await does("/eval y = 1; [x, y]") == ["[None, 1]"]
            assert await does("/hooks") == ["there are none"]
            [told] = await does("/help fork")
            assert told.startswith("fork entry")
            assert await does("/reload") == ["loaded again"]
            [told] = await does("/compact")
            assert "summarised" in told


async def test_everything_can_be_described() -> None:
    agent = Agent(ScriptedModel(), tools=[hang])
    agent.around_tool(_noted)
    async with talking(agent, keys={"c-t": _noted}, prompts={"ask": "What?"}) as person:
        names = [command.name for command in person.talk.app.commands]
        assert set(KEYS) >= {"c-c", "c-q", "tab", "escape enter"}
        for name in (*names, *get_args(HookPoint), *KEYS, "hang", "_noted", "c-t"):
            [told] = await person.does(f"/describe {name}")
            assert not told.startswith("!"), told
            assert len(told) > len(name) + 20
        [told] = await person.does("/describe hang")
        assert "advised by _noted" in told
        assert "test_conversation.py" in told
        assert await person.does("/describe ask") == ["prompt /ask: What?"]
        [told] = await person.does("/describe nothing")
        assert told.startswith("! nothing is called 'nothing'")


async def _noted(invocation: Any, proceed: Any) -> Any:
    """Note it."""
    return await proceed(invocation)


async def test_a_command_that_takes_its_time_holds_up_neither_a_person_nor_what_follows() -> None:
    agent = Agent(ScriptedModel("One."))
    async with talking(agent) as person:
        await person.does("/eval import anyio; go_on = anyio.Event(); await go_on.wait()", "hi")
        assert agent.messages == ()
        assert await person.does(Interrupted()) == ["(cut off)"]
        assert texts(agent) == ["hi", "One."]


async def test_a_prompt_is_said_by_its_name() -> None:
    agent = Agent(ScriptedModel("One.", "Two."))
    async with talking(agent, prompts={"ask": "What is"}) as person:
        await person.does("/ask", "/ask  a tether?")
        [told] = await person.does("/help")
        assert told.endswith("prompts: /ask")
    assert texts(agent)[::2] == ["What is", "What is a tether?"]


async def test_words_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    await anyio.Path("b c.txt").touch()
    await anyio.Path("sub").mkdir()
    await anyio.Path("sub/.hidden").touch()
    await anyio.Path("sub/d").touch()
    with Session.open(tmp_path / "s.jsonl") as session:
        agent = Agent(ScriptedModel("One."), tools=[hang], session=session)
        app: dict[str, Any] = {"prompts": {"recap": "?"}, "models": {"mine": lambda: agent.model}}
        async with talking(agent, **app) as person:
            await person.does("hi")
            head = session.head or ""
            for line, words in {
                "/re": ["/recap", "/reload", "/retry"],
                "/help des": ["describe"],
                "/thinking m": ["minimal", "medium"],
                "/model min": ["mine"],
                "/model groq": ["groq:"],
                f"/fork {head[:6]}": [head[:8]],
                "/describe han": ["hang"],
                "/describe before_t": ["before_tool"],
                "/export sub/": ["sub/d"],
                "see @sub/.": ["@sub/.hidden"],
                "see @su": ["@sub/"],
                "see @nowhere/": [],
                "nothing": [],
            }.items():
                assert list(completions(person.talk, line)) == words, line


async def test_a_key_of_an_extension_is_pressed() -> None:
    pressed: list[Conversation] = []
    async with talking(Agent(ScriptedModel()), keys={"c-t": pressed.append}) as person:
        await person.does(Pressed("c-t"))
        assert pressed == [person.talk]
