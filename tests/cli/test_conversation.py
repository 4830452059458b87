"""A conversation without a terminal: what is said, pressed and commanded, while runs go on."""

import io
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, get_args

import anyio
import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from tests.waiting import until_blocked

from tether import (
    Agent,
    AgentEnd,
    Event,
    Image,
    ModelError,
    Session,
    Text,
    ToolResultMessage,
    UserMessage,
    tool,
)
from tether.cli.conversation import (
    Closed,
    Conversation,
    Escaped,
    Input,
    Interrupted,
    Pressed,
    State,
    Typed,
)
from tether.cli.display import Screen
from tether.cli.door import printable
from tether.cli.editor import KEYS
from tether.cli.extensions import App
from tether.cli.input.completing import completer, completions
from tether.cli.permission.asking import is_asked_about, permission
from tether.cli.slash_commands import slash_commands
from tether.hooks import HookPoint
from tether.testing import Pause, ScriptedModel, call, check_transcript
from tether.toolbox import coding_tools

GUARD = 60


@tool
async def hang() -> None:
    """Hang."""
    await anyio.sleep_forever()


@tool
async def add(a: int) -> int:
    """Add."""
    return a + 1


class Person:
    """Says things, and reads what is told."""

    def __init__(
        self, conversation: Conversation, told: list[str], send: Callable[[Input], Awaitable[None]]
    ):
        self.conversation = conversation
        self.told = told
        self._send = send

    async def does(self, *inputs: Input | str) -> list[str]:
        """Do things one after the other; return what was told."""
        before = len(self.told)
        for one in inputs:
            # A question that is open has been drawn: here everything is drawn at once.
            typed = Typed(one, answers=self.conversation.question) if isinstance(one, str) else one
            await self._send(typed)
            await until_blocked()
        return self.told[before:]

    async def hurries(self, *inputs: Input | str) -> None:
        """Do things one so soon after the other that nothing happens between them."""
        for one in inputs:
            await self._send(Typed(one) if isinstance(one, str) else one)


@asynccontextmanager
async def talking(agent: Agent, **app: Any) -> AsyncIterator[Person]:
    told: list[str] = []
    screen = io.StringIO()
    conversation = Conversation(
        App(agent, slash_commands(), **app),
        Screen(screen),
        lambda text: told.append(printable(text)),
    )
    send, inputs = anyio.create_memory_object_stream[Input](10)
    with anyio.fail_after(GUARD):
        async with anyio.create_task_group() as tasks, send, inputs:
            tasks.start_soon(conversation.hold, inputs)
            await until_blocked()
            person = Person(conversation, told, send.send)
            yield person
            if conversation.state is not State.LEFT:
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


async def test_steering_with_nothing_running_starts_a_run() -> None:
    agent = Agent(ScriptedModel("Hello."))
    async with talking(agent) as person:
        await person.does("/steer hi")
    assert texts(agent) == ["hi", "Hello."]


async def test_what_is_said_meanwhile_steers_or_waits() -> None:
    go_on = anyio.Event()
    agent = Agent(ScriptedModel(["Hel", Pause(go_on), "lo."], "Shorter.", "And bye."))
    async with talking(agent) as person:
        told = await person.does("hi", "Shorter!", Typed("Say bye.", queued=True))
        assert told == [
            "(queued: the agent reads it after this step)",
            "(queued: the agent reads it when it has finished)",
        ]
        go_on.set()
        await until_blocked()
    assert texts(agent) == ["hi", "Hello.", "Shorter!", "Shorter.", "Say bye.", "And bye."]


async def test_what_a_command_says_waits_as_its_line_does() -> None:
    go_on = anyio.Event()
    agent = Agent(ScriptedModel(["Hel", Pause(go_on), "lo."], "Shorter.", "And bye."))
    async with talking(agent) as person:
        commands = person.conversation.app.commands
        commands.command("bye")(bye)
        assert await person.does("hi", Typed("/bye", queued=True), "Shorter!") == [
            "(queued: the agent reads it when it has finished)",
            "(queued: the agent reads it after this step)",
        ]
        go_on.set()
        await until_blocked()
    assert texts(agent) == ["hi", "Hello.", "Shorter!", "Shorter.", "Say bye.", "And bye."]


def bye(conversation: Conversation) -> None:
    conversation.say("Say bye.")


async def test_what_is_said_just_as_a_run_ends_starts_the_next() -> None:
    class Interrupting(Screen):
        def show(self, event: Event) -> None:
            if isinstance(event, AgentEnd) and len(agent.messages) == 2:
                person.conversation.say("late")

    agent = Agent(ScriptedModel("One.", "Two."))
    async with talking(agent) as person:
        person.conversation.display = Interrupting(io.StringIO())
        assert await person.does("hi") == ["(queued: the agent reads it after this step)"]
    assert texts(agent) == ["hi", "One.", "late", "Two."]


