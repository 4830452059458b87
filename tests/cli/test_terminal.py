"""Where inputs come from: a thread that can only be left."""

import gc
import sys
from typing import Any

import anyio
import pytest

from tether.cli.conversation import Typed
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
