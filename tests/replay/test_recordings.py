"""What stands in a recording, and what can be done with it."""

import errno
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from tether import Agent, Limits, ModelError, ToolContext, UsageError, tool
from tether.deltas import TextDelta
from tether.errors import DecodeError
from tether.events import MessageUpdate, ModelRetry, ToolExecutionStart
from tether.hooks import RequestContext
from tether.messages import CustomMessage, Message, Text, UserMessage
from tether.replay import (
    RecordedError,
    Recorder,
    ReplayError,
    RunCancelledError,
    difference,
    moments,
    read,
    record,
    replay,
)
from tether.replay.masking import MASK, Masking
from tether.testing import ScriptedModel, call


@tool
async def look(where: str) -> str:
    """Look."""
    return f"nothing in {where}"


def _agent(*script: Any, **options: Any) -> Agent:
    return Agent(ScriptedModel(*script), tools=[look], **options)


async def _recorded(path: Path, agent: Agent, prompt: str = "Go.", **options: Any) -> Any:
    with record(agent, path, **options) as recorder:
        await agent.prompt(prompt)
    assert recorder.failure is None
    return read(path)


async def _events_of(run: Any) -> list[Any]:
    async with replay(run) as events:
        return [event async for event in events]


async def test_a_replay_gives_events_and_result(tmp_path: Path) -> None:
    agent = _agent(call("look", where="a"), "Nothing.", "Again.")
    path = tmp_path / "run.jsonl"
    with record(agent, path):
        first = await agent.prompt("Look.")
        second = await agent.prompt("And now?")
    one, two = read(path).runs
    for run, result in ((one, first), (two, second)):
        assert run.is_whole
        async with replay(run) as events:
            assert await events.result() == result
    assert two.messages == one.messages + first.messages
    assert path.stat().st_mode & 0o777 == 0o600


async def test_what_is_new_of_each_request_stands_there_once(tmp_path: Path) -> None:
    agent = _agent(call("look", where="a"), call("look", where="b"), "Nothing.", system="Be brief.")
    recording = await _recorded(tmp_path / "run.jsonl", agent)
    asked = [note.said for note in recording.runs[0].notes if note.kind == "request"]
    assert [(one["known"], len(one["messages"])) for one in asked] == [(0, 1), (1, 2), (3, 2)]
    assert [one["frame"] is None for one in asked] == [False, True, True]
    assert len({one["digest"] for one in asked}) == 3


async def test_another_request_fails_with_a_diff(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    await _recorded(path, _agent("Nothing."))
    lines = path.read_text().splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith('["run"'))
    lines[place] = lines[place].replace("Go.", "Stop.")
    path.write_text("\n".join([*lines, ""]))
    with pytest.raises(ReplayError, match=r"(?s)another event:.*-.*Go\..*\+.*Stop\."):
        await _events_of(read(path).runs[0])


