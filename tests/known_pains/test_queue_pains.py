"""What users of other agent libraries ran into with queues that are full, or end with an error.

Each docstring names the symptom, and where it was reported.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from tests.known_pains.hang_and_done import GUARD, done, hang
from tests.waiting import until_blocked

from tether import (
    Agent,
    Invocation,
    MessageUpdate,
    ModelRequest,
    Session,
    TextDelta,
    ToolResult,
    tool,
)
from tether.hooks import ProceedModel
from tether.model import DeltaStream
from tether.testing import Part, ScriptedModel, call, check_transcript


class TestQueues:
    @pytest.mark.parametrize("size", [0, 1])
    async def test_with_no_room_and_nobody_reading_a_run_can_be_steered_and_ends(
        self, size: int
    ) -> None:
        """Control waits behind a full queue, and everything hangs (claude-agent-sdk#779)."""
        agent = Agent(
            ScriptedModel([call("hang"), call("done")], "Steered.", "Followed."),
            tools=[hang, done],
        )
        with anyio.fail_after(GUARD):
            async with (
                agent.run("go", max_buffer_size=size) as run,
                anyio.create_task_group() as tasks,
            ):

                async def control() -> None:
                    while not run.running_tools:
                        await until_blocked()
                    await until_blocked()
                    agent.steer("Now this.")
                    agent.follow_up("Then that.")
                    run.cancel_tool(run.running_tools[0])

                tasks.start_soon(control)
                result = await run.result()
        assert (result.text, result.stop_reason, result.undelivered) == ("Followed.", "stop", ())

    async def test_hold_no_more_than_they_may_while_the_consumer_sleeps(self) -> None:
        """Memory grows with a slow consumer, 107 MB at 6,400 events (inspect_ai#3962)."""
        pulled = 0

        def flood() -> list[Part]:
            return [TextDelta("x") for _ in range(20_000)]

        agent = Agent(ScriptedModel(flood()))

        @agent.around_model
        @asynccontextmanager
        async def counted(
            request: ModelRequest, proceed: ProceedModel
        ) -> AsyncIterator[DeltaStream]:
            async with proceed(request) as deltas:
                yield _Counted(deltas)

        class _Counted:
            def __init__(self, deltas: DeltaStream) -> None:
                self._deltas = deltas

            def __aiter__(self) -> "_Counted":
                return self

            async def __anext__(self) -> Any:
                nonlocal pulled
                pulled += 1
                return await anext(self._deltas)

        with anyio.fail_after(GUARD):
            async with agent.run("go", max_buffer_size=16) as run:
                async for event in run:
                    if isinstance(event, MessageUpdate):
                        break
                await until_blocked()
                assert pulled <= 16 + 4
                assert run.statistics().current_buffer_used <= 16

    @pytest.mark.parametrize("point", ["on_event", "transform_context", "before_model"])
    async def test_end_with_the_error_where_a_run_cannot_begin(self, point: Any) -> None:
        """A stream hangs, or ends as if all were well, when its producer fails (openai-agents#2130)."""
        agent = Agent(ScriptedModel("Never said.", "Gone on."))
        error = LookupError("hook")

        @agent.hook(point)
        def fail(_: object) -> None:
            raise error

        with anyio.fail_after(GUARD), pytest.raises(LookupError) as caught:
            async with agent.run("go") as run:
                async for _ in run:
                    pass
        assert caught.value is error
        assert not agent.state.running
        check_transcript(agent.messages)

    async def test_end_with_the_error_where_a_message_cannot_be_kept(
        self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As above, for a disk that is full."""
        with Session.open(tmp_path / "s.jsonl") as session:
            agent = Agent(ScriptedModel("Hello.", "Gone on."), session=session)

            def full(_: object) -> None:
                raise OSError(28, "No space left on device")

            with monkeypatch.context() as patched:
                patched.setattr(Session, "append", lambda *_, **__: full(None))
                with anyio.fail_after(GUARD), pytest.raises(OSError, match="No space left"):
                    await agent.prompt("go")
            check_transcript(agent.messages)
            assert not agent.state.running

    async def test_a_hook_that_raises_cancels_the_other_calls_and_waits_for_them(self) -> None:
        """One failing call drops the others' output, or leaves them running (openai-agents#2584, adk#7172)."""
        ended: list[str] = []

        @tool
        async def slow() -> None:
            """Be slow, also to stop."""
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.lowlevel.checkpoint()
                    ended.append("slow")

        agent = Agent(ScriptedModel([call("slow"), call("done")]), tools=[slow, done])

        @agent.hook("after_tool")
        def fail(_: Invocation, __: ToolResult) -> None:
            raise LookupError("hook")

        with anyio.fail_after(GUARD), pytest.raises(LookupError, match="hook"):
            await agent.prompt("go")
        assert ended == ["slow"]
        check_transcript(agent.messages)