async def test_esc_cuts_off_ctrl_c_stops_and_then_leaves_and_the_conversation_survives() -> None:
    agent = Agent(
        ScriptedModel(["Hel", Pause()], call("hang"), ["So", Pause()], "Gone on."), tools=[hang]
    )
    async with talking(agent) as person:
        await person.does("one", Escaped())
        assert not agent.state.running, "behind a reply that was cut off the run ends"
        await person.does("two", Escaped())
        assert agent.state.running, "behind a call that was cut off it goes on"
        await person.does(Interrupted())
        assert not agent.state.running
        assert person.conversation.state is State.CONFIRMING
        assert await person.does("three") == []
        [told] = await person.does(Interrupted())
        assert "once more" in told
        await person.does(Escaped())
        assert person.conversation.state is State.IDLE
        await person.does(Interrupted(), Interrupted())
        assert person.conversation.state is State.LEFT
    outcomes = [m.outcome for m in agent.messages if isinstance(m, ToolResultMessage)]
    assert outcomes == ["interrupted"]
    assert texts(agent)[-2:] == ["three", "Gone on."]


async def test_ctrl_c_twice_leaves_also_while_a_run_is_still_stopping() -> None:
    @tool
    async def clean() -> None:
        """Clean up at length."""
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.move_on_after(GUARD, shield=True):
                await go_on.wait()

    go_on = anyio.Event()
    agent = Agent(ScriptedModel(call("clean")), tools=[clean])
    async with talking(agent) as person:
        await person.does("go", Interrupted())
        assert person.conversation.state.value == "stopping"
        await person.does("never mind", Interrupted())
        assert person.conversation.state is State.LEFT
        go_on.set()


async def test_leaving_cancels_the_run_that_goes() -> None:
    agent = Agent(ScriptedModel(["Hel", Pause()]))
    async with talking(agent) as person:
        await person.does("hi", "/quit")
    assert texts(agent) == ["hi", "Hel"]


async def test_what_goes_wrong_is_told_and_the_conversation_goes_on() -> None:
    agent = Agent(ScriptedModel(ModelError("gone", kind="server"), *["Hello."] * 3))

    def fail(_: object) -> None:
        raise LookupError("hook")

    async with talking(agent) as person:
        assert await person.does("hi") == ["! gone (server)"]
        agent.hooks.add("after_model", fail)
        [told] = await person.does("hi")
        assert told.startswith("Traceback")
        assert told.endswith("LookupError: hook")
        agent.hooks.remove("after_model", fail)
        [told] = await person.does("/zzz is a path")
        assert told.startswith("! there is no command 'zzz'. /help lists all. A line that begins")
        assert await person.does(" /zzz is a path") == []
        [told] = await person.does("/eval 1 / 0")
        assert told.endswith("ZeroDivisionError: division by zero")
        assert re.findall(r'File "(.*)"', told) == ["<eval>"], "no frames of tether's own"
        [told] = await person.does("/eval 1 +")
        assert told.endswith("SyntaxError: invalid syntax")
        assert "ast.py" not in told
        assert await person.does("hi") == []


async def test_a_person_is_asked_and_their_next_words_are_the_answer() -> None:
    calls = [call("add", id=name, a=1) for name in "abc"]

    script = ScriptedModel(calls, call("add", a=2), "ok")
    agent = Agent(script, tools=[add], sequential=True)
    async with talking(agent) as person:
        agent.around_tool(permission({"add"}, person.conversation.ask))
        [told] = await person.does("go")
        assert told.splitlines()[:2] == ["add", "  a: 1"]
        assert "Run it? y = once, a = always allow add, n = no, or type a reason: " in told
        assert len(await person.does("n", "too small", "always")) == 2
    results = [m.text for m in agent.messages if isinstance(m, ToolResultMessage)]
    assert results == [
        "This call was denied: the user does not want it",
        "This call was denied: too small",
        "2",
        "3",
    ]


def test_a_person_is_asked_about_what_may_destroy_something(tmp_path: Path) -> None:
    asked_about = [one.name for one in coding_tools(tmp_path) if is_asked_about(one)]
    assert asked_about == ["write_file", "edit_file", "run_command"]
    assert is_asked_about(tool(name="drop", destructive=True)(lambda: None))
    assert not is_asked_about(tool(name="ours", description="")(lambda: None))


