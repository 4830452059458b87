"""Many prompts, so many at once: bounded both ways, counted together, resumed, cancelled together."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tether import (
    Agent,
    AssistantMessage,
    BusyError,
    Limits,
    ModelError,
    ModelRequest,
    OutputError,
    Session,
    ToolCall,
    ToolResultMessage,
    UsageError,
    UserMessage,
)
from tether.calls import CallBegun, CallEnded
from tether.many import Answer, Job, KeptConversations, Progress, each, read_prompts
from tether.stores import SqliteConversations, SqliteStore
from tether.testing import Backend, ScriptedModel, call, cancel_at_every_step


def answering(text: str = "Yes.") -> Agent:
    return Agent(ScriptedModel(*[text] * 100))


async def _all(agent: Any, prompts: Any, **options: Any) -> tuple[list[Answer], Progress]:
    async with each(agent, prompts, **options) as answers:
        found = [answer async for answer in answers]
        return sorted(found, key=lambda one: one.place), answers.progress


async def test_each_prompt_has_its_answer() -> None:
    found, progress = await _all(answering(), [f"question {n}" for n in range(20)], at_once=3)
    assert [(one.place, one.job.prompt, one.text) for one in found] == [
        (n, f"question {n}", "Yes.") for n in range(20)
    ]
    assert (progress.begun, progress.done, progress.failed, progress.running) == (20, 20, 0, 0)
    assert progress.usage.input_tokens == sum(
        one.result.usage.input_tokens for one in found if one.result
    )


async def test_an_error_is_the_answer_of_its_prompt_alone() -> None:
    def make(job: Job) -> Agent:
        if job.place == 1:
            raise ValueError("no such project")
        return Agent(
            ScriptedModel(ModelError("down", kind="authentication") if job.place == 2 else "ok")
        )

    found, progress = await _all(make, ["a", "b", "c", "d"])
    assert [str(one.error) if one.error else one.text for one in found] == [
        "ok",
        "no such project",
        "down (authentication)",
        "ok",
    ]
    assert (progress.done, progress.failed) == (2, 2)


async def test_the_first_error_ends_all_where_that_is_asked_for() -> None:
    def make(job: Job) -> Agent:
        if job.place == 0:
            return Agent(ScriptedModel(ModelError("down", kind="authentication")))
        return Agent(ScriptedModel(call("wait")), tools=[anyio_wait])

    async def anyio_wait() -> None:
        """Wait."""
        await anyio.sleep_forever()

    make_tool = anyio_wait
    make_tool.__name__ = "wait"
    with anyio.fail_after(30), pytest.raises(ModelError, match="down"):
        await _all(make, ["a", "b", "c"], stop_on_error=True)


async def test_prompts_are_pulled_as_there_is_room_and_answers_are_read() -> None:
    pulled = 0

    def endless() -> Iterator[str]:
        nonlocal pulled
        while True:
            pulled += 1
            yield "more"

    async with each(answering(), endless(), at_once=4) as answers:
        for number in range(1, 6):
            await anext(answers)
            for _ in range(200):
                await checkpoint()
            assert pulled <= number + 4 + 1
        assert answers.progress.begun <= pulled


async def test_no_more_runs_go_at_once_than_are_allowed() -> None:
    going = most = 0

    async def work() -> str:
        """Work."""
        nonlocal going, most
        going += 1
        most = max(most, going)
        for _ in range(20):
            await checkpoint()
        going -= 1
        return "done"

    def make() -> Agent:
        return Agent(ScriptedModel(call("work"), "ok"), tools=[work])

    found, _ = await _all(make, ["x"] * 30, at_once=5)
    assert len(found) == 30
    assert most == 5


async def test_async_prompts_and_async_makers_will_do() -> None:
    async def prompts() -> AsyncIterator[str]:
        for name in ("a", "b"):
            await checkpoint()
            yield name

    async def make(job: Job) -> Agent:
        await checkpoint()
        return answering(f"to {job.prompt}")

    found, _ = await _all(make, prompts())
    assert [one.text for one in found] == ["to a", "to b"]


async def test_what_the_prompts_raise_is_raised_where_answers_are_read() -> None:
    def broken() -> Iterator[str]:
        yield "a"
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        await _all(answering(), broken(), at_once=1)


async def test_what_the_block_raises_comes_out_plain_and_ends_the_runs() -> None:
    left: list[str] = []

    async def wait() -> None:
        """Wait."""
        try:
            await anyio.sleep_forever()
        finally:
            left.append("left")

    def make(job: Job) -> Agent:
        return Agent(ScriptedModel(call("wait") if job.place else "ok"), tools=[wait])

    with anyio.fail_after(30), pytest.raises(ZeroDivisionError):
        async with each(make, ["a", "b", "c"], at_once=3) as answers:
            await anext(answers)
            while answers.progress.running < 2:
                await checkpoint()
            raise ZeroDivisionError
    assert set(left) <= {"left"}


async def test_limits_hold_for_all_together() -> None:
    def price(_: object) -> float:
        return 1.0

    agent = Agent(ScriptedModel(*["Yes."] * 100), price=price)
    found, progress = await _all(agent, ["x"] * 50, at_once=2, limits=Limits(cost=5))
    assert progress.limit == "cost"
    assert 5 <= progress.cost <= 7
    assert 5 <= len(found) <= 8
    found, progress = await _all(agent, ["x"] * 50, at_once=1, limits=Limits(turns=3))
    assert (len(found), progress.limit) == (3, "turns")
    found, progress = await _all(agent, ["x"] * 50, limits=Limits(seconds=0.0))
    assert (found, progress.limit) == ([], "seconds")


async def test_a_file_of_results_is_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    asked: list[Any] = []

    def make(job: Job) -> Agent:
        asked.append(job.prompt)
        fails = job.prompt == "bad" and len(asked) < 5
        return Agent(ScriptedModel(ModelError("down", kind="authentication") if fails else "ok"))

    prompts = ["a", "bad", "c"]
    _, progress = await _all(make, prompts, results=path, at_once=1)
    assert (progress.done, progress.failed) == (2, 1)
    with path.open("ab") as file:
        file.write(b'{"place": 7, "torn')
    asked.clear()
    asked += ["-"] * 5
    _, progress = await _all(make, ["a", "bad", "changed", "d"], results=path, at_once=1)
    assert (progress.done, progress.failed, progress.kept) == (3, 0, 1)
    lines = path.read_text().splitlines()
    assert len(lines) == 7
    last = json.loads(lines[-1])
    assert (last["place"], last["prompt"], last["ok"], last["text"]) == (3, "d", True, "ok")
    assert path.stat().st_mode & 0o777 == 0o600


async def test_conversations_of_a_store_are_gone_on_with(tmp_path: Path) -> None:
    store = SqliteConversations(tmp_path / "map.db")
    fails = True

    def make(job: Job) -> Agent:
        down = fails and job.place == 1
        return Agent(ScriptedModel(ModelError("down", kind="authentication") if down else "ok"))

    _, progress = await _all(make, ["a", "b"], results=KeptConversations(store, "work"))
    assert (progress.done, progress.failed) == (1, 1)
    fails = False
    found, progress = await _all(make, ["a", "b"], results=KeptConversations(store, "work"))
    assert [one.place for one in found] == [1]
    assert progress.kept == 1
    assert sorted(info.id for info in await store.find()) == ["work-0", "work-1"]
    store.close()


async def test_a_prompt_that_was_cut_off_is_gone_on_with(tmp_path: Path) -> None:
    """What had ended keeps its result, what had begun may have run, and what had not begun is run."""
    store = SqliteConversations(tmp_path / "map.db")
    calls = [ToolCall(name, "work", {"name": name}) for name in ("ended", "begun", "waits")]
    with await opened(store, "work-0") as session:
        session.record(UserMessage("a", id="p"))
        session.record(AssistantMessage(calls, stop_reason="tool_calls", id="r"))
        session.note_call(CallBegun("ended"))
        session.note_call(CallEnded(ToolResultMessage("ended", "work", "kept", id="t")))
        session.note_call(CallBegun("begun"))
    ran: list[str] = []

    def work(name: str) -> str:
        """Do it."""
        ran.append(name)
        return "now"

    def make() -> Agent:
        return Agent(ScriptedModel(results_of), tools=[work])

    found, progress = await _all(make, ["a"], results=KeptConversations(store, "work"))
    assert [one.text for one in found] == ["ended: kept, begun: interrupted, waits: now"]
    assert ran == ["waits"]
    assert (progress.begun, progress.done) == (1, 1)
    found, progress = await _all(make, ["a"], results=KeptConversations(store, "work"))
    assert (found, progress.kept) == ([], 1)
    store.close()


def results_of(request: ModelRequest) -> str:
    """Say what the calls gave."""
    said = [one for one in request.messages if isinstance(one, ToolResultMessage)]
    texts = (one.text if one.outcome == "ok" else one.outcome for one in said)
    return ", ".join(f"{one.call_id}: {text}" for one, text in zip(said, texts, strict=True))


async def opened(store: SqliteConversations, id: str) -> Session:
    session = await store.open(id)
    assert session is not None
    return session


@pytest.mark.parametrize(
    ("last", "asked"),
    [
        (None, ["a"]),
        (AssistantMessage("Well", stop_reason="error"), ["a"]),
        (AssistantMessage("Well", stop_reason="length"), ["a"]),
        (AssistantMessage("Well", stop_reason="stop"), []),
    ],
)
async def test_a_prompt_is_said_once_in_a_conversation(
    tmp_path: Path, last: AssistantMessage | None, asked: list[str]
) -> None:
    store = SqliteConversations(tmp_path / "map.db")
    with await opened(store, "work-0") as session:
        for message in (UserMessage("a", id="p"), last):
            if message is not None:
                session.record(message)
    requests: list[str] = []

    def reply(request: ModelRequest) -> str:
        requests.extend(one.text for one in request.messages if isinstance(one, UserMessage))
        return "ok"

    results = KeptConversations(store, "work")
    _, progress = await _all(lambda: Agent(ScriptedModel(reply)), ["a"], results=results)
    assert requests == asked
    assert (progress.done, progress.kept) == (len(asked), 1 - len(asked))
    _, progress = await _all(lambda: Agent(ScriptedModel(reply)), ["b"], results=results)
    assert requests == [*asked, "b"]
    store.close()


async def test_an_answer_of_the_wrong_type_is_asked_for_again(tmp_path: Path) -> None:
    store = SqliteConversations(tmp_path / "map.db")
    results = KeptConversations(store, "sums")
    agents = iter([ScriptedModel(*["four"] * 3), ScriptedModel(call("final_result", result=4))])
    found, _ = await _all(lambda: Agent(next(agents)), ["2 + 2?"], output=int, results=results)
    assert isinstance(found[0].error, OutputError)
    found, _ = await _all(lambda: Agent(next(agents)), ["2 + 2?"], output=int, results=results)
    assert [one.ok for one in found] == [True]
    store.close()


async def test_answers_that_end_with_a_call_are_kept_in_a_store_too(tmp_path: Path) -> None:
    def make() -> Agent:
        return Agent(ScriptedModel(call("final_result", result=4)))

    store = SqliteConversations(tmp_path / "map.db")
    results = KeptConversations(store, "sums")
    _, progress = await _all(make, ["2 + 2?"], output=int, results=results)
    assert (progress.done, progress.kept) == (1, 0)
    _, progress = await _all(make, ["2 + 2?"], output=int, results=results)
    assert (progress.done, progress.kept) == (0, 1)
    store.close()


async def test_a_prompt_that_a_killed_process_had_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that a process is at work on is not: the claim was renewed."""
    store = SqliteConversations(tmp_path / "map.db")
    claimed: list[BusyError] = []  # time goes on as one is claimed
    clock = SimpleNamespace(time=lambda: 1000.0 + len(claimed))
    monkeypatch.setattr("tether.stores.sqlite.time", clock)

    def note(error: BusyError) -> None:
        claimed.append(error)
        if len(claimed) == 2:
            dead.renew()  # it was not dead

    results = KeptConversations(store, "work", on_claimed=note)
    dead = SqliteStore(tmp_path / "map.db", "work-0", lease=0.2)
    found, progress = await _all(answering(), ["a"], results=results)
    assert [(one.ok, progress.done) for one in found] == [(True, 1)]
    dead._database.close()
    dead = SqliteStore(tmp_path / "map.db", "work-1", lease=0.2)
    dead._lease = 600
    found, _ = await _all(answering(), ["a", "b"], results=results)
    assert [type(one.error) for one in found] == [BusyError]
    assert [error.retry_after for error in claimed] == [pytest.approx(0.2)] * 2
    dead.close()
    store.close()


