"""The transcript is valid whenever someone looks, and any list of messages can be made so."""

from collections.abc import Iterable, Sequence
from typing import Any, get_args

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests import strategies as some

from tether.messages import (
    AssistantMessage,
    CustomMessage,
    Message,
    Outcome,
    Text,
    ToolCall,
    ToolResultMessage,
    UserMessage,
)
from tether.transcript import Transcript, repaired, unanswered

HI = UserMessage("hi")
NOTE = CustomMessage("note")
ONE = ToolCall("c1", "add", {"a": 1})
TWO = ToolCall("c2", "sub")
BOTH = AssistantMessage(["on it", ONE, TWO], id="m1", timestamp=5.0)
R1 = ToolResultMessage("c1", "add", "3", id="r1")
R2 = ToolResultMessage("c2", "sub", "1", outcome="error", id="r2")
DONE = AssistantMessage("done")
NOT_RUN = "This call was not run: the run ended before it could begin."
CUT_OFF = "This call was interrupted: it may have run in part, and its result is not known."


def is_valid(messages: Sequence[Message]) -> bool:
    """Each reply is followed by the results of its calls, in their order; there are no other results."""
    rest = list(messages)
    while rest:
        message = rest.pop(0)
        if isinstance(message, ToolResultMessage):
            return False
        calls = message.tool_calls if isinstance(message, AssistantMessage) else ()
        results, rest = rest[: len(calls)], rest[len(calls) :]
        answered = [
            (result.call_id, result.name)
            for result in results
            if isinstance(result, ToolResultMessage)
        ]
        if answered != [(call.id, call.name) for call in calls]:
            return False
        if len({call.id for call in calls}) != len(calls):
            return False
    return True


def test_the_check_itself_knows_what_is_valid() -> None:
    assert is_valid([HI, BOTH, R1, R2, NOTE, DONE, BOTH, R1, R2])
    assert not is_valid([BOTH])
    assert not is_valid([BOTH, R1])
    assert not is_valid([BOTH, R1, HI, R2])
    assert not is_valid([BOTH, R2, R1])
    assert not is_valid([BOTH, R1, R2, R2])
    assert not is_valid([R1])
    assert not is_valid([BOTH, R1, evolve(R2, name="add")])
    assert not is_valid([AssistantMessage([ONE, ONE]), R1, R1])


class Conversation(RuleBasedStateMachine):
    """Any use of a transcript, looked at after each step and checked against a simpler model of it."""

    def __init__(self) -> None:
        super().__init__()
        self.transcript = Transcript()
        self.before: list[Message] = []
        """All up to the last reply, itself included."""
        self.after: list[Message] = []
        """What was said since, the results of its calls aside."""
        self.calls: list[ToolCall] = []
        self.begun: set[str] = set()
        self.given: dict[str, ToolResultMessage] = {}

    @initialize(messages=some.valid_transcripts)
    def go_on_from(self, messages: Sequence[Message]) -> None:
        self.transcript = Transcript(messages)
        self.before = list(messages)

    @rule(message=some.user_messages | some.custom_messages)
    def say(self, message: UserMessage | CustomMessage) -> None:
        self.transcript.append(message)
        self.after.append(message)

    @rule(reply=some.replies())
    def reply(self, reply: AssistantMessage) -> None:
        self.before += [*self._results(), *self.after, reply]
        self.transcript.append(reply)
        self.after = []
        self.calls = list(reply.tool_calls)
        self.begun, self.given = set(), {}

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        """In any order, more than once, also after the result."""
        call = data.draw(st.sampled_from(self.calls))
        self.transcript.begin(call.id)
        self.begun.add(call.id)

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), result=some.tool_results)
    def settle(self, data: st.DataObject, result: ToolResultMessage) -> None:
        """In any order, more than once, also without a beginning."""
        call = data.draw(st.sampled_from(self.calls))
        self.given[call.id] = evolve(result, call_id=call.id, name=call.name)
        self.transcript.resolve(self.given[call.id])

    @rule(call_id=st.just("nobody's"))
    def answer_what_was_not_called(self, call_id: str) -> None:
        for use in (self.transcript.begin, self.transcript.result):
            with pytest.raises(KeyError):
                use(call_id)
        with pytest.raises(KeyError):
            self.transcript.resolve(ToolResultMessage(call_id, "n", "late"))

    def _results(self) -> list[ToolResultMessage]:
        return [self._result(call) for call in self.calls]

    def _result(self, call: ToolCall) -> ToolResultMessage:
        if call.id in self.given:
            return self.given[call.id]
        begun = call.id in self.begun
        return evolve(
            self.transcript.result(call.id),
            call_id=call.id,
            name=call.name,
            content=CUT_OFF if begun else NOT_RUN,
            outcome="interrupted" if begun else "skipped",
        )

    @invariant()
    def it_is_valid(self) -> None:
        assert is_valid(self.transcript)

    @invariant()
    def it_holds_what_was_said_and_of_each_call_what_is_true(self) -> None:
        assert self.transcript.messages == (*self.before, *self._results(), *self.after)

    @invariant()
    def it_needs_no_repair(self) -> None:
        assert repaired(self.transcript) == tuple(
            message
            for message in self.transcript
            if not (
                isinstance(message, AssistantMessage) and message.incomplete and not message.content
            )
        )

    @invariant()
    def it_is_a_sequence_of_its_messages(self) -> None:
        messages = self.transcript.messages
        assert tuple(self.transcript) == messages
        assert len(self.transcript) == len(messages)
        assert [self.transcript[place] for place in range(len(messages))] == list(messages)
        assert tuple(self.transcript[1:]) == messages[1:]
        assert repr(self.transcript) == f"<Transcript of {len(messages)} messages>"


