"""Which messages of a transcript reach the model, and as what."""

from collections.abc import Sequence

from tests.agent.checked_runs import events_of, last_request

from tether import Agent, CustomMessage, Message, UserMessage
from tether.testing import ScriptedModel


class TestMessages:
    async def test_of_an_application_are_kept_and_dropped_for_the_model(self) -> None:
        model = ScriptedModel("hi")
        note = CustomMessage("note", {"x": 1}, id="n")
        agent = Agent(model, messages=[note])
        await events_of(agent)
        assert agent.messages[0] == note
        assert [message.role for message in last_request(model)] == ["user"]

    async def test_of_an_application_reach_the_model_as_convert_says(self) -> None:
        def convert(message: CustomMessage) -> UserMessage:
            return UserMessage(f"note: {message.data}")

        model = ScriptedModel("hi")
        await events_of(Agent(model, messages=[CustomMessage("note", "x")], convert=convert))
        assert [message.text for message in model.requests[0].messages] == ["note: x", "go"]

    async def test_are_transformed_before_they_are_converted(self) -> None:
        seen: list[str] = []

        async def transform(messages: Sequence[Message]) -> Sequence[Message]:
            seen.append("transform")
            return [*messages, CustomMessage("late", "y")]

        def convert(message: CustomMessage) -> UserMessage:
            seen.append("convert")
            return UserMessage(str(message.data))

        model = ScriptedModel("hi")
        agent = Agent(model, transform_context=transform, convert=convert)
        await events_of(agent)
        assert seen == ["transform", "convert"]
        assert [message.text for message in model.requests[0].messages] == ["go", "y"]
        assert [message.role for message in agent.messages] == ["user", "assistant"]
