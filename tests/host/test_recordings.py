"""A host records the runs of its conversations, each time that one is opened in a file of its own."""

import logging
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.host.hosting import hosting, told

import tether
from tether import AgentEnd, UsageError
from tether.host import Conversation, FolderStore, Host, Recordings
from tether.replay import read, replay
from tether.testing import call


def _recordings(host: Host) -> Recordings:
    assert host.recordings is not None
    return host.recordings


def _made_useless(folder: Path) -> None:
    """As where a disk is full: no file can be made in it any more."""
    shutil.rmtree(folder)
    folder.touch()


def _inside(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _paths(recordings: Recordings, owner: str = "") -> list[Path]:
    paths = [recordings.path(file.name, owner) for file in recordings.files(owner)]
    assert None not in paths
    return [path for path in paths if path is not None]


async def test_runs_are_recorded_and_secrets_masked(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "recordings"
    async with hosting("The key is sk-1.", "Again.", record=folder, secrets=["sk-1"]) as host:
        talk = await host.conversation("one")
        recordings = _recordings(host)
        assert recordings.files("") == []  # nothing has run yet
        await told(talk, "What is the key?")
        await told(talk, "And now?")
        [path] = _paths(recordings)
        assert path.name.endswith(f"-one-{talk.epoch}.jsonl")
        assert path.stat().st_mode & 0o777 == 0o600
        assert folder.stat().st_mode & 0o777 == 0o700
        runs = read(path).runs  # also while the conversation goes on
        assert [run.prompts[0].text for run in runs] == ["What is the key?", "And now?"]
    assert b"sk-1" not in path.read_bytes()
    for run in read(path).runs:
        async with replay(run) as events:
            assert [event async for event in events] == [*run.events]


async def test_who_comes_back_begins_a_new_file_that_stands_by_itself(tmp_path: Path) -> None:
    options = {"store": FolderStore(tmp_path / "store"), "record": tmp_path / "recordings"}
    epochs: list[str] = []
    for prompt in ("First.", "Second."):
        async with hosting("Yes.", **options) as host:
            talk = await host.conversation("one")
            epochs.append(talk.epoch)
            await told(talk, prompt)
    paths = {path.stem.rpartition("-")[2]: path for path in (tmp_path / "recordings").iterdir()}
    first, second = (read(paths[epoch]).runs for epoch in epochs)
    assert [message.text for message in first[0].messages] == []
    assert [message.text for message in second[0].messages] == ["First.", "Yes."]


async def test_a_run_that_is_cancelled_with_its_host_is_recorded(tmp_path: Path) -> None:
    async with hosting(call("danger", what="x"), record=tmp_path) as host:
        talk = await host.conversation()
        talk.say("Go.")
        async for _, event in talk.follow():
            if isinstance(event, tether.ApprovalRequested):
                break
        recordings = _recordings(host)
    [path] = _paths(recordings)
    [run] = read(path).runs
    assert run.is_whole
    assert any(isinstance(event, tether.ApprovalRequested) for event in run.events)


async def test_each_owner_has_recordings_that_no_other_finds(tmp_path: Path) -> None:
    owners = ["", "ann", "Ann", "../ann", "@ann", "x" * 200, "\ud800"]
    async with hosting("Yes.", record=tmp_path) as host:
        recordings = _recordings(host)
        for owner in owners:
            await told(await host.conversation("one", owner=owner), f"I am {owner[:5]!r}.")
        for owner in owners:
            [path] = _paths(recordings, owner)
            assert read(path).runs[0].prompts[0].text == f"I am {owner[:5]!r}."
            assert path.is_relative_to(tmp_path)
            others = [other for other in owners if other != owner]
            assert [recordings.path(path.name, other) for other in others] == [None] * len(others)
    assert recordings.files("nobody") == []


async def test_names_of_files_are_bounded_and_safe(tmp_path: Path) -> None:
    ids = ["../../evil", "/", "a\0b", "..", "Ä" * 200, "x" * 200, "CON", " "]
    async with hosting("Yes.", record=tmp_path / "recordings") as host:
        for id_ in ids:
            await told(await host.conversation(id_), "Hello")
        paths = _paths(_recordings(host))
    assert len(paths) == len(ids)
    for path in paths:
        assert path.parent == tmp_path / "recordings"
        assert len(path.name) < 100
        assert path.name.isascii()
    assert _inside(tmp_path) == {"recordings"}


def test_only_recordings_are_found(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path)
    recordings.prepare()
    (tmp_path / "secret.jsonl").touch()
    (tmp_path / "@ann").mkdir()
    for name in ("", ".", "..", "../secret.jsonl", "secret.jsonl", "x" * 5000, "a\0b", "@ann"):
        assert recordings.path(name, "") is None
    assert recordings.files("") == []


def test_only_files_are_found_and_no_links(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("of somebody else")
    recordings = Recordings(tmp_path / "recordings")
    recordings.prepare()

    def place(letter: str) -> Path:
        return recordings.folder / f"20260101T000000-one-{letter * 12}.jsonl"

    place("a").touch()
    place("b").mkdir()
    place("c").symlink_to(tmp_path / "outside")
    place("d").symlink_to(tmp_path / "gone")
    os.mkfifo(place("e"))
    assert [file.name for file in recordings.files("")] == [place("a").name]
    assert _paths(recordings) == [place("a")]
    assert [recordings.path(place(letter).name, "") for letter in "bcde"] == [None] * 4


async def test_no_secret_stands_in_a_name(tmp_path: Path) -> None:
    secret = "sk-abcdef"
    async with hosting("Yes.", record=tmp_path, secrets=[secret]) as host:
        await told(await host.conversation(f"of {secret}", owner=secret), "Hello")
        names = [*_inside(tmp_path), *(file.name for file in _recordings(host).files(secret))]
    assert len(names) == 2
    assert not any("abcdef" in name for name in names)


async def test_where_no_file_can_be_made_the_host_does_not_open(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"no recording can be made in .*file: "):
        async with hosting("Yes.", record=tmp_path / "file"):
            pass
    with pytest.raises(UsageError, match="must have a name"):
        async with hosting("Yes.", record=""):
            pass
    with pytest.raises(UsageError, match="secrets must be strings"):
        async with hosting("Yes.", record=tmp_path, secrets=[""]):
            pass


def _agentless(talk: Conversation) -> tether.Agent:
    raise AssertionError("no conversation is made")


@pytest.mark.parametrize("secrets", [["rd"], "sk-123456", ["message"]])
def test_what_can_be_no_secret_is_refused_at_once(tmp_path: Path, secrets: Any) -> None:
    with pytest.raises(UsageError, match="secrets must be"):
        tether.host.open(_agentless, record=tmp_path, secrets=secrets)


def test_secrets_without_recordings_are_refused_at_once() -> None:
    with pytest.raises(UsageError, match="none without record="):
        tether.host.open(_agentless, secrets=["sk-123456"])


def _open_files(folder: Path) -> int:
    links = (os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.is_symlink())
    return sum(Path(link).parent == folder for link in links)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc/self/fd")
async def test_few_files_are_open_however_many_conversations_are_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tether.host.recordings._MOST_OPEN", 2)
    async with hosting("Yes.", "Again.", record=tmp_path) as host:
        talks = [await host.conversation(name) for name in "abcd"]
        for prompt in ("First.", "Second."):
            for talk in talks:
                await told(talk, prompt)
                assert _open_files(tmp_path) <= 2
        paths = _paths(_recordings(host))
    assert _open_files(tmp_path) == 0
    assert len(paths) == len(talks)
    for path in paths:
        assert [run.prompts[0].text for run in read(path).runs] == ["First.", "Second."]
        for run in read(path).runs:
            async with replay(run) as events:
                assert [event async for event in events] == [*run.events]


async def test_a_recording_that_was_deleted_ends_and_no_run_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tether.host.recordings._MOST_OPEN", 1)
    async with hosting("Yes.", "Again.", record=tmp_path) as host:
        one, other = [await host.conversation(name) for name in ("one", "other")]
        await told(one, "First.")
        [path] = _paths(_recordings(host))
        await told(other, "First.")
        path.unlink()
        with caplog.at_level(logging.ERROR, logger="tether"):
            *_, (_, last) = await told(one, "Second.")
        assert isinstance(last, AgentEnd)
        assert last.stop_reason == "stop"
    assert not path.exists()
    assert any("ends early" in record.getMessage() for record in caplog.records)


async def test_a_recording_that_cannot_be_written_loses_no_run_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "recordings"
    async with hosting("One.", "Two.", record=folder) as host:
        _made_useless(folder)
        talk = await host.conversation("one")
        with caplog.at_level(logging.ERROR, logger="tether"):
            for prompt in ("First.", "Second."):
                *_, (_, last) = await told(talk, prompt)
                assert isinstance(last, AgentEnd)
                assert last.stop_reason == "stop"
        [said] = [record.getMessage() for record in caplog.records if record.name == "tether"]
        assert "ends early" in said
        assert "-one-" in said
