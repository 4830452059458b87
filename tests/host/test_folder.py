"""Conversations in a folder: their names, lists and searches, and what a killed process leaves."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.host.hosting import check_log, everything, hosting, told

from tether import AssistantMessage, BusyError, Session, UsageError, UserMessage
from tether.host import ConversationInfo, FolderStore, NotFoundError

NAMES = [
    "a",
    "A",
    "Ä",
    "../up",
    "a/b",
    "a%41",
    ".",
    "..",
    "con",
    " ",
    "\x00",
    "名前",
    "x" * 190,
    "@a",
]


def test_every_name_has_a_file_of_its_own_in_the_folder(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "kept")
    paths = [store.path(name) for name in NAMES] + [store.path("a", name) for name in NAMES]
    assert len({str(path).casefold() for path in paths}) == len(paths)
    assert all(path.resolve().is_relative_to(store.folder.resolve()) for path in paths)


@pytest.mark.parametrize("name", ["x" * 201, "A" * 67, "名" * 23])
def test_names_that_are_too_long_for_a_file_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="bytes"):
        FolderStore(tmp_path).path(name)


async def test_conversations_are_found_by_the_names_they_were_given(tmp_path: Path) -> None:
    names = [name for name in NAMES if len(name) < 50]
    async with hosting("Hello.", store=FolderStore(tmp_path)) as host:
        for name in names:
            await told(await host.conversation(name), "hi")
    async with hosting(store=FolderStore(tmp_path)) as host:
        assert {info.id for info in await host.conversations()} == set(names)


@pytest.mark.parametrize("name", ["", "x" * 201, None, 1])
async def test_what_is_no_name_is_refused(name: object) -> None:
    async with hosting() as host:
        with pytest.raises(UsageError):
            await host.conversation(name or "", owner="" if name else 1)  # type: ignore[arg-type]


def _write(folder: Path, name: str, time: float, *texts: str, title: str = "") -> None:
    with Session(FolderStore(folder).path(name)) as session:
        if title:
            session.note("title", {"text": title})
        session.note("model", {"name": "a-model"})
        for text in texts:
            session.record(UserMessage(text, id=text, timestamp=time))
            session.record(AssistantMessage(f"{text}?", id=f"re {text}", timestamp=time))


async def test_lists_are_in_order_and_come_in_pages(tmp_path: Path) -> None:
    for number in range(5):
        _write(tmp_path, f"talk-{number}", 100.0 + number, f"text {number}")
    _write(tmp_path, "Talk", 102.0, "text", title="given")
    (tmp_path / "notes.jsonl").write_text("not a session\n")
    (tmp_path / "empty.jsonl").write_text("")
    async with hosting(store=FolderStore(tmp_path)) as host:
        listed = await host.conversations()
        assert [info.id for info in listed] == [
            *("talk-4", "talk-3", "talk-2", "Talk"),
            *("talk-1", "talk-0"),
        ]
        assert listed[3] == ConversationInfo("Talk", "given", "", 102.0, "idle", "a-model", 2)
        paged: list[ConversationInfo] = []
        before = None
        while page := await host.conversations(limit=2, before=before):
            paged += page
            before = page[-1].cursor
        assert paged == listed
        with pytest.raises(UsageError, match="cursor"):
            await host.conversations(before="nonsense")


@pytest.mark.parametrize(
    "wrong", [{"limit": 0}, {"limit": -1}, {"limit": 1.5}, {"search": None}, {"owner": 1}], ids=str
)
async def test_lists_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    async with hosting() as host:
        with pytest.raises(UsageError, match=next(iter(wrong))):
            await host.conversations(**wrong)


async def test_conversations_that_are_held_are_in_their_place_in_the_list(tmp_path: Path) -> None:
    for number in range(3):
        _write(tmp_path, f"talk-{number}", 100.0 + number, f"text {number}")
    async with hosting("Hello.", store=FolderStore(tmp_path)) as host:
        talk = await host.conversation("talk-1")
        assert [i.id for i in await host.conversations()] == ["talk-2", "talk-1", "talk-0"]
        await told(talk, "more")
        listed = await host.conversations(limit=2)
        assert [(i.id, i.messages) for i in listed] == [("talk-1", 4), ("talk-2", 2)]
        assert [i.id for i in await host.conversations(before=listed[0].cursor)] == [
            "talk-2",
            "talk-0",
        ]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("tea", ["talk-1"]),
        ("TEA", ["talk-1"]),
        ("ÄRGER", ["talk-2"]),
        ('a quote: "', ["talk-3"]),
        ("given", ["talk-4"]),
        ("timestamp", []),
        ("message", []),
        ("re tea", []),
        ("tea?", ["talk-1"]),
    ],
)
async def test_a_search_looks_at_what_was_said(
    words: str, found: list[str], tmp_path: Path
) -> None:
    texts = ["tea", "großer Ärger", 'a quote: "x"', "last"]
    for number, text in enumerate(texts, 1):
        title = "Given" if number == 4 else "a title"
        _write(tmp_path, f"talk-{number}", number, text, title=title)
    async with hosting(store=FolderStore(tmp_path)) as host:
        assert [info.id for info in await host.conversations(search=words)] == found
        for number in range(1, 5):
            await host.conversation(f"talk-{number}")
        assert [info.id for info in await host.conversations(search=words)] == found


async def test_only_the_conversation_itself_is_counted(tmp_path: Path) -> None:
    """And not what agents within the agent have said; what is damaged or half written is passed over."""
    with Session(FolderStore(tmp_path).path("one")) as session:
        session.record(UserMessage("hi", id="1", timestamp=5.0))
        child = session.child("helper", "call")
        child.record(UserMessage("inner", id="2", timestamp=9.0))
        session.record(AssistantMessage("Hello.", id="3", timestamp=6.0))
    with FolderStore(tmp_path).path("one").open("ab") as file:
        file.write(b'{"id":"x","parent":null,"kind":"message","data":{"broken\n{"id":"half')
    async with hosting("More.", store=FolderStore(tmp_path)) as host:
        (info,) = await host.conversations()
        assert (info.title, info.updated) == ("hi", 6.0)
        talk = await host.conversation("one")
        assert [m.text for m in check_log(await everything(talk))] == ["hi", "Hello."]
        await told(talk, "more")
        assert (await host.conversations())[0].messages == 4
        await host.delete("one")
    assert os.listdir(tmp_path) == []


async def test_a_conversation_that_somebody_writes_to_is_not_deleted(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    with Session(store.path("a")) as session:
        session.record(UserMessage("hi"))
        async with hosting(store=FolderStore(tmp_path)) as host:
            with pytest.raises(BusyError, match="another session writes"):
                await host.delete("a")
        session.record(AssistantMessage("still here"))
    with Session(store.path("a")) as session:
        assert [message.text for message in session.messages] == ["hi", "still here"]
    assert await store.delete("a", "")
    assert not await store.delete("a", "")
    assert os.listdir(tmp_path) == []


async def test_a_log_that_another_process_writes_to_is_an_error(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    with Session(store.path("one")):
        async with hosting("Hello.", store=store) as host:
            with pytest.raises(UsageError, match="another session writes"):
                await host.conversation("one")
            await told(await host.conversation("two"), "hi")


_PROGRAM = """
import sys, anyio, tether
from tether.host import FolderStore
from tether.testing import ScriptedModel, Pause