TestConversation = Conversation.TestCase
TestConversation.settings = settings(max_examples=40, stateful_step_count=25)


class TestTranscript:
    def test_a_reply_brings_a_result_for_each_of_its_calls(self) -> None:
        """They are skipped until they begin; their ids and times derive from the reply's."""
        transcript = Transcript([HI])
        transcript.append(BOTH)
        skipped = [
            ToolResultMessage("c1", "add", NOT_RUN, None, "skipped", id="m1.1", timestamp=5.0),
            ToolResultMessage("c2", "sub", NOT_RUN, None, "skipped", id="m1.2", timestamp=5.0),
        ]
        assert list(transcript) == [HI, BOTH, *skipped]
        transcript.begin("c2")
        incomplete = evolve(skipped[1], content=CUT_OFF, outcome="interrupted")
        assert list(transcript) == [HI, BOTH, skipped[0], incomplete]
        transcript.resolve(R2)
        transcript.append(NOTE)
        assert list(transcript) == [HI, BOTH, skipped[0], R2, NOTE]

    def test_what_was_looked_at_does_not_change(self) -> None:
        transcript = Transcript([HI])
        seen, walk = transcript.messages, iter(transcript)
        transcript.append(DONE)
        assert (seen, list(walk)) == ((HI,), [HI])

    def test_it_keeps_a_list_of_its_own(self) -> None:
        messages: list[Message] = [HI]
        transcript = Transcript(messages)
        transcript.append(NOTE)
        messages.clear()
        assert (messages, transcript.messages) == ([], (HI, NOTE))

    def test_two_calls_with_one_id_are_refused_and_change_nothing(self) -> None:
        transcript = Transcript([HI])
        transcript.append(BOTH)
        before = transcript.messages
        with pytest.raises(ValueError, match=r"^two tool calls of one reply have the same id$"):
            transcript.append(AssistantMessage([ONE, ONE]))
        transcript.resolve(R1)
        assert transcript.messages == (*before[:2], R1, before[3])

    def test_calls_of_an_earlier_reply_are_closed(self) -> None:
        transcript = Transcript()
        for message in (BOTH, DONE):
            transcript.append(message)
        with pytest.raises(KeyError):
            transcript.resolve(R1)


class TestUnanswered:
    @pytest.mark.parametrize("outcome", get_args(Outcome))
    def test_it_answers_each_call_as_it_is_told(self, outcome: Outcome) -> None:
        assert unanswered(BOTH, outcome, "because") == (
            ToolResultMessage("c1", "add", "because", None, outcome, id="m1.1", timestamp=5.0),
            ToolResultMessage("c2", "sub", "because", None, outcome, id="m1.2", timestamp=5.0),
        )

    def test_a_reply_without_calls_leaves_nothing_unanswered(self) -> None:
        assert unanswered(DONE) == ()


