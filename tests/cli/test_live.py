"""What is drawn while a run goes, and what stays."""

import io

from attrs import evolve

from tether import (
    AgentEnd,
    AgentStart,
    ApprovalAnswered,
    ApprovalRequested,
    AssistantMessage,
    Event,
    MessageEnd,
    MessageUpdate,
    Text,
    TextDelta,
    ThinkingDelta,
    ToolExecutionEnd,
    ToolExecutionStart,
    ToolExecutionUpdate,
    ToolResultMessage,
    UserMessage,
)
from tether.cli.display import Screen, Waiting, result_line
from tether.cli.door import BOLD, DIM, PLAIN, RED, printable
from tether.cli.live import Live


class Seen:
    def __init__(self) -> None:
        self.out = io.StringIO()
        self.drawn = 0
        self.now = 100.0
        self.live = Live(self.out, lambda: 40, now=lambda: self.now)
        self.live.redraw = self.redraw

    def redraw(self) -> None:
        self.drawn += 1

    def shown(self, *events: Event) -> str:
        """Show events; return what was printed by them."""
        before = len(self.out.getvalue())
        for event in events:
            self.live.show(event)
        return self.out.getvalue()[before:]


def said(text: str) -> MessageUpdate:
    return MessageUpdate(TextDelta(text))


def update(call_id: str, text: str) -> ToolExecutionUpdate:
    return ToolExecutionUpdate(call_id, "work", (Text(text),))


def test_a_call_that_the_person_is_asked_about_does_not_count_their_time() -> None:
    seen = Seen()
    seen.shown(ToolExecutionStart("c1", "work", {}))
    seen.now += 1
    seen.shown(ApprovalRequested("c1", "work", {}))
    seen.now += 50
    assert seen.live.above(40, 10) == "? work()  (waits for your answer)\n"
    seen.shown(ApprovalAnswered("c1", "work", "once"))
    seen.now += 1
    assert seen.live.above(40, 10) == "| work() 2.0 s\n"


def test_thinking_is_dimmed_line_by_line_and_text_follows() -> None:
    seen = Seen()
    assert seen.shown(AgentStart(), MessageUpdate(ThinkingDelta("Let me "))) == ""
    assert seen.live.above(40, 10) == f"{DIM}Let me {PLAIN}\n"
    assert seen.shown(MessageUpdate(ThinkingDelta("see\nwell"))) == f"{DIM}Let me see{PLAIN}\n"
    assert seen.shown(said("The *answer*")) == f"{DIM}well{PLAIN}\n"
    assert "The" in seen.live.above(40, 10)
    assert "*" not in seen.live.above(40, 10)
    shown = seen.shown(MessageEnd(AssistantMessage("The *answer*")))
    assert "answer" in shown
    assert seen.live.above(40, 10) == ""
    assert seen.drawn == 5


def test_calls_share_the_lines_there_are() -> None:
    seen = Seen()
    for name in "abcdef":
        seen.shown(ToolExecutionStart(name, "work", {"name": name}))
        seen.shown(update(name, "".join(f"{name}{number}\n" for number in range(9))))
    seen.now += 1.5
    lines = seen.live.above(30, 12).splitlines()
    assert len(lines) == 12
    assert lines[0].endswith("work(name='a') 1.5 s")
    assert "| a8" in lines[1]
    assert len(seen.live.above(30, 40).splitlines()) == 36
    few = seen.live.above(30, 4).splitlines()
    assert len(few) == 4
    assert few[-1] == "  and 3 more calls"


def test_what_a_call_printed_stays_in_its_last_lines() -> None:
    seen = Seen()
    seen.shown(ToolExecutionStart("a", "work", {}), update("a", "x\n" * 10_000 + "漢字" * 100))
    drawn = seen.live.above(31, 10).splitlines()
    assert drawn[-1] == f"{DIM}  | {'漢字' * 6}...{PLAIN}"
    result = ToolResultMessage("a", "work", "boom", outcome="error")
    shown = seen.shown(ToolExecutionEnd("a", "work", result, 0.5)).splitlines()
    assert shown[0] == f"{RED}! work() 0.50 s error: boom{PLAIN}"
    assert "... 9,996 lines; Ctrl-O shows all" in shown[1]
    assert len(shown) == 7
    assert seen.live.above(31, 10) == ""


