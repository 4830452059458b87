"""The loop decides, and only decides: each test answers its requests by hand and reads what it yields."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from attrs import evolve

from tether import (
    AgentEnd,
    AgentStart,
    AssistantMessage,
    Event,
    Limits,
    Message,
    MessageEnd,
    MessageStart,
    Text,
    ToolCall,
    ToolExecutionEnd,
    ToolExecutionStart,
    ToolResultMessage,
    TurnEnd,
    TurnStart,
    Usage,
    UserMessage,
)
from tether.calls import CallEnded, OpenCalls
from tether.loop import (
    AskModel,
    AskWhetherToStop,
    End,
    Interruption,
    Request,
    RunTools,
    TakeMessages,
    ToolOutcome,
    agent_loop,
)
from tether.messages import Failure
from tether.transcript import Transcript, repaired

STEERING = TakeMessages("steering")
FOLLOW_UP = TakeMessages("follow_up")
HELLO = UserMessage("hello", id="u1")


def reply(text: str = "hi", *calls: str, **fields: Any) -> AssistantMessage:
    blocks: list[Text | ToolCall] = [Text(text), *(ToolCall(name, name) for name in calls)]
    stop = "tool_calls" if calls else "stop"
    return AssistantMessage(blocks, **{"id": text, "stop_reason": stop, **fields})


def result(call: str, text: str = "done", **fields: Any) -> ToolResultMessage:
    return ToolResultMessage(call, call, text, **fields)


def answers(*calls: str, terminate: bool = False) -> Sequence[ToolOutcome]:
    return [ToolOutcome(result(call), terminate) for call in calls]


class Played:
    """A loop played to its end, each request answered with the next outcome of the script."""

    def __init__(self, loop: Any, outcomes: Sequence[Any]) -> None:
        self.requests: list[Request] = []
        self.events: list[Event] = []
        self.left = list(outcomes)
        step = next(loop)
        try:
            while True:
                step = self._answer(loop, step)
        except StopIteration as stop:
            self.end: End = stop.value

    def _answer(self, loop: Any, step: Any) -> Any:
        if not isinstance(step, Request):
            self.events.append(step)
            return loop.send(None)
        self.requests.append(step)
        outcome = self.left.pop(0)
        return loop.throw(outcome) if isinstance(outcome, Interruption) else loop.send(outcome)


def play(
    outcomes: Sequence[Any],
    prompts: Sequence[Any] = (HELLO,),
    transcript: Transcript | None = None,
    **options: Any,
) -> tuple[Played, Transcript]:
    transcript = Transcript() if transcript is None else transcript
    played = Played(agent_loop(transcript, prompts, **options), outcomes)
    assert played.left == []
    return played, transcript


def said(message: Message) -> list[Event]:
    return [MessageStart(message), MessageEnd(message)]


def test_a_plain_reply_takes_one_turn() -> None:
    hi = reply(usage=Usage(input_tokens=3, output_tokens=1))
    played, transcript = play([(), hi, False, (), ()])
    turn = TurnEnd(1, hi)
    assert played.requests == [STEERING, AskModel(), AskWhetherToStop(turn), STEERING, FOLLOW_UP]
    assert played.events == [
        AgentStart(),
        TurnStart(1),
        *said(HELLO),
        MessageEnd(hi),
        turn,
        AgentEnd("stop", usage=hi.usage),
    ]
    assert played.end == End("stop")
    assert transcript.messages == (HELLO, hi)


def test_results_are_recorded_in_the_order_of_the_calls_and_the_model_is_asked_again() -> None:
    first, second = reply("one", "a", "b"), reply("two")
    played, transcript = play([(), first, answers("a", "b"), False, (), second, False, (), ()])
    assert transcript.messages == (HELLO, first, result("a"), result("b"), second)
    assert played.events[4:10] == [
        MessageEnd(first),
        *said(result("a")),
        *said(result("b")),
        TurnEnd(1, first, (result("a"), result("b"))),
    ]
    assert played.requests[2] == RunTools(first.tool_calls)


def test_the_transcript_changes_before_the_event_that_tells_of_it() -> None:
    transcript = Transcript()
    loop = agent_loop(transcript, [HELLO])
    outcomes = iter([(), reply("one", "a"), answers("a"), False, (), reply("two"), False, (), ()])
    step = next(loop)
    try:
        while True:
            if isinstance(step, MessageStart | MessageEnd):
                assert step.message in transcript.messages
            step = loop.send(next(outcomes) if isinstance(step, Request) else None)
    except StopIteration:
        pass
    assert len(transcript) == 4


def test_a_batch_in_which_every_result_says_terminate_ends_the_run() -> None:
    played, _ = play([(), reply("one", "a", "b"), answers("a", "b", terminate=True)])
    assert played.end == End("terminated")


def test_a_batch_in_which_one_result_does_not_say_terminate_goes_on() -> None:
    mixed = [*answers("a", terminate=True), *answers("b")]
    played, _ = play([(), reply("one", "a", "b"), mixed, False, (), reply(), False, (), ()])
    assert played.end == End("stop")


def test_who_watches_turns_may_end_the_run() -> None:
    played, _ = play([(), reply("one", "a"), answers("a"), True])
    assert played.end == End("terminated")


def test_steering_enters_at_the_start_between_tools_and_after_a_turn() -> None:
    early, mid, late = (UserMessage(text, id=text) for text in ("early", "mid", "late"))
    first, second, third = reply("one", "a"), reply("two"), reply("three")
    _, transcript = play(
        [(early,), first, answers("a"), False, (mid,), second, False, (late,), third, False, (), ()]
    )
    assert transcript.messages == (HELLO, early, first, result("a"), mid, second, late, third)


def test_follow_ups_enter_when_the_run_would_stop() -> None:
    more = UserMessage("more", id="u2")
    first, second = reply("one"), reply("two")
    _, transcript = play([(), first, False, (), (more,), second, False, (), ()])
    assert transcript.messages == (HELLO, first, more, second)


def test_a_model_error_ends_the_run_and_keeps_what_had_arrived() -> None:
    failure = Failure("overloaded", "too busy")
    broken = reply("half", stop_reason="error", error=failure)
    played, transcript = play([(), broken])
    assert played.end == End("error")
    assert played.events[-1] == AgentEnd("error", error=failure)
    assert transcript.messages == (HELLO, broken)


@pytest.mark.parametrize("stop_reason", ["length", "refusal"])
def test_a_reply_that_ends_by_itself_ends_the_run(stop_reason: str) -> None:
    played, _ = play([(), reply(stop_reason=stop_reason), False, (), ()])
    assert played.end == End("stop")


def test_a_model_that_pauses_is_asked_to_go_on_before_anyone_else_speaks() -> None:
    pause, rest = reply("Let me see ...", stop_reason="pause"), reply("Found it.")
    played, transcript = play([(), pause, False, rest, False, (), ()])
    ask = AskModel()
    stops = [AskWhetherToStop(TurnEnd(1, pause)), AskWhetherToStop(TurnEnd(2, rest))]
    assert played.requests == [STEERING, ask, stops[0], ask, stops[1], STEERING, FOLLOW_UP]
    assert transcript.messages == (HELLO, pause, rest)
    assert played.end == End("stop")


def test_a_limit_reached_while_a_model_pauses_ends_the_run_there() -> None:
    played, _ = play([(), reply(stop_reason="pause"), False], limits=Limits(turns=1))
    assert played.end == End("limit", "turns")


def test_calls_of_a_reply_that_pauses_are_run_as_ever() -> None:
    pause, rest = reply("", "a", stop_reason="pause"), reply("Done.")
    played, transcript = play([(), pause, answers("a"), False, (), rest, False, (), ()])
    assert played.requests[4] == STEERING
    assert transcript.messages == (HELLO, pause, result("a"), rest)


def test_an_empty_reply_ends_the_run() -> None:
    played, transcript = play([(), AssistantMessage((), id="e"), False, (), ()])
    assert played.end == End("stop")
    assert len(transcript) == 2


def test_calls_of_a_cut_off_reply_are_answered_as_skipped_and_not_run() -> None:
    cut = reply("half", "a", stop_reason="aborted")
    now = UserMessage("now", id="u2")
    played, transcript = play([(), cut, False, (now,), reply("two"), False, (), ()])
    skipped = transcript[2]
    assert isinstance(skipped, ToolResultMessage)
    assert skipped.outcome == "skipped"
    assert [type(event) for event in played.events[4:9]] == [
        MessageEnd,
        ToolExecutionStart,
        ToolExecutionEnd,
        MessageStart,
        MessageEnd,
    ]
    assert not any(isinstance(request, RunTools) for request in played.requests)


def test_a_cut_off_reply_with_nothing_to_follow_ends_the_run_as_aborted() -> None:
    played, _ = play([(), reply("half", stop_reason="aborted"), False, (), ()])
    assert played.end == End("aborted")


ABORTED = End("aborted")


@pytest.mark.parametrize(
    ("outcomes", "messages"),
    [
        ([Interruption(ABORTED, ())], 2),
        ([(), Interruption(ABORTED, reply("half", stop_reason="aborted"))], 2),
        ([(), Interruption(ABORTED, reply("half", "a", stop_reason="aborted"))], 3),
        ([(), reply("one", "a", "b"), Interruption(ABORTED, answers("a", "b"))], 4),
        ([(), reply("one"), Interruption(ABORTED, False)], 2),
        ([(), reply("one"), False, Interruption(ABORTED, ())], 2),
        ([(), reply("one"), False, (), Interruption(ABORTED, ())], 2),
    ],
)
def test_an_interruption_at_any_request_closes_the_run_in_order(
    outcomes: Sequence[Any], messages: int
) -> None:
    played, transcript = play(outcomes)
    assert played.end == ABORTED
    assert len(played.requests) == len(outcomes)
    assert isinstance(played.events[-1], AgentEnd)
    assert isinstance(played.events[-2], TurnEnd)
    assert len(transcript) == messages


def test_a_run_that_ends_before_it_asks_has_an_empty_reply_and_makes_no_further_request() -> None:
    played, transcript = play([Interruption(ABORTED, ())])
    nothing = AssistantMessage((), stop_reason="aborted", id="u1.reply")
    assert played.requests == [STEERING]
    assert transcript.messages == (HELLO, nothing)
    assert played.events == [
        AgentStart(),
        TurnStart(1),
        *said(HELLO),
        MessageStart(evolve(nothing, stop_reason=None)),
        MessageEnd(nothing),
        TurnEnd(1, nothing),
        AgentEnd("aborted"),
    ]


def test_limits_that_change_meanwhile_count_from_the_next_turn_on() -> None:
    limits = [Limits()]

    def change() -> Limits:
        return limits[-1]

    transcript = Transcript()
    loop = agent_loop(transcript, (HELLO,), limits=change)
    outcomes = [(), reply("one", "a"), answers("a"), False, (), reply("two", "b"), answers("b")]
    step = next(loop)
    with pytest.raises(StopIteration) as stop:
        while True:
            if isinstance(step, RunTools) and step.calls[0].id == "b":
                limits.append(Limits(turns=2))
            is_request = isinstance(step, Request)
            step = loop.send((outcomes.pop(0) if outcomes else False) if is_request else None)
    assert stop.value.value == End("limit", "turns")


def test_an_interruption_begins_nothing_new() -> None:
    played, _ = play([(), Interruption(ABORTED, reply("half", "a", stop_reason="aborted"))])
    assert played.requests == [STEERING, AskModel()]


def test_the_limit_of_turns_stops_before_the_model_is_asked_once_more() -> None:
    played, _ = play([(), reply("one", "a"), answers("a"), False], limits=Limits(turns=1))
    assert played.end == End("limit", "turns")


def test_the_limit_of_turns_does_not_show_where_the_run_would_stop_anyway() -> None:
    played, _ = play([(), reply("one"), False], limits=Limits(turns=1))
    assert played.end == End("stop")


def test_calls_beyond_the_limit_are_skipped_and_the_run_ends() -> None:
    played, transcript = play(
        [(), reply("one", "a", "b"), answers("a")], limits=Limits(tool_calls=1)
    )
    assert played.end == End("limit", "tool_calls")
    assert [m.outcome for m in transcript if isinstance(m, ToolResultMessage)] == ["ok", "skipped"]


def test_a_used_up_limit_of_calls_lets_the_model_conclude() -> None:
    played, _ = play(
        [(), reply("one", "a"), answers("a"), False, (), reply("two"), False, (), ()],
        limits=Limits(tool_calls=1),
    )
    assert played.end == End("stop")


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        (Limits(input_tokens=10), "input_tokens"),
        (Limits(output_tokens=5), "output_tokens"),
        (Limits(cost=0.5), "cost"),
    ],
)
def test_tokens_and_cost_are_checked_after_each_turn(limits: Limits, name: str) -> None:
    spent = reply("one", "a", usage=Usage(input_tokens=10, output_tokens=5))
    played, _ = play([(), spent, answers("a"), False], limits=limits, price=lambda _: 0.5)
    assert (played.end.stop_reason, played.end.limit) == ("limit", name)


def test_what_child_agents_spend_counts() -> None:
    child = ToolOutcome(result("a"), usage=Usage(input_tokens=7, output_tokens=2))
    played, _ = play([(), reply("one", "a"), [child], False, (), reply("two"), False, (), ()])
    assert isinstance(played.events[-1], AgentEnd)
    assert played.events[-1].usage == Usage(input_tokens=7, output_tokens=2)


@pytest.mark.parametrize("cut_at", [None, 1, 2, 5])
def test_the_same_outcomes_give_the_same_events_and_the_same_transcript(cut_at: int | None) -> None:
    """A replay needs no model, no tools, no clock."""
    more = UserMessage("more", id="u2")
    outcomes: list[Any] = [
        (),
        reply("one", "a", "b"),
        answers("a", "b"),
        False,
        (more,),
        reply("two"),
        False,
        (),
        (),
    ]
    if cut_at is not None:
        outcomes[cut_at:] = [Interruption(ABORTED, outcomes[cut_at])]
    runs = [play(list(outcomes)) for _ in range(2)]
    assert runs[0][0].events == runs[1][0].events
    assert runs[0][1].messages == runs[1][1].messages


def test_the_price_of_a_reply_is_asked_for_once_for_each() -> None:
    asked: list[AssistantMessage] = []

    def price(message: AssistantMessage) -> float:
        asked.append(message)
        return 1.0

    counting: Callable[[AssistantMessage], float] = price
    first, second = reply("one", "a"), reply("two")
    play([(), first, answers("a"), False, (), second, False, (), ()], price=counting)
    assert asked == [first, second]


def left_open(*calls: str, ended: str = "", stop: str = "tool_calls") -> Transcript:
    """A conversation whose process has ended in the middle of these calls."""
    called = reply("one", *calls, stop_reason=stop)
    results = {call: CallEnded(result(call), terminate=True) for call in ended.split()}
    opened = OpenCalls(reply=called, calls=called.tool_calls, ended=results)
    return Transcript(repaired([HELLO, called]), opened)


def test_calls_that_were_left_open_are_run_before_the_model_is_asked() -> None:
    two = reply("two")
    transcript = left_open("a", "b", ended="a")
    played, _ = play([(), answers("b"), two, False, (), ()], (), transcript)
    asked = [request for request in played.requests if isinstance(request, RunTools | AskModel)]
    assert asked == [RunTools((ToolCall("b", "b"),)), AskModel()]
    assert transcript.messages[2:] == (result("a"), result("b"), two)
    assert played.events[1:4] == [
        TurnStart(1),
        ToolExecutionStart("a", "a", {}),
        ToolExecutionEnd("a", "a", result("a"), 0.0),
    ]
    assert TurnEnd(1, two) in played.events


@pytest.mark.parametrize("steers", [False, True])
def test_calls_that_were_left_open_do_not_run_where_something_is_said(steers: bool) -> None:
    said = UserMessage("no", id="u2")
    transcript = left_open("a", "b", ended="a")
    first = (said,) if steers else ()
    prompts = () if steers else (said,)
    played, _ = play([first, reply("two"), False, (), ()], prompts, transcript)
    assert not any(isinstance(request, RunTools) for request in played.requests)
    outcomes = [m.outcome for m in transcript.messages if isinstance(m, ToolResultMessage)]
    assert outcomes == ["ok", "skipped"]
    assert transcript.messages[4] == said


def test_a_run_that_is_interrupted_in_them_asks_nobody_more() -> None:
    transcript = left_open("a", "b")
    interrupted = Interruption(End("aborted"), answers("a", "b"))
    played, _ = play([(), interrupted], (), transcript)
    assert played.end == End("aborted")
    assert played.requests == [STEERING, RunTools((ToolCall("a", "a"), ToolCall("b", "b")))]
    assert transcript.messages[2:4] == (result("a"), result("b"))


def test_limits_of_calls_count_those_that_run() -> None:
    transcript = left_open("a", "b", "c", ended="a")
    played, _ = play([(), answers("b")], (), transcript, limits=Limits(tool_calls=1))
    assert played.end == End("limit", "tool_calls")
    outcomes = [m.outcome for m in transcript.messages if isinstance(m, ToolResultMessage)]
    assert outcomes == ["ok", "ok", "skipped"]


def test_calls_that_all_end_the_run_do_so_over_two_runs() -> None:
    transcript = left_open("a", "b", ended="a")
    played, _ = play([(), answers("b", terminate=True)], (), transcript)
    assert played.end == End("terminated")


@pytest.mark.parametrize("stop", ["aborted", "error"])
def test_calls_of_a_reply_that_was_cut_off_are_not_run(stop: str) -> None:
    transcript = left_open("a", stop=stop)
    played, _ = play([(), reply("two"), False, (), ()], (), transcript)
    assert not any(isinstance(request, RunTools) for request in played.requests)