def make(talk):
    return tether.Agent(ScriptedModel("One.", "Two.", ["Thr", Pause()]))

async def main():
    async with tether.host.open(make, store=FolderStore(sys.argv[1])) as host:
        talk = await host.conversation("one", owner="ann")
        talk.title = "kept"
        for text in ("first", "second", "third"):
            talk.say(text)
            async for number, event in talk.follow(talk.number):
                if isinstance(event, tether.AgentEnd):
                    break
                if isinstance(event, tether.MessageUpdate) and event.text == "Thr":
                    print(talk.epoch, number, flush=True)
            await talk.wait_idle()

anyio.run(main)
"""


async def test_a_killed_process_has_kept_every_message_that_had_ended(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import tether.host\n" + _PROGRAM, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: ASYNC220
        assert process.stdout is not None
        epoch, number = process.stdout.readline().split()
        process.send_signal(signal.SIGKILL)
    async with hosting("Again.", store=FolderStore(tmp_path)) as host:
        talk = await host.conversation("one", owner="ann", create=False)
        texts = ["first", "One.", "second", "Two.", "third"]
        assert [m.text for m in check_log(await everything(talk))] == texts
        assert talk.title == "kept"
        assert talk.epoch != epoch
        with pytest.raises(UsageError):
            talk.follow(int(number))
        await told(talk, "go on")
        texts += ["go on", "Again."]
        assert [m.text for m in check_log(await everything(talk))] == texts
        with pytest.raises(NotFoundError):
            await host.conversation("one", create=False)
    lines = FolderStore(tmp_path).path("one", "ann").read_bytes().splitlines()
    assert all(json.loads(line) for line in lines)