async def test_a_request_that_is_made_of_something_else_fails_with_a_diff(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    await _recorded(path, _agent("Nothing."))
    lines = [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]
    for note in lines:
        if note[0] == "request":
            note[2]["frame"]["system"] = "Something else."
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    with pytest.raises(ReplayError, match="another request"):
        await _events_of(read(path).runs[0])


async def test_secrets_are_nowhere_in_the_file(tmp_path: Path) -> None:
    key = 'sk-"12/34'
    parts = ["The key is sk-", '"1', "2/3", "4 and s", "k-2."]
    agent = _agent([*[TextDelta(part) for part in parts]], "Done.", system=f"Use {key}.")
    recording = await _recorded(tmp_path / "run.jsonl", agent, f"With {key}?", secrets=[key])
    data = (tmp_path / "run.jsonl").read_text()
    assert "12/34" not in data
    assert "12%2F34" not in data
    [run] = recording.runs
    text = "".join(event.text for event in run.events if isinstance(event, MessageUpdate))
    assert text == f"The key is {MASK} and sk-2."
    async with replay(run) as events:
        assert (await events.result()).text == text


@tool
async def show(context: ToolContext[Any]) -> str:
    """Show."""
    for part in ("a ke", "y-x", "xyz and ke"):
        await context.update(part)
    return "key-xxyz"


async def test_secrets_come_in_pieces_from_tools_and_children_too_and_between_other_notes(
    tmp_path: Path,
) -> None:
    pieces = [TextDelta("a ke"), TextDelta("y-x"), TextDelta("xyz and ke")]
    child = Agent(ScriptedModel(pieces), name="child")
    agent = Agent(
        ScriptedModel([call("show"), call("child", prompt="Go.")], pieces, "Done."),
        tools=[show, child.as_tool(name="child", description="Ask.")],
    )
    path = tmp_path / "run.jsonl"
    with record(agent, path, secrets=["key-xxyz"]) as recorder:
        async with agent.run("Go.", max_buffer_size=0) as run:
            async for event in run:
                if event == MessageUpdate(pieces[0]):
                    agent.steer("What?")
    assert recorder.failure is None
    data = path.read_text()
    assert "y-x" not in data
    assert "xyz and" not in data
    assert "a ke" not in data
    [run_] = read(path).runs
    assert await _events_of(run_) == [*run_.events]
    seconds = [note.seconds for note in run_.notes]
    assert seconds == sorted(seconds)


async def test_where_no_secret_can_have_begun_all_is_written_at_once(tmp_path: Path) -> None:
    agent = _agent(call("look", where="a"), "Nothing.")
    path = tmp_path / "run.jsonl"
    with record(agent, path, secrets=["~~~~"]):
        async with agent.run("Go.") as run:
            async for event in run:
                if isinstance(event, ToolExecutionStart):
                    assert b"tool_execution_start" in path.read_bytes()


@pytest.mark.parametrize("system", [None, "half \ud83d", "both \ud83d\ude00"])
async def test_what_json_cannot_hold_ends_neither_run_nor_recording(
    tmp_path: Path, system: str | None
) -> None:
    strange: Any = object()
    said = UserMessage([Text("Go \udc80.", details=strange)])
    agent = _agent(call("look", where="\udc80"), ModelError("\ud83d", kind="server"), system=system)
    agent.model = ScriptedModel(
        [TextDelta("a\ud83d"), TextDelta("\ude00b"), call("look", where="x")], "c"
    )
    path = tmp_path / "run.jsonl"
    with record(agent, path) as recorder:
        assert (await agent.prompt(said)).text == "c"
        agent.model = ScriptedModel(ModelError("\ud83d", kind="authentication"))
        with pytest.raises(ModelError):
            await agent.prompt("And?")
    assert recorder.failure is None
    one, two = read(path).runs
    assert await _events_of(one) == [*one.events]
    with pytest.raises(ModelError):
        await _events_of(two)


def test_a_mask_stands_where_its_secret_begins() -> None:
    masking = Masking(["hidden", "code"])
    assert masking.pieces(["a hid", "d", "en b", "", "co", "de"]) == [
        f"a {MASK}",
        "",
        " b",
        "",
        MASK,
        "",
    ]
    assert masking.pieces(["codecode"]) == [MASK * 2]
    assert masking.value({"code": ["a hidden", 1, None]}) == {MASK: [f"a {MASK}", 1, None]}
    assert Masking([]).pieces(["a", "b"]) == ["a", "b"]
    with pytest.raises(UsageError, match="not empty"):
        Masking([""])


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.95])
async def test_a_cut_file_opens_and_steps(tmp_path: Path, cut: float) -> None:
    path = tmp_path / "run.jsonl"
    whole = (await _recorded(path, _agent(call("look", where="a"), "Nothing."))).runs[0]
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * cut)])
    recording = read(path)
    [run] = recording.runs
    assert not run.is_whole
    assert list(run.events) == list(whole.events)[: len(run.events)]
    assert len(moments(run)) == len(run.events) + 1
    with pytest.raises(ReplayError, match="cut off before the end"):
        await _events_of(run)


@pytest.mark.parametrize(
    "data", [b"", b"{}\n", b"no\n", b'["other",0,{}]\n', b'["texts",0,[]]\n', b"\n"]
)
def test_what_is_no_recording_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(data)
    with pytest.raises(DecodeError, match="is not a recording"):
        read(path)