async def test_a_prompt_that_another_process_has_ends_nothing(tmp_path: Path) -> None:
    store, other = [SqliteConversations(tmp_path / "map.db") for _ in range(2)]
    held = await other.open("work-1")
    found, progress = await _all(answering(), ["a", "b"], results=KeptConversations(store, "work"))
    assert {one.place: type(one.error) for one in found} == {0: type(None), 1: BusyError}
    assert (progress.begun, progress.done, progress.failed) == (2, 1, 1)
    assert held is not None
    held.close()
    found, _ = await _all(answering(), ["a", "b"], results=KeptConversations(store, "work"))
    assert [(one.place, one.ok) for one in found] == [(1, True)]
    store.close()
    other.close()


async def test_a_disk_that_is_full_ends_all(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        await _all(answering(), ["a"], results=_Full(tmp_path))


class _Full:
    def __init__(self, path: Path) -> None:
        from tether.many import ResultsFile

        self._file = ResultsFile(path / "none.jsonl")
        (path / "none.jsonl").mkdir()
        self.asking, self.keep = self._file.asking, self._file.keep


async def test_results_of_a_type() -> None:
    def make() -> Agent:
        return Agent(ScriptedModel(call("final_result", result=4)))

    found, _ = await _all(make, ["2 + 2?"], output=int)
    assert [one.result.output for one in found if one.result] == [4]


@pytest.mark.parametrize(
    ("how", "match"),
    [
        ({"at_once": 0}, "at_once must be a whole number from 1 on, not 0"),
        ({"prompts": "hello"}, "prompts must be an iterable of prompts, not 'hello'"),
        ({"agent": 3}, "make_agent must be an Agent, or a function that makes one, not 3"),
    ],
)
async def test_what_makes_no_sense_is_refused(how: dict[str, Any], match: str) -> None:
    given = {"agent": answering(), "prompts": ["a"], **how}
    with pytest.raises(UsageError, match=match):
        await _all(given.pop("agent"), given.pop("prompts"), **given)


async def test_a_maker_that_makes_no_agent_is_named() -> None:
    found, _ = await _all(lambda: "agent", ["a"])
    assert "make_agent must return an Agent, not 'agent'" in str(found[0].error)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancelled_anywhere_nothing_is_left(backend: Backend) -> None:
    async def program() -> None:
        async with each(answering(), ["a", "b", "c"], at_once=2) as answers:
            async for _ in answers:
                pass

    assert cancel_at_every_step(program, backend=backend, limit=40).points


def test_prompts_are_read_from_lines() -> None:
    lines = ["\ufeffplain text", "", '"a \\"string\\""', '{"prompt": "of an object", "id": 3}']
    assert list(read_prompts(lines)) == ["plain text", 'a "string"', "of an object"]
    for line, match in {
        "{broken": "line 1 is not JSON",
        '{"text": "x"}': "line 1 has no prompt",
        '{"prompt": 3}': "line 1 has no prompt",
    }.items():
        with pytest.raises(UsageError, match=match):
            list(read_prompts([line]))