LOST_1, LOST_2 = unanswered(BOTH, "interrupted", CUT_OFF)
EMPTY = AssistantMessage((), stop_reason="aborted")
CUT = AssistantMessage([Text("as I was say")], stop_reason="aborted")
TWICE = AssistantMessage([ONE, evolve(ONE, arguments={"a": 2}), evolve(ONE, id="c1-2")], id="m2")
AGAIN = evolve(R1, content="4")


class TestRepaired:
    @pytest.mark.parametrize(
        ("messages", "valid"),
        [
            ([], []),
            ([BOTH], [BOTH, LOST_1, LOST_2]),
            ([BOTH, R1], [BOTH, R1, LOST_2]),
            ([BOTH, R2], [BOTH, LOST_1, R2]),
            ([BOTH, R2, R1], [BOTH, R1, R2]),
            ([BOTH, HI, R2, NOTE, R1, DONE], [BOTH, R1, R2, HI, NOTE, DONE]),
            ([BOTH, HI, DONE, R1, R2], [BOTH, LOST_1, LOST_2, HI, DONE]),
            ([BOTH, R1, AGAIN, R2], [BOTH, R1, R2]),
            ([BOTH, BOTH, R1, R2], [BOTH, LOST_1, LOST_2, BOTH, R1, R2]),
            ([R1, HI, R2, DONE, R1], [HI, DONE]),
            ([BOTH, evolve(R1, name="other"), R2], [BOTH, R1, R2]),
            ([HI, EMPTY, CUT, EMPTY], [HI, CUT]),
            ([BOTH, EMPTY, R1, R2], [BOTH, R1, R2]),
            ([AssistantMessage(())], [AssistantMessage(())]),
            (
                [TWICE, R1, AGAIN],
                [
                    AssistantMessage(
                        [ONE, ToolCall("c1-3", "add", {"a": 2}), evolve(ONE, id="c1-2")], id="m2"
                    ),
                    R1,
                    evolve(AGAIN, call_id="c1-3"),
                    ToolResultMessage("c1-2", "add", CUT_OFF, None, "interrupted", id="m2.3"),
                ],
            ),
        ],
    )
    def test_it_makes_of_this_that(
        self, messages: Sequence[Message], valid: Sequence[Message]
    ) -> None:
        assert list(repaired(messages)) == valid

    @given(some.any_conversations)
    def test_it_makes_any_list_valid(self, messages: Sequence[Message]) -> None:
        assert is_valid(repaired(messages))

    @given(some.any_conversations)
    def test_what_it_repaired_needs_no_repair(self, messages: Sequence[Message]) -> None:
        once = repaired(messages)
        assert repaired(once) == once

    @given(some.valid_transcripts)
    def test_what_is_valid_stays_as_it_is(self, messages: Sequence[Message]) -> None:
        assert repaired(messages) == messages

    @given(some.any_conversations)
    def test_it_loses_nothing_that_was_said(self, messages: Sequence[Message]) -> None:
        """All but results, and cut-off replies that hold nothing, in the order in which it came."""
        out = repaired(messages)
        assert texts_of(out) == texts_of(messages)

    @given(some.any_conversations)
    def test_it_makes_up_no_result_where_there_is_one(self, messages: Sequence[Message]) -> None:
        """What it adds says so; all other results were given."""
        given_results = [m.content for m in messages if isinstance(m, ToolResultMessage)]
        for message in repaired(messages):
            if isinstance(message, ToolResultMessage) and message.text != CUT_OFF:
                given_results.remove(message.content)

    @given(some.any_conversations)
    def test_it_takes_any_iterable_and_leaves_it_alone(self, messages: Sequence[Message]) -> None:
        before = list(messages)
        assert repaired(iter(messages)) == repaired(messages)
        assert list(messages) == before


def texts_of(messages: Iterable[Message]) -> Sequence[Any]:
    return [
        message.data if isinstance(message, CustomMessage) else message.text
        for message in messages
        if not isinstance(message, ToolResultMessage)
        and not (
            isinstance(message, AssistantMessage) and message.incomplete and not message.content
        )
    ]


def test_no_result_is_made_for_a_call_that_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tether.transcript._unanswered", None)
    assert [*repaired([HI, BOTH, R2, R1, DONE])] == [HI, BOTH, R1, R2, DONE]
