"""The official client of the protocol, in a process of its own, speaks to an agent here."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.acp import sdk
from tests.waiting import failing_after

from tether import Agent, ToolContext, tool
from tether.acp import serve
from tether.host import Conversation, FolderStore
from tether.testing import Backend, Reply, ScriptedModel, call
from tether.toolbox import coding_tools

missing = sdk.PACKAGES.why_missing()
pytestmark = pytest.mark.skipif(missing is not None, reason=missing or "")

BACKENDS = ["asyncio", "trio"]
ALL = {"fs": {"readTextFile": True, "writeTextFile": True}, "terminal": True}
Said = Sequence[list[Any]]


def _scripted(*replies: Reply) -> Any:
    def make(talk: Conversation, folder: Path) -> Agent:
        return Agent(ScriptedModel(*replies), tools=coding_tools(folder), approve=talk.approve)

    return make


def _run(backend: Backend, make: Any, steps: Sequence[Any], **options: Any) -> Said:
    """Have the client do its steps, and return what it says came of them."""
    store = options.pop("store", None)

    async def main() -> Said:
        client = sdk.HERE / "client.mjs"
        words = [str(sdk.PACKAGES.folder()), json.dumps(steps), json.dumps(options)]
        async with await anyio.open_process(["node", str(client), *words]) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            await serve(process.stdout, process.stdin, make, store=store and (lambda _: store))
            told = b"".join([part async for part in process.stderr])
            assert await process.wait() == 0, told
        said: Said = json.loads(told)
        return said

    with failing_after(60):
        return anyio.run(main, backend=backend)


def _text(said: Said, kind: str = "agent_message_chunk") -> str:
    updates = [one[1] for one in said if one[0] == "update"]
    return "".join(u["content"]["text"] for u in updates if u["sessionUpdate"] == kind)


def _answers(said: Said) -> list[Any]:
    return [one[1] for one in said if one[0] == "answer"]


def _states(said: Said) -> list[str]:
    updates = [one[1] for one in said if one[0] == "update"]
    return [
        u["status"] for u in updates if u["sessionUpdate"].startswith("tool_call") and "status" in u
    ]


@pytest.mark.parametrize("backend", BACKENDS)
def test_prompts_permissions_and_errors(backend: Backend, tmp_path: Path) -> None:
    write = call("write_file", path="a.txt", content="hello\n")
    make = _scripted("Hello there.", write, "Written.", write, "A pity.")
    steps = [
        ["initialize", {}],
        ["new", str(tmp_path)],
        ["prompt", "hi"],
        ["prompt", "write it"],
        ["prompt", "again"],
        ["session/set_config_option", {"configId": "thinking", "value": "high"}],
        ["session/set_config_option", {"configId": "thinking", "value": "nonsense"}],
        ["session/load", {"sessionId": "no such", "cwd": str(tmp_path), "mcpServers": []}],
        ["session/close", {}],
        ["prompt", "closed"],
    ]
    said = _run(backend, make, steps, answers=["allow_once", "reject_once"])
    answers = _answers(said)
    assert answers[0]["protocolVersion"] == 1
    assert [a["stopReason"] for a in answers if "stopReason" in a] == ["end_turn"] * 3
    assert answers[5]["configOptions"][1]["currentValue"] == "high"
    assert [one[1] for one in said if one[0] == "error"] == [-32602, -32002, -32002]
    asked = [one for one in said if one[0] == "permission"]
    kinds = ["allow_once", "allow_always", "reject_once", "reject_always"]
    assert asked == [["permission", "Write a file: a.txt", kinds]] * 2
    assert _text(said) == "Hello there.Written.A pity."
    assert _states(said) == [
        *("pending", "in_progress", "completed"),
        *("pending", "in_progress", "failed"),
    ]
    diffs = [
        content
        for one in said
        if one[0] == "update"
        for content in one[1].get("content", [])
        if isinstance(content, dict) and content.get("type") == "diff"
    ]
    assert diffs[0] == {"type": "diff", "path": str(tmp_path / "a.txt"), "newText": "hello\n"}
    assert (tmp_path / "a.txt").read_text() == "hello\n"


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_editors_own_files_and_terminals(backend: Backend, tmp_path: Path) -> None:
    """A buffer that is not saved is what the agent reads; commands run where the person sees them."""
    path = str(tmp_path / "a.txt")
    make = _scripted(
        call("read_file", path="a.txt"),
        call("edit_file", path="a.txt", old="buffer", new="editor"),
        call("run_command", command="echo from the terminal"),
        "Done.",
    )
    steps = [["initialize", ALL], ["new", str(tmp_path)], ["prompt", "go"]]
    said = _run(
        backend,
        make,
        steps,
        files={path: "only in the buffer\n"},
        answers=["allow_once"] * 3,
    )
    assert [one for one in said if one[0] in {"read", "write", "terminal", "release"}] == [
        ["read", path],
        ["read", path],
        ["write", path, "only in the editor\n"],
        ["terminal", "echo from the terminal"],
        ["release", "terminal-1"],
    ]
    assert not Path(path).exists()
    told = json.dumps(said)
    assert '"terminalId": "terminal-1"' in told
    assert "from the terminal\\n" in told
    assert _text(said) == "Done."


@pytest.mark.parametrize("backend", BACKENDS)
def test_cancel_in_the_middle_of_a_tool_and_go_on(backend: Backend, tmp_path: Path) -> None:
    make = _scripted(call("run_command", command="sleep 100"), "Fine.")
    steps = [
        ["initialize", ALL],
        ["new", str(tmp_path)],
        ["cancel", "wait"],
        ["prompt", "and now?"],
    ]
    said = _run(backend, make, steps, answers=["allow_always"])
    answers = [a["stopReason"] for a in _answers(said) if "stopReason" in a]
    assert answers == ["cancelled", "end_turn"]
    assert _states(said)[-1] == "failed"
    assert _text(said) == "Fine."


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_session_is_listed_and_loaded_with_all_that_was_said(
    backend: Backend, tmp_path: Path
) -> None:
    folder, store = tmp_path / "project", FolderStore(tmp_path / "kept")
    folder.mkdir()
    make = _scripted(call("list_files"), "Nothing there.")
    cwd = {"cwd": str(folder)}
    begin = [["initialize", {}], ["new", str(folder)], ["prompt", "look"]]
    said = _run(backend, make, begin, answers=["allow_once"], store=store)
    id_ = _answers(said)[1]["sessionId"]
    steps = [
        ["initialize", {}],
        ["session/list", cwd],
        ["session/load", {"sessionId": id_, "mcpServers": [], **cwd}],
        ["session/resume", {"sessionId": id_, **cwd}],
        ["session/delete", {"sessionId": id_}],
        ["session/list", cwd],
    ]
    again = _run(backend, make, steps, store=store)
    answers = _answers(again)
    (listed,) = answers[1]["sessions"]
    assert (listed["sessionId"], listed["title"], listed["cwd"]) == (id_, "look", str(folder))
    assert answers[5]["sessions"] == []
    assert _text(again, "user_message_chunk") == "look"
    assert _text(again) == "Nothing there."
    assert _states(again) == ["pending", "in_progress", "completed"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_editor_that_goes_in_the_middle_leaves_nothing_behind(
    backend: Backend, tmp_path: Path
) -> None:
    ended: list[str] = []

    @tool
    async def wait(context: ToolContext[Any]) -> str:
        """Wait."""
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(context.call_id)
        return ""

    def make(_talk: Conversation, _folder: Path) -> Agent:
        return Agent(ScriptedModel(call("wait")), tools=[wait])

    store = FolderStore(tmp_path / "kept")
    steps = [["initialize", {}], ["new", str(tmp_path)], ["leave", "wait"]]
    _run(backend, make, steps, store=store)
    assert ended == ["call_1"]
    (path,) = (tmp_path / "kept").rglob("*.jsonl")
    kinds = [json.loads(line).get("kind") for line in path.read_text().splitlines()]
    assert kinds.count("message") == 3
