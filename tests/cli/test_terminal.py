"""Where inputs come from: a thread that can only be left."""

import gc
import os
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from tether.cli.conversation import Typed
from tether.cli.editor import kept_lines
from tether.cli.terminal import Send, from_thread


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_thread_that_still_sends_when_the_event_loop_ends_leaves_nothing_behind(
    backend: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    left: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", left.append)

    def read(send: Send) -> None:
        while True:
            send(Typed("x"))

    async def receive() -> None:
        async with from_thread(read) as inputs:
            assert await inputs.receive() == Typed("x")

    for _ in range(40):
        anyio.run(receive, backend=backend)
    gc.collect()
    assert left == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("ends", [True, False])
async def test_what_the_thread_raises_is_raised_where_its_inputs_are_received(ends: bool) -> None:
    def read(send: Send) -> None:
        send(Typed("x"))
        raise LookupError("lost")

    with pytest.RaisesGroup(pytest.RaisesExc(LookupError, match="lost")):
        async with from_thread(read, (lambda: None) if ends else None) as inputs:
            assert await inputs.receive() == Typed("x")
            await anyio.sleep_forever()


def test_lines_that_cannot_be_kept_any_more_are_told_once(tmp_path: Path) -> None:
    told: list[str] = []
    history = kept_lines(tmp_path / "new" / "history", told.append)
    history.append_string("first")
    (tmp_path / "new" / "history").unlink()
    (tmp_path / "new" / "history").mkdir()
    history.append_string("second")
    history.append_string("third")
    assert [line.partition("; ")[2] for line in told] == [
        "what you type is remembered until you leave"
    ]
    assert history.get_strings() == ["first", "second", "third"]


def test_a_history_that_is_no_regular_file_is_left_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "history")
    told: list[str] = []
    kept_lines(tmp_path / "history", told.append).append_string("first")
    [line] = told
    assert "Not a regular file" in line
