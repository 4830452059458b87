"""What must hold when a drive is over, whatever was done to it. No I/O."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tether import AgentEnd, Event, Message, MessageEnd, MessageUpdate, ToolExecutionUpdate, Usage
from tether.serialize import to_builtins
from tether.testing.event_check import check_events
from tether.testing.transcript_check import check_transcript, describe
from tether.transcript import repaired

if TYPE_CHECKING:
    from tether.testing.explore.driving import Drive

__all__ = ("check_drive",)


def check_drive(drive: "Drive") -> None:
    """Check a drive, and note each kind of fault in its simulation."""
    checks: Sequence[tuple[str, Callable[[Drive], None]]] = (
        ("events", _events),
        ("branch", _branches),
        ("transcript", _transcript),
        ("session", _session),
        ("kept", _kept),
        ("messages", _messages),
        ("usage", _usage),
    )
    for kind, check in checks:
        try:
            check(drive)
        except AssertionError as error:
            drive.sim.fault(kind, error)


def _is_over(drive: "Drive") -> bool:
    """Whether the run has come to its end by itself."""
    return not (drive.left or drive.cancelled or drive.cast.store.failed)


def _is_whole(drive: "Drive") -> bool:
    return drive.reads and _is_over(drive)


def _edited(drive: "Drive") -> bool:
    return bool(drive.cast.agent.hooks.at("after_model"))


def _events(drive: "Drive") -> None:
    if drive.run is None:
        return
    edited = _edited(drive)
    check_events(drive.published, complete=_is_over(drive), replies_edited=edited)
    told = [(drive.events, _is_whole(drive))] if drive.reads else []
    told += [(drive.heard, False)] if drive.heard is not None else []
    told += [(one.got, False) for one in drive.followers if one.policy != "drop_oldest"]
    for events, is_whole in told:
        # What is the beginning of what was checked is right too.
        if events != drive.published[: None if is_whole else len(events)]:
            check_events(events, complete=is_whole, replies_edited=edited)


def _branches(drive: "Drive") -> None:
    if not _is_whole(drive):
        return
    for place, follower in enumerate(drive.followers):
        expected, got = drive.events, follower.got
        if follower.policy == "drop_oldest":
            expected, got = _firm(expected), _firm(got)
        if follower.left or follower.too_slow:
            expected = expected[: len(got)]
        if got != expected:
            raise AssertionError(
                f"branch {place} ({follower.policy}) got {len(got)} events, and not the same"
                f" {len(expected)} that the first consumer got"
            )


def _firm(events: Sequence[Event]) -> list[Event]:
    return [event for event in events if not isinstance(event, MessageUpdate | ToolExecutionUpdate)]


def _transcript(drive: "Drive") -> None:
    if drive.cast.agent.state.running:
        raise AssertionError("the agent still has a run when the run is over")
    check_transcript(drive.cast.agent.messages)


def _session(drive: "Drive") -> None:
    """The session has the whole conversation; where its store has failed, the beginning of it."""
    cast = drive.cast
    # A session leaves out cut-off replies that hold nothing, when it is read.
    said: Sequence[Message] = repaired(cast.agent.messages[cast.first :])
    kept = cast.session.messages
    if cast.store.failed:
        said = said[: len(kept)]
    for place, message in enumerate(said):
        if place >= len(kept) or not _is_same(kept[place], message):
            other = describe(kept[place]) if place < len(kept) else "nothing"
            raise AssertionError(
                f"message {place} of the transcript is {describe(message)}; the session has {other}"
            )
    if len(kept) > len(said) and not cast.store.failed:
        raise AssertionError(f"the session has {len(kept)} messages, the transcript {len(said)}")


def _is_same(kept: Message, said: Message) -> bool:
    # Details that are no plain data, such as a tuple, come back otherwise than they were.
    return kept == said or to_builtins(kept) == to_builtins(said)


def _kept(drive: "Drive") -> None:
    """What is announced is kept."""
    kept = {entry.data.get("id") for entry in drive.cast.store.kept if entry.kind == "message"}
    told = [drive.published, drive.events, *(follower.got for follower in drive.followers)]
    for events in told:
        for event in events:
            if isinstance(event, MessageEnd) and event.message.id not in kept:
                raise AssertionError(
                    f"announced, though the store has not kept it: {describe(event.message)}"
                )


def _messages(drive: "Drive") -> None:
    """Each message that was accepted is in exactly one place."""
    agent, state = drive.cast.agent, drive.cast.agent.state
    places = [
        *agent.messages,
        *(drive.result.undelivered if drive.result is not None else ()),
        *state.steering,
        *state.follow_ups,
        *drive.taken_back,
    ]
    found = [message.id for message in places]
    for message in drive.said:
        times = found.count(message.id)
        if times != 1:
            raise AssertionError(f"{message.text!r} was said, and is in {times} places")


def _usage(drive: "Drive") -> None:
    if drive.run is None or not drive.alone:
        return
    arrived = Usage()
    for model, before in drive.arrived_before.items():
        for number, usage in model.arrived.items():
            if number >= before:
                arrived += usage
    usage = drive.run.usage
    less = usage.input_tokens < arrived.input_tokens or usage.output_tokens < arrived.output_tokens
    if less or not (usage.estimated or usage == arrived):
        raise AssertionError(f"the models have reported {arrived}; the run counts {usage}")
    if drive.result is not None and drive.result.usage != usage:
        raise AssertionError(f"the run counts {usage}, its result {drive.result.usage}")
    last = drive.events[-1] if drive.events else None
    if isinstance(last, AgentEnd) and last.usage != usage:
        raise AssertionError(f"the run counts {usage}, its last event {last.usage}")