async def test_files_and_images_are_attached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    await anyio.Path("a.txt").write_text("content")
    await anyio.Path("b.png").write_bytes(b"png")
    agent = Agent(ScriptedModel("Seen."))
    async with talking(agent) as person:
        await person.does("look at @a.txt and @b.png and @nothing and me@home")
        assert list(completions(person.conversation, "see @")) == ["@a.txt", "@b.png"]
        assert list(completions(person.conversation, "see @b")) == ["@b.png"]
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
            assert told.startswith("6 entries, 1 branch, at ")
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
            nowhere = tmp_path / "missing" / "talk.html"
            [told] = await does(f"/export {nowhere}")
            assert told == f"! {nowhere} cannot be written: No such file or directory"
            assert await does("/eval len(agent.messages)") == ["2"]
            assert await does("/eval x = await agent.wait_idle()") == []
            assert await does("/eval y = 1; [x, y]") == ["[None, 1]"]
            assert await does("/hooks") == ["no hooks"]
            [told] = await does("/help fork")
            assert told.startswith("/fork [entry]")
            assert await does("/help /fork") == [told]
            [told] = await does("/help")
            for shown in ("/compact ", "/undo [--files] ", "@file ", "!command ", "#note ", "Esc "):
                assert f"\n{shown}" in f"\n{told}"
            assert await does("/reload") == ["loaded again"]
            [told] = await does("/compact")
            assert "summarised" in told


async def test_everything_can_be_described() -> None:
    agent = Agent(ScriptedModel(), tools=[hang])
    agent.around_tool(_noted)
    async with talking(agent, keys={"c-t": _noted}, prompts={"ask": "What?"}) as person:
        names = [command.name for command in person.conversation.app.commands]
        assert set(KEYS) >= {"c-c", "c-q", "tab", "escape enter"}
        for name in (*names, *get_args(HookPoint), *KEYS, "hang", "_noted", "c-t"):
            [told] = await person.does(f"/describe {name}")
            assert not told.startswith("!"), told
            assert len(told) > len(name) + 20
        [told] = await person.does("/describe hang")
        assert "wrapped by _noted" in told
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
        assert await person.does(Interrupted()) == ["(interrupted)"]
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
                assert list(completions(person.conversation, line)) == words, line
            offered = completer(person.conversation).get_completions(
                Document("/fork "), CompleteEvent()
            )
            assert "you: hi" in [one.display_meta_text for one in offered]


async def test_forks_go_to_what_was_said_by_somebody(tmp_path: Path) -> None:
    with Session.open(tmp_path / "s.jsonl") as session:
        agent = Agent(ScriptedModel(call("nosuch"), "One."), session=session)
        async with talking(agent) as person:
            await person.does("hi")
            offered = completer(person.conversation).get_completions(
                Document("/fork "), CompleteEvent()
            )
            assert [one.display_meta_text for one in offered] == ["you: hi", "agent: One."]


async def test_a_key_of_an_extension_is_pressed() -> None:
    pressed: list[Conversation] = []
    async with talking(Agent(ScriptedModel()), keys={"c-t": pressed.append}) as person:
        await person.does(Pressed("c-t"))
        assert pressed == [person.conversation]


async def test_a_key_that_was_unbound_while_it_was_on_its_way_does_nothing() -> None:
    agent = Agent(ScriptedModel("Heard."))
    async with talking(agent) as person:
        assert await person.does(Pressed("c-t"), "hi") == []
    assert texts(agent) == ["hi", "Heard."]


async def test_ctrl_c_at_the_heels_of_a_command_interrupts_it() -> None:
    async with talking(Agent(ScriptedModel("Heard."))) as person:
        person.conversation.app.command("hang")(anyio.sleep_forever)
        for number in range(1, 9):
            await person.hurries("/hang", Interrupted())
            await until_blocked()
            assert person.told == ["(interrupted)"] * number
        await person.hurries("/hang", "hi", Interrupted())
        await until_blocked()
        assert person.told[8:] == ["(interrupted)"]
    assert texts(person.conversation.agent) == ["hi", "Heard."]


async def test_ctrl_c_stops_a_run_that_has_not_begun_yet() -> None:
    agent = Agent(ScriptedModel("Heard."))
    async with talking(agent) as person:
        conversation = person.conversation

        def both() -> None:
            conversation.say("hi")
            assert conversation.run is None
            conversation._interrupt()

        conversation.app.command("both")(both)
        assert await person.does("/both") == []
        assert conversation.state is State.CONFIRMING
        assert "Heard." not in texts(agent)
        await person.does("go on")
    assert texts(agent)[-1] == "Heard."