def test_what_an_agent_within_a_call_does_is_told() -> None:
    seen = Seen()
    inner = ToolExecutionStart("i", "grep", {"pattern": "x"})
    seen.shown(ToolExecutionStart("a", "helper", {}))
    seen.shown(evolve(update("a", ""), event=inner, path=("helper", "clerk")))
    assert "helper > clerk: grep(pattern='x')" in seen.live.above(80, 10)


def test_others_escape_sequences_reach_no_terminal() -> None:
    seen = Seen()
    seen.shown(ToolExecutionStart("a", "\x1b[2Jwork", {}), update("a", "\x1b]0;title\x07red\x9b1m"))
    drawn = seen.live.above(60, 10)
    assert "\x1b[2J" not in drawn
    assert "title" not in drawn
    assert printable("a\tb\n\x1b[31mc\x1b(B\x00\r") == "a\tb\nc"


def test_what_the_offline_model_counts_is_no_spending() -> None:
    reply = AssistantMessage([Text("hi")], model="offline")
    shown = Seen().shown(AgentStart(), MessageEnd(reply), AgentEnd(stop_reason="stop"))
    assert "1 turn, no tokens" in shown


def test_a_run_that_ended_without_saying_so_is_forgotten() -> None:
    seen = Seen()
    seen.shown(said("Half a"), ToolExecutionStart("a", "work", {}))
    seen.live.stop()
    assert "Half a" in seen.out.getvalue()
    assert seen.live.above(40, 10) == ""
    assert "1 turn, 0 tokens" in seen.shown(
        AgentStart(), MessageEnd(AssistantMessage("x")), AgentEnd("stop")
    )


def test_turns_are_not_counted_for_a_run_whose_start_was_not_seen() -> None:
    events = MessageEnd(AssistantMessage("x")), AgentEnd("stop")
    assert "- 0 tokens in, 0 out" in Seen().shown(*events)
    out = io.StringIO()
    screen = Screen(out)
    for event in events:
        screen.show(event)
    assert out.getvalue() == "- 0 tokens in, 0 out\n"


def test_a_call_that_was_denied_says_so_once() -> None:
    result = ToolResultMessage("c1", "add", "This call was denied: too small", outcome="denied")
    line = result_line("add(a=1)", ToolExecutionEnd("c1", "add", result, 0.0))
    assert line == "! add(a=1) 0.00 s denied: too small"


def test_what_is_drawn_at_each_key_does_not_grow_with_what_there_is() -> None:
    """The line is drawn anew at each key: the work for that must stay small, whatever has come."""
    seen = Seen()
    seen.shown(ToolExecutionStart("a", "work", {}))
    for number in range(10_000):
        seen.shown(update("a", f"line {number}"))
    seen.shown(update("a", "x" * 200_000), update("a", "漢" * 200_000))
    assert sum(map(len, seen.live._calls["a"].output.last)) <= 5_000, "what is looked at"
    assert len(seen.live.above(80, 20)) < 2_000
    seen.shown(*(said("word" * 10) for _ in range(5_000)))
    assert len(seen.live._reply.rest) < 4_000
    seen.shown(*(MessageUpdate(ThinkingDelta("漢字" * 10)) for _ in range(5_000)))
    assert len(seen.live._thinking) < 4_000
    assert len(seen.live.above(80, 20)) < 6_000
    assert len(seen.live._calls["a"].output.whole) > 400_000, "nothing of it is lost"


def test_a_reply_that_was_cut_off_says_so_and_what_was_said_stands_where_it_is_heard() -> None:
    seen = Seen()
    seen.live.waiting = lambda: [Waiting("> shorter", "soon")]
    seen.shown(said("Well"))
    assert printable(seen.live.above(40, 10)) == "Well\n> shorter  (soon)\n"
    shown = seen.shown(MessageEnd(AssistantMessage("Well", stop_reason="aborted")))
    assert "! the reply was cut off" in shown
    assert f"\n{BOLD}> shorter{PLAIN}\n" in seen.shown(MessageEnd(UserMessage("shorter")))
