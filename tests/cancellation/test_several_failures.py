"""What comes out of a run where several things go wrong."""

from contextlib import suppress

import anyio
import pytest
from tests.waiting import until_blocked

from tether import Agent, MessageUpdate, tool
from tether.testing import Pause, ScriptedModel, call, check_transcript

pytestmark = pytest.mark.usefixtures("quick_garbage_collection")


async def test_two_that_fail_at_once_come_as_a_group_of_both() -> None:
    agent = Agent(ScriptedModel(["Hel", Pause()]))

    @agent.hook("on_event")
    async def fail_when_cancelled(event: object) -> None:
        if isinstance(event, MessageUpdate):
            try:
                await anyio.sleep_forever()
            finally:
                raise LookupError("hook")

    with pytest.raises(ExceptionGroup) as caught:
        async with agent.run("go"):
            await until_blocked()
            raise ValueError("block")
    assert {type(error) for error in caught.value.exceptions} == {LookupError, ValueError}
    check_transcript(agent.messages)


async def test_an_error_that_was_on_its_way_is_not_turned_into_a_cancellation() -> None:
    """The block has failed by itself; that it is cancelled while it waits for its tools does not hide that."""
    reached = anyio.Event()

    @tool
    async def slow() -> None:
        """Take a while to stop."""
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                reached.set()
                await anyio.lowlevel.checkpoint()

    agent = Agent(ScriptedModel(call("slow")), tools=[slow])
    caught: list[BaseException] = []
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:

            async def cancel() -> None:
                await reached.wait()
                scope.cancel()

            tasks.start_soon(cancel)
            with suppress(LookupError):
                try:
                    async with agent.run("go"):
                        await until_blocked()
                        raise LookupError("block")
                except BaseException as error:
                    caught.append(error)
                    raise
    assert [type(error) for error in caught] == [LookupError]
    check_transcript(agent.messages)
