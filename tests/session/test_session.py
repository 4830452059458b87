"""A conversation in a file: it resumes, forks, and survives a crash at any byte."""

import json
import tempfile
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.replay import pieces

from tether import Agent, AssistantMessage, MessageEnd, ToolResultMessage, UsageError, UserMessage
from tether.errors import DecodeError
from tether.session import Entry, Session, sessions
from tether.testing import Pause, ScriptedModel, call, check_transcript


async def test_an_agent_goes_on_where_its_session_stopped(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    with Session.open(path) as session:
        await Agent(ScriptedModel("Hello."), session=session).prompt("hi")
        said = session.messages
    with Session.open(path) as session:
        model = ScriptedModel("Again.")
        agent = Agent(model, session=session)
        assert agent.messages == said
        await agent.prompt("and?")
        assert [m.text for m in model.requests[0].messages] == ["hi", "Hello.", "and?"]
    assert len(Session.read(path).messages) == 4


async def test_every_message_is_written_before_it_is_announced(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    with Session.open(path) as session:
        agent = Agent(ScriptedModel(call("nope"), "ok"), session=session)
        async with agent.run("go") as run:
            async for event in run:
                if isinstance(event, MessageEnd):
                    assert event.message in Session.read(path).messages


async def test_the_closing_messages_of_a_cancelled_run_are_written_too(tmp_path: Path) -> None:
    with Session.open(tmp_path / "s.jsonl") as session:
        reached = anyio.Event()
        agent = Agent(ScriptedModel(["Once", Pause(reached=reached)]), session=session)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(agent.prompt, "go")
            await reached.wait()
            tasks.cancel_scope.cancel()
        assert session.messages == agent.messages
        last = session.messages[-1]
        assert isinstance(last, AssistantMessage)
        assert (last.text, last.stop_reason) == ("Once", "aborted")


def test_calls_without_a_result_are_answered_as_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    with Session.open(path) as session:
        session.record(UserMessage("go", id="u"))
        session.record(AssistantMessage([call("f", id="c")], id="a"))
    messages = Session.read(path).messages
    check_transcript(messages)
    assert isinstance(messages[-1], ToolResultMessage)
    assert messages[-1].outcome == "interrupted"


def test_a_fork_shares_what_came_before_and_changes_no_byte_of_it(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    with Session.open(path) as session:
        first = session.record(UserMessage("one", id="1"))
        session.record(UserMessage("two", id="2"))
        before = path.read_bytes()
        session.fork("1")
        session.record(UserMessage("three", id="3"))
        assert [m.text for m in session.messages if isinstance(m, UserMessage)] == ["one", "three"]
        assert path.read_bytes().startswith(before)
        assert [entry.data["id"] for entry in session.branches()] == ["2", "3"]
        session.fork(first.id)
        assert len(session.messages) == 1
        with pytest.raises(UsageError, match="no entry or message 'x'"):
            session.fork("x")


def test_what_another_session_of_a_conversation_has_written_can_be_adopted(tmp_path: Path) -> None:
    with Session(tmp_path / "a.jsonl") as one, Session(tmp_path / "b.jsonl") as other:
        one.record(UserMessage("Go", id="u"))
        one.child("helper", "c1").record(UserMessage("Help", id="h"))
        one.label("a title")
        for entry in one.entries.values():
            other.adopt(entry)
        assert (other.entries, other.head) == (one.entries, one.head)
        assert other.messages == one.messages
        lone = Entry("x", "nowhere", "label", {"text": "lost"})
        with pytest.raises(UsageError, match="'nowhere', is not here"):
            other.adopt(lone)
    with Session(tmp_path / "b.jsonl") as again:
        assert [entry.kind for entry in again.branch] == ["message", "label"]


def test_what_is_adopted_follows_what_was_noted_meanwhile_and_is_there_once(tmp_path: Path) -> None:
    with Session(tmp_path / "a.jsonl") as one, Session(tmp_path / "b.jsonl") as other:
        other.label("first")
        for said in ("one", "two"):
            entry = one.record(UserMessage(said, id=said))
            other.adopt(entry)
            other.adopt(entry)
            other.label(f"behind {said}")
        assert other.messages == one.messages
        kinds = [entry.kind for entry in other.branch]
        assert kinds == ["label", "message", "label", "message", "label"]
        other.record(UserMessage("three", id="three"))
        other.adopt(one.record(UserMessage("elsewhere", id="elsewhere")))
        assert other.messages[-1].id == "three"
    assert len(Session.read(tmp_path / "b.jsonl").entries) == 7


def test_two_writers_are_refused_and_readers_are_not(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    with Session.open(path) as session:
        session.label("mine")
        with pytest.raises(UsageError, match="another session writes to"):
            Session.open(path)
        reader = Session.read(path)
        assert len(reader.entries) == 1
        with pytest.raises(UsageError, match="opened for reading"):
            reader.label("no")
    Session.open(path).close()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"format": 99}\n', "line 1: format 99 is not known"),
        (b"[]\n", "line 1: expected an object, got list"),
        (b"nonsense\n", "line 1: no JSON"),
        (b'{"format": 1}\n{"id": 1}\n', "line 2: an entry needs"),
        (b'{"format":1}\n{"id":"a","parent":"z","kind":"k","data":{}}\n', "line 2: it follows 'z'"),
        (
            b'{"format":1}\n{"id":"a","parent":null,"kind":"message","data":{"role":"bot"}}\n',
            "line 2: $",
        ),
    ],
)
def test_what_is_no_session_is_refused_with_its_line_and_left_alone(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "s.jsonl"
    path.write_bytes(content)
    with pytest.raises(DecodeError) as caught:
        Session.open(path)
    assert str(caught.value).startswith(message)
    assert str(caught.value).endswith("is it a session?)") == message.startswith("line 1")
    assert path.read_bytes() == content


def test_lines_of_bare_messages_are_an_older_format(tmp_path: Path) -> None:
    from tether import to_json

    path = tmp_path / "s.jsonl"
    said = (UserMessage("one", id="1"), UserMessage("two", id="2"))
    path.write_bytes(b"".join(to_json(message) + b"\n" for message in said))
    assert Session.read(path).messages == said
    with Session(path) as session:
        session.label("older")
        session.record(third := UserMessage("three", id="3"))
    with Session(path) as session:
        assert session.messages == (*said, third)
        session.fork("1")
        session.record(fourth := UserMessage("four", id="4"))
    assert Session.read(path).messages == (said[0], fourth)
    assert [info.title for info in sessions(tmp_path)] == ["older"]


def test_unknown_entries_survive_a_copy(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    line = {"id": "a", "parent": None, "kind": "mood", "time": 1, "data": {"x": 1}, "more": [1]}
    path.write_text(
        json.dumps({"format": 1, "id": "s", "time": 0}) + "\n" + json.dumps(line) + "\n"
    )
    Session.read(path).copy_to(tmp_path / "t.jsonl")
    assert json.loads((tmp_path / "t.jsonl").read_text().splitlines()[1]) == line


def test_sessions_are_listed_with_what_they_are_about(tmp_path: Path) -> None:
    assert sessions(tmp_path / "nowhere") == []
    with Session.open(tmp_path / "a.jsonl") as session:
        session.record(UserMessage("What is  this?"))
    with Session.open(tmp_path / "b.jsonl") as session:
        session.record(UserMessage("hi"))
        session.label("My title")
    (tmp_path / "c.jsonl").write_text("nonsense\n")
    found = {info.path.name: (info.title, info.messages) for info in sessions(tmp_path)}
    assert found == {"a.jsonl": ("What is this?", 1), "b.jsonl": ("My title", 1)}


STEPS = st.lists(
    st.tuples(st.sampled_from(["append", "append", "fork", "reopen", "tear"]), st.integers(0, 99)),
    max_size=20,
)


@given(STEPS)
@settings(max_examples=60, deadline=None)
def test_any_history_of_appends_forks_and_crashes_reads_back_as_it_was(
    steps: list[tuple[str, int]],
) -> None:
    """A model of the tree is kept beside the file; a crash tears the file at any byte of its last entry."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.jsonl"
        session = Session.open(path)
        tree: dict[str, tuple[str | None, str]] = {}
        head: str | None = None
        for number, (step, which) in enumerate(steps):
            if step == "append":
                entry = session.record(UserMessage(f"message {number}", id=f"m{number}"))
                tree[entry.id] = (head, f"message {number}")
                head = entry.id
            elif step == "fork" and tree:
                head = list(tree)[which % len(tree)]
                session.fork(head)
            elif step in {"reopen", "tear"}:
                session.close()
                if step == "tear" and tree:
                    _tear(path, tree, which)
                session = Session.open(path)
                head = next(reversed(tree), None)
            assert [m.text for m in session.messages if isinstance(m, UserMessage)] == _path(
                tree, head
            )
        session.close()


def _tear(path: Path, tree: dict[str, Any], which: int) -> None:
    whole = path.read_bytes()
    start = whole.rstrip(b"\n").rfind(b"\n") + 1
    path.write_bytes(pieces(whole, [start + which % (len(whole) - start)])[0])
    del tree[next(reversed(tree))]


def _path(tree: dict[str, tuple[str | None, str]], head: str | None) -> list[str]:
    texts: list[str] = []
    while head is not None:
        head, text = tree[head]
        texts.append(text)
    return texts[::-1]


def test_a_torn_end_is_set_aside_and_reported(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    with Session.open(path) as session:
        session.record(UserMessage("kept"))
    with path.open("ab") as file:
        file.write(b'{"id": "half')
    with Session.open(path) as session:
        assert session.torn == b'{"id": "half'
        assert len(session.messages) == 1
    assert (tmp_path / "s.jsonl.torn").read_bytes() == b'{"id": "half\n'
