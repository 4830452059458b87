"""Events are plain data, told apart by their type; their order is `tests/test_loop.py`'s to test."""

import pickle
import re
import weakref
from typing import Any, get_args, get_type_hints

import attrs
import msgspec
import pytest

from tether import deltas, events
from tether.calls import CallBegun, CallEnded
from tether.deltas import BlockDelta, BlockEnd, Delta, TextDelta, ThinkingDelta, ToolCallStart
from tether.events import (
    Event,
    MessageEnd,
    MessageStart,
    MessageUpdate,
    ToolExecutionEnd,
    ToolExecutionStart,
)
from tether.messages import AssistantMessage, Block, Text, ToolResultMessage

EVENTS = get_args(Event)


def test_the_type_of_an_event_is_its_name() -> None:
    assert {cls.type for cls in EVENTS} == {
        re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower() for cls in EVENTS
    }


def test_the_design_s_events_are_all_there() -> None:
    assert [cls.type for cls in EVENTS] == [
        "agent_start",
        "turn_start",
        "message_start",
        "message_update",
        "message_end",
        "model_retry",
        "tool_execution_start",
        "approval_requested",
        "approval_answered",
        "tool_execution_update",
        "tool_execution_end",
        "turn_end",
        "agent_end",
    ]


@pytest.mark.parametrize(("module", "union"), [(events, Event), (deltas, Delta)])
def test_every_class_of_the_vocabulary_is_in_its_union(module: Any, union: Any) -> None:
    """One that is not would be written and never read."""
    public = {getattr(module, name) for name in module.__all__}
    assert {cls for cls in public if attrs.has(cls)} == set(get_args(union))


def test_no_two_types_are_the_same_in_all_of_json() -> None:
    tags = [cls.type for cls in (*EVENTS, *get_args(Delta), *get_args(Block))]
    assert sorted(set(tags)) == sorted(tags)


def test_consumers_see_the_deltas_of_blocks_alone() -> None:
    assert set(get_args(BlockDelta)) < set(get_args(Delta))
    assert get_type_hints(MessageUpdate)["delta"] == BlockDelta


def test_what_is_no_attrs_class_passes_for_one() -> None:
    update: Any = MessageUpdate(TextDelta("a", 1))
    assert attrs.has(type(update))
    assert attrs.asdict(update) == {"delta": {"text": "a", "index": 1}}
    delta: Any = update.delta
    assert attrs.evolve(delta, text="b") == TextDelta("b", 1)
    assert [one.name for one in attrs.fields(type(update.delta))] == ["text", "index"]
    other: Any = ThinkingDelta("a", 1)
    assert delta == TextDelta("a", 1) != other
    with pytest.raises(AttributeError):
        delta.text = "b"
    assert pickle.loads(pickle.dumps(update)) == update
    assert len({update, MessageUpdate(TextDelta("a", 1))}) == 1


@pytest.mark.parametrize(
    "event",
    [
        MessageStart(AssistantMessage("a")),
        MessageEnd(AssistantMessage("a")),
        ToolExecutionStart("a", "f", {}),
        ToolExecutionEnd("a", "f", ToolResultMessage("a", "f", "x"), 0.1),
        ToolCallStart("a", "f"),
        BlockEnd(Text("a")),
        CallBegun("a"),
        CallEnded(ToolResultMessage("a", "f", "x")),
    ],
    ids=lambda event: type(event).__name__,
)
def test_an_event_can_be_held_weakly(event: Any) -> None:
    assert weakref.ref(event)() is event


@pytest.mark.parametrize("cls", [*EVENTS, *get_args(Delta)])
def test_everything_is_frozen_and_has_slots(cls: Any) -> None:
    if issubclass(cls, msgspec.Struct):  # what is made for every piece of a reply
        assert cls.__struct_config__.frozen
        assert cls.__dictoffset__ == 0
        return
    assert hasattr(cls, "__slots__")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        cls.__setattr__(cls.__new__(cls), "type", "x")
