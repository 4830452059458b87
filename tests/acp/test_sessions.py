"""What an editor sees of sessions: the rules of the protocol, case by case."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.acp.editor import editing, scripted
from tests.waiting import until_blocked

from tether import (
    Agent,
    AgentEnd,
    AssistantMessage,
    Commands,
    Limits,
    ModelError,
    ToolCall,
    ToolContext,
    Usage,
    UserMessage,
    tool,
)
from tether.acp.jsonrpc import RpcError
from tether.calls import CallAsked
from tether.host import Conversation, FolderStore
from tether.testing import Pause, ScriptedModel, call


async def test_a_prompt_while_a_run_goes_steers_it_and_both_are_answered(tmp_path: Path) -> None:
    reached, go_on = anyio.Event(), anyio.Event()
    make = scripted(["Hm.", Pause(go_on, reached=reached)], "Both.")
    async with editing(make) as editor:
        session = await editor.new(tmp_path)
        reasons: list[str] = []

        async def prompt(text: str) -> None:
            reasons.append(await editor.prompt(session, text))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(prompt, "one")
            await reached.wait()
            tasks.start_soon(prompt, "two")
            await until_blocked()
            assert reasons == []
            go_on.set()
        assert reasons == ["end_turn", "end_turn"]
        assert editor.texts() == "Hm.Both."


@pytest.mark.parametrize(
    ("reply", "options", "reason"),
    [
        ("Fine.", {}, "end_turn"),
        (AssistantMessage("No.", stop_reason="refusal"), {}, "refusal"),
        (AssistantMessage("And th", stop_reason="length"), {}, "max_tokens"),
        (call("list_files"), {"limits": Limits(turns=1)}, "max_turn_requests"),
    ],
)
async def test_why_a_turn_has_ended(
    reply: Any, options: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    def make(_talk: Conversation, folder: Path) -> Agent:
        @tool(name="list_files")
        def look() -> str:
            """Look."""
            return "nothing"

        return Agent(ScriptedModel(reply), tools=[look], **options)

    async with editing(make) as editor:
        session = await editor.new(tmp_path)
        assert await editor.prompt(session, "go") == reason


@pytest.mark.parametrize(("kind", "code"), [("authentication", -32000), ("server", -32603)])
async def test_a_model_that_fails_is_an_error_and_the_session_goes_on(
    kind: Any, code: int, tmp_path: Path
) -> None:
    make = scripted(ModelError("no luck", kind=kind), "Better.")
    async with editing(make) as editor:
        session = await editor.new(tmp_path)
        with pytest.raises(RpcError, match="no luck") as caught:
            await editor.prompt(session, "go")
        assert caught.value.code == code
        assert await editor.prompt(session, "again") == "end_turn"


@pytest.mark.parametrize("how", ["session/cancel", "$/cancel_request"])
async def test_a_cancelled_turn_withdraws_its_question(how: str, tmp_path: Path) -> None:
    asked = anyio.Event()
    withdrawn: list[str] = []

    async def think(_: Any) -> Any:
        asked.set()
        try:
            await anyio.sleep_forever()
        finally:
            withdrawn.append("yes")

    make = scripted(call("write_file", path="a", content="b"), "Fine.")
    async with editing(make) as editor:
        editor.answer = think
        session = await editor.new(tmp_path)
        if how == "session/cancel":
            async with anyio.create_task_group() as tasks:

                async def prompt() -> None:
                    assert await editor.prompt(session, "go") == "cancelled"

                tasks.start_soon(prompt)
                await asked.wait()
                await editor.notify("session/cancel", sessionId=session)
        else:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(editor.prompt, session, "go")
                await asked.wait()
                tasks.cancel_scope.cancel()
        while not withdrawn:
            await until_blocked()
        assert await editor.prompt(session, "and now?") == "end_turn"
        assert editor.texts() == "Fine."


async def test_four_answers_to_a_question(tmp_path: Path) -> None:
    """What is always allowed, or never, is asked about once."""
    options = iter(["always", "never"])

    async def choose(_: Any) -> Any:
        return {"outcome": {"outcome": "selected", "optionId": next(options)}}

    writes = [call("write_file", path=name, content="b") for name in "ab"]
    edits = [call("edit_file", path="a", old="b", new=name) for name in "cd"]
    async with editing(scripted(*writes, *edits, "Done.")) as editor:
        editor.answer = choose
        session = await editor.new(tmp_path)
        assert await editor.prompt(session, "go") == "end_turn"
        titles = [one["toolCall"]["title"] for one in editor.asked]
        assert titles == ["Write a file: a", "Edit a file: a"]
        ended = [one["status"] for one in editor.of("tool_call_update") if "status" in one]
        assert [one for one in ended if one != "in_progress"] == [
            *("completed", "completed"),
            *("failed", "failed"),
        ]


@pytest.mark.parametrize(
    "answer",
    [None, {}, {"outcome": {"outcome": "cancelled"}}, {"outcome": {"outcome": "selected"}}, "yes"],
)
async def test_what_is_no_permission_is_a_refusal(answer: Any, tmp_path: Path) -> None:
    async def choose(_: Any) -> Any:
        return answer

    async with editing(scripted(call("write_file", path="a", content="b"), "Fine.")) as editor:
        editor.answer = choose if answer is not None else None
        session = await editor.new(tmp_path)
        assert await editor.prompt(session, "go") == "end_turn"
        assert not (tmp_path / "a").exists()


async def test_commands_are_offered_and_called(tmp_path: Path) -> None:
    commands = Commands(Conversation)

    @commands.command()
    def shout(text: str, talk: Conversation) -> str:
        """Say it loud.

        Args:
            text: what to say
        """
        return f"{text.upper()} {len(talk.agent.messages)}"

    async with editing(scripted("Hello."), commands=commands) as editor:
        session = await editor.new(tmp_path)
        assert await editor.prompt(session, "/shout hey") == "end_turn"
        assert editor.texts() == "HEY 0"
        (offered,) = editor.of("available_commands_update")
        (command,) = offered["availableCommands"]
        assert (command["name"], command["description"]) == ("shout", "Say it loud.")
        assert await editor.prompt(session, "/unknown hey") == "end_turn"
        assert editor.texts() == "HEY 0Hello."


async def test_plans_and_output_are_shown(tmp_path: Path) -> None:
    plan = [{"content": "think", "priority": "high", "status": "pending"}]

    @tool(kind="think")
    async def work(context: ToolContext[Any]) -> str:
        """Work."""
        await context.update(details={"plan": plan})
        await context.update("one ")
        await context.update("two")
        return "done"

    def make(_talk: Conversation, _folder: Path) -> Agent:
        return Agent(ScriptedModel(call("work"), "Fine."), tools=[work])

    async with editing(make) as editor:
        session = await editor.new(tmp_path)
        await editor.prompt(session, "go")
        assert editor.of("plan") == [{"sessionUpdate": "plan", "entries": plan}]
        contents = [
            "".join(part["content"]["text"] for part in one["content"])
            for one in editor.of("tool_call_update")
            if one.get("content")
        ]
        assert contents == ["one ", "one two", "done"]


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("session/new", {}, -32602),
        ("session/new", {"cwd": "relative", "mcpServers": []}, -32602),
        ("session/new", {"cwd": "/", "mcpServers": [{"name": "x"}]}, -32602),
        ("session/new", {"cwd": "/", "mcpServers": "x"}, -32602),
        ("session/prompt", {"sessionId": "no such", "prompt": []}, -32002),
        ("session/load", {"sessionId": "no such", "cwd": "/"}, -32002),
        ("session/resume", {"sessionId": "no such", "cwd": "/"}, -32002),
        ("session/close", {"sessionId": "no such"}, -32002),
        ("session/delete", {"sessionId": "no such"}, -32002),
        ("session/list", {"cwd": "/", "cursor": "nonsense"}, -32602),
        ("authenticate", {"methodId": "x"}, -32602),
        ("session/set_mode", {}, -32601),
        ("no/such", {}, -32601),
    ],
)
async def test_what_cannot_be_is_an_error_that_says_so(
    method: str, params: dict[str, Any], code: int
) -> None:
    async with editing(scripted("Hello.")) as editor:
        with pytest.raises(RpcError) as caught:
            await editor.request(method, **params)
        assert caught.value.code == code
        assert caught.value.message


@pytest.mark.parametrize(
    "prompt",
    [
        None,
        [],
        "hi",
        [{"type": "text"}],
        [{"type": "video", "uri": "x"}],
        [{"type": "image", "data": "!", "mimeType": "image/png"}],
        [{"type": "image", "data": "aGk=", "mimeType": "text/plain"}],
        [7],
    ],
)
async def test_a_prompt_that_cannot_be_is_refused(prompt: Any, tmp_path: Path) -> None:
    async with editing(scripted("Hello.")) as editor:
        session = await editor.new(tmp_path)
        with pytest.raises(RpcError) as caught:
            await editor.request("session/prompt", sessionId=session, prompt=prompt)
        assert caught.value.code == -32602
        assert await editor.prompt(session, "hi") == "end_turn"


async def test_two_sessions_at_once(tmp_path: Path) -> None:
    async with editing(scripted("Hello.", "More.")) as editor:
        one, two = await editor.new(tmp_path), await editor.new(tmp_path)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(editor.prompt, one, "hi")
            tasks.start_soon(editor.prompt, two, "hi")
        assert editor.texts().count("Hello.") == 2 or len(editor.texts()) == len("Hello." * 2)


async def test_title_and_usage_are_told(tmp_path: Path) -> None:
    usage = Usage(input_tokens=1000, output_tokens=24)
    reply = AssistantMessage("Hello.", usage=usage)

    def make(_talk: Conversation, _folder: Path) -> Agent:
        return Agent(ScriptedModel(reply, name="anthropic:claude-sonnet-4-5"))

    async with editing(make) as editor:
        session = await editor.new(tmp_path)
        await editor.prompt(session, "a question")
        assert editor.of("session_info_update") == [
            {"sessionUpdate": "session_info_update", "title": "a question"}
        ]
        (told,) = editor.of("usage_update")
        assert (told["used"], told["cost"]["currency"]) == (1024, "USD")
        assert told["size"] > 100_000
        assert told["cost"]["amount"] > 0


@pytest.mark.parametrize("plan", [[object()], [float("nan")], [b"x"], "x", {"a": {1, 2}}])
async def test_what_a_tool_puts_into_its_details_does_no_harm(plan: Any, tmp_path: Path) -> None:
    @tool
    async def work(context: ToolContext[Any]) -> str:
        """Work."""
        await context.update("half \ud800", details={"plan": plan})
        return "done \ud800"

    def make(_talk: Conversation, _folder: Path) -> Agent:
        return Agent(ScriptedModel(call("work"), "Fine."), tools=[work])

    async with editing(make) as editor:
        session = await editor.new(tmp_path)
        assert await editor.prompt(session, "go") == "end_turn"
        assert editor.texts() == "Fine."


@pytest.mark.parametrize("how", ["session/load", "session/resume"])
async def test_a_question_of_an_earlier_process_is_put_to_the_person(
    how: str, tmp_path: Path
) -> None:
    kept = FolderStore(tmp_path / "kept")
    session = await kept.open("s", "", create=True)
    assert session is not None
    with session:
        session.record(UserMessage("go"))
        write = ToolCall("c", "write_file", {"path": "a", "content": "b"})
        session.record(AssistantMessage([write], stop_reason="tool_calls"))
        session.note_call(CallAsked("c", write.name, write.arguments))
    ended = anyio.Event()

    async def choose(_: Any) -> Any:
        return {"outcome": {"outcome": "selected", "optionId": "once"}}

    def make(talk: Conversation, folder: Path) -> Agent:
        agent = scripted("Done.")(talk, folder)
        agent.subscribe(lambda event: ended.set() if isinstance(event, AgentEnd) else None)
        return agent

    async with editing(make, store=lambda _: kept) as editor:
        editor.answer = choose
        await editor.request("initialize", protocolVersion=1, clientCapabilities={})
        await editor.request(how, sessionId="s", cwd=str(tmp_path), mcpServers=[])
        await ended.wait()
        await until_blocked()
        assert len(editor.asked) == 1
        assert editor.texts() == "Done."
    assert await anyio.Path(tmp_path, "a").read_text() == "b"