async def _used(path: Path) -> None:
    recording = read(path)
    assert difference(recording, recording) is None
    for run in recording.runs:
        moments(run)
        await _events_of(run)


async def test_a_damaged_recording_says_so_wherever_it_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    await _recorded(path, _agent(call("look", where="a"), "Nothing."))
    lines = path.read_bytes().splitlines()
    first_of_kind = {
        msgspec.json.decode(line)[0]: place for place, line in reversed([*enumerate(lines)])
    }
    refused = 0
    for kind, place in first_of_kind.items():
        said = msgspec.json.decode(lines[place])[2]
        fields = said if isinstance(said, dict) else {}
        less = [{name: fields[name] for name in fields if name != left_out} for left_out in fields]
        for other in (None, [[1]], *less):
            damaged = [*lines]
            damaged[place] = msgspec.json.encode([kind, 0.5, other])
            path.write_bytes(b"\n".join(damaged) + b"\n")
            try:
                await _used(path)
            except (DecodeError, ReplayError):
                refused += 1
    assert refused > 20


async def test_a_line_that_is_no_note_is_refused_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    await _recorded(path, _agent("Nothing."))
    first, *rest = path.read_bytes().splitlines()
    for line in (b"", b"[]", b'["event","x",{}]', b'["texts",0,[[1]]]', b"[" * 100_000, b"\xff"):
        path.write_bytes(b"\n".join([first, line, *rest]) + b"\n")
        with pytest.raises(DecodeError, match=r"line 2 of .*run\.jsonl"):
            read(path)


@pytest.mark.parametrize(
    "secrets",
    ["key-123", b"key-123", [b"key-123"], ["key-123", ""], ["key-123", "rd"], ["mess"], ["secret"]],
    ids=["text", "bytes", "bytes in a list", "empty", "short", "a word of the form", "the mask"],
)
def test_bad_secrets_are_refused_and_not_shown(tmp_path: Path, secrets: Any) -> None:
    path = tmp_path / "run.jsonl"
    with (
        pytest.raises(UsageError, match="secrets must be") as refused,
        record(_agent(), path, secrets=secrets),
    ):
        pass
    assert "key-123" not in str(refused.value)
    assert not path.exists()


def test_a_later_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(b'["recording",0,{"version":99}]\n')
    with pytest.raises(DecodeError, match="version 99"):
        read(path)


def test_no_file_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text("mine")
    with pytest.raises(FileExistsError), record(Agent(), path):
        pass
    assert path.read_text() == "mine"


