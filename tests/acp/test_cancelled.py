"""An editor's connection, cancelled at every step: nothing is left."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from tests.acp.editor import editing
from tests.host.hosting import danger

from tether import Agent
from tether.host import Conversation
from tether.testing import (
    Backend,
    ScriptedModel,
    call,
    cancel_at_every_step,
    check_transcript,
)


@pytest.mark.usefixtures("quick_garbage_collection")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_connection_can_be_cancelled_anywhere(backend: Backend) -> None:
    made: list[Agent] = []

    def make(talk: Conversation, _folder: Path) -> Agent:
        model = ScriptedModel(call("danger", what="it"), "Fine.")
        made.append(Agent(model, tools=[danger], approve=talk.approve))
        return made[-1]

    async def allow(_asked: Any) -> Any:
        return {"outcome": {"outcome": "selected", "optionId": "once"}}

    async def program() -> None:
        made.clear()
        async with editing(make) as editor:
            editor.answer = allow
            session = await editor.new(Path(tempfile.gettempdir()))
            await editor.prompt(session, "go")

    def check() -> None:
        for agent in made:
            check_transcript(agent.messages)
            assert not agent.state.running

    report = cancel_at_every_step(program, check=check, backend=backend, limit=30)
    assert report.points > 20