async def test_questions_are_asked_one_after_the_other_and_a_cancelled_one_is_withdrawn() -> None:
    answers: dict[str, str] = {}
    async with talking(Agent(ScriptedModel("Heard."))) as person:

        async def ask(question: str) -> None:
            answers[question] = await person.conversation.ask(question)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "first?")
            await until_blocked()  # trio starts tasks in any order
            tasks.start_soon(ask, "second?")
            await until_blocked()
            assert person.told == ["first?"]
            assert await person.does(" one ") == ["second?"]
            assert await person.does("two") == []
            tasks.start_soon(ask, "third?")
            await until_blocked()
            tasks.cancel_scope.cancel()
        assert person.told[2:] == ["third?", "(the question is withdrawn)"]
        await person.does("hello")
    assert answers == {"first?": "one", "second?": "two"}
    assert texts(person.conversation.agent) == ["hello", "Heard."]


async def test_a_line_that_was_typed_before_the_question_is_no_answer_to_it() -> None:
    agent = Agent(ScriptedModel(call("add", a=1), "ok"), tools=[add])
    async with talking(agent) as person:
        agent.around_tool(permission({"add"}, person.conversation.ask))
        await person.does("go")
        asked = person.conversation.question
        assert await person.does(Typed("y")) == ["(queued: the agent reads it after this step)"]
        assert person.conversation.question is asked
        assert asked is not None
        await person.does(Typed("n", answers=asked))
        [told] = await person.does(Typed("y", answers=asked))
        assert told == "(the question was withdrawn; not taken: y)"
    assert [m.outcome for m in agent.messages if isinstance(m, ToolResultMessage)] == ["denied"]


async def test_two_calls_at_once_are_asked_about_one_after_the_other_in_order() -> None:
    agent = Agent(ScriptedModel([call("add", a=n) for n in (1, 2, 3)], "ok"), tools=[add])
    async with talking(agent) as person:
        agent.around_tool(permission({"add"}, person.conversation.ask))
        [first] = await person.does("go")
        [second] = await person.does("y")
        [third] = await person.does("n")
        await person.does("y")
    assert ["a: 1" in first, "a: 2" in second, "a: 3" in third] == [True] * 3
    outcomes = [m.outcome for m in agent.messages if isinstance(m, ToolResultMessage)]
    assert outcomes == ["ok", "denied", "ok"]


async def test_ctrl_c_at_a_question_withdraws_it() -> None:
    agent = Agent(ScriptedModel(call("add", a=1), "ok"), tools=[add])
    async with talking(agent) as person:
        agent.around_tool(permission({"add"}, person.conversation.ask))
        await person.does("go")
        assert await person.does(Interrupted()) == ["(the question is withdrawn)"]
        assert person.conversation.question is None
    assert [m.outcome for m in agent.messages if isinstance(m, ToolResultMessage)] == ["skipped"]


async def test_a_run_that_goes_on_is_not_disturbed_by_another_start() -> None:
    agent = Agent(ScriptedModel(["Hel", Pause()]))
    async with talking(agent) as person:
        await person.does("hi")
        run = person.conversation.run
        [told] = await person.does("/eval conversation.start(None)")
        assert told == "! a run is going on; say something to it, or wait until it has ended"
        assert person.conversation.run is run
        assert person.conversation.state is State.RUNNING


async def test_anything_but_ctrl_c_takes_back_the_wish_to_leave() -> None:
    states: list[State] = []
    agent = Agent(ScriptedModel(["Hel", Pause()], ["So", Pause()]))
    async with talking(agent) as person:
        for one in ("hi", Interrupted(), " ", Interrupted(), " ", "hi", "/quit"):
            await person.does(one)
            states.append(person.conversation.state)
    assert states == [
        State.RUNNING,
        State.CONFIRMING,
        State.IDLE,
        State.CONFIRMING,
        State.IDLE,
        State.RUNNING,
        State.LEFT,
    ]
    assert person.conversation.state is State.LEFT, "also when the run has ended after it"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("/fork zzz", "! no entry begins with 'zzz'; /tree shows all"),
        ("/undo", "! there is no request yet"),
        ("/retry", "! there is no request yet"),
        ("/tree", "no messages yet"),
        ("/thinking", "thinking: vendor default"),
        ("/session", "0 entries, 0 branches, at the start"),
    ],
)
async def test_what_commands_say_before_anything_happened(
    tmp_path: Path, command: str, told: str
) -> None:
    with Session.open(tmp_path / "s.jsonl") as session:
        async with talking(Agent(ScriptedModel(), session=session)) as person:
            assert await person.does(command) == [told]