async def test_a_disk_that_is_full_ends_the_recording_and_not_the_run(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    kept = bytearray()

    def write(data: memoryview) -> int:
        taken = data[: min(7, 1000 - len(kept))]
        if not taken:
            raise OSError(errno.ENOSPC, "No space left on device")
        kept.extend(taken)
        return len(taken)

    agent = _agent("Nothing.")
    recorder = Recorder(write, Masking(()), float)
    agent.tap(recorder)
    assert (await agent.prompt("Go.")).text == "Nothing."
    assert isinstance(recorder.failure, OSError)
    assert len(kept) == 1000
    path.write_bytes(kept)
    recording = read(path)
    assert recording.torn
    assert recording.runs[0].prompts[0].text == "Go."


async def test_the_same_is_raised(tmp_path: Path) -> None:
    class OwnError(Exception):
        pass

    async def fail(event: object) -> None:
        if isinstance(event, MessageUpdate):
            raise raises

    for number, raises in enumerate([ValueError("no"), OwnError("mine")]):
        agent, path = _agent("Nothing."), tmp_path / f"{number}.jsonl"
        agent.subscribe(fail)
        with record(agent, path), pytest.raises(type(raises)):
            await agent.prompt("Go.")
        with pytest.raises((ValueError, RecordedError)) as caught:
            await _events_of(read(path).runs[0])
        assert str(caught.value) == str(raises)
    model = _agent(ModelError("no", kind="authentication", status=401, hint="look there"))
    path = tmp_path / "model.jsonl"
    with record(model, path), pytest.raises(ModelError) as failed:
        await model.prompt("Go.")
    with pytest.raises(ModelError) as again:
        await _events_of(read(path).runs[0])
    assert str(again.value) == str(failed.value)
    assert again.value.failure == failed.value.failure


async def test_a_cancelled_run_says_so(tmp_path: Path) -> None:
    agent, path = _agent("One two three four."), tmp_path / "run.jsonl"
    with record(agent, path), anyio.CancelScope() as scope:
        async with agent.run("Go.") as run:
            async for event in run:
                if isinstance(event, MessageUpdate):
                    scope.cancel()
    with pytest.raises(RunCancelledError):
        await _events_of(read(path).runs[0])


async def test_limits_prices_and_messages_of_hooks_come_from_the_recording(tmp_path: Path) -> None:
    async def note(messages: list[Message], context: RequestContext) -> None:
        await context.record(CustomMessage("note", {"n": 1}))

    agent = _agent(
        *[call("look", where=f"{n}") for n in range(5)],
        limits=Limits(cost=1.0),
        price=lambda _: 0.4,
        transform_context=note,
    )
    path = tmp_path / "run.jsonl"
    with record(agent, path):
        result = await agent.prompt("Go.")
    assert result.limit == "cost"
    assert result.cost == pytest.approx(1.2)
    async with replay(read(path).runs[0]) as events:
        assert await events.result() == result


async def test_moments_fold_what_was_done(tmp_path: Path) -> None:
    agent, path = (
        _agent(call("look", where="a", id="c1"), "Nothing.", "More."),
        tmp_path / "run.jsonl",
    )
    with record(agent, path):
        async with agent.run("Go.") as run:
            async for event in run:
                if isinstance(event, ToolExecutionStart):
                    agent.follow_up("And then?")
    known = moments(read(path).runs[0])
    assert [moment.number for moment in known] == [*range(len(known))]
    assert known[0].messages == ()
    assert known[-1].messages == agent.messages
    running = [moment for moment in known if moment.running]
    assert {moment.running for moment in running} == {("c1",)}
    assert max(len(moment.queued) for moment in known) == 1
    assert known[-1].queued == ()
    texts = [moment.partial.text for moment in known if moment.partial is not None]
    assert "Nothing." in texts
    assert all("Nothing.".startswith(text) or "More.".startswith(text) for text in texts)
    assert [moment.request["messages"] for moment in known if moment.request][-1] == 5


async def test_moments_show_another_attempt_that_is_waited_for(tmp_path: Path) -> None:
    def shorten(messages: list[Message], context: RequestContext) -> list[Message]:
        return messages if context.reason == "turn" else [UserMessage("Short.")]

    model = ScriptedModel(ModelError("too long", kind="context_overflow"), "Nothing.")
    agent = Agent(model, transform_context=shorten)
    known = moments((await _recorded(tmp_path / "run.jsonl", agent)).runs[0])
    retries = [moment.retry for moment in known if moment.retry is not None]
    assert len(retries) == 1
    assert isinstance(retries[0], ModelRetry)


async def test_recordings_that_do_the_same_do_not_differ(tmp_path: Path) -> None:
    one = await _recorded(tmp_path / "1", _agent([TextDelta("No"), TextDelta("thing.")]))
    two = await _recorded(tmp_path / "2", _agent([TextDelta("Noth"), TextDelta("ing.")]))
    assert difference(one, two) is None
    three = await _recorded(tmp_path / "3", _agent("Something."))
    found = difference(one, three)
    assert found is not None
    assert (found.run, found.event) == (1, 5)
    assert "-" in found.text
    assert "Something." in found.text


async def test_a_recording_that_has_a_run_more_differs_there(tmp_path: Path) -> None:
    one = await _recorded(tmp_path / "1", _agent("Nothing."))
    agent = _agent("Nothing.", "More.")
    with record(agent, tmp_path / "2"):
        await agent.prompt("Go.")
        await agent.prompt("Go.")
    found = difference(one, read(tmp_path / "2"))
    assert found is not None
    assert (found.run, found.text) == (2, "only the second recording has a run 2")
