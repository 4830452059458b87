"""The JSON Schema: it takes what is written, and refuses what cannot be read."""

import json
from collections.abc import Callable, Hashable
from functools import cache
from typing import Any, cast

import attrs
import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import strategies as some
from tests.test_serialize import changes

from tether import Event, Message, UsageError, from_json, json_schema
from tether.cli.command_line import read
from tether.cli.info_commands import schema
from tether.deltas import Delta
from tether.errors import DecodeError
from tether.messages import Block, Failure, Usage
from tether.serialize import from_builtins, to_builtins

EVERYTHING: Any = Message | Event | Delta | Block | Usage | Failure


@cache
def validator(of: Any = Message | Event, **options: Any) -> jsonschema.Draft202012Validator:
    schema = json_schema(of, **options)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


WRITTEN = validator(EVERYTHING)
READABLE = validator(EVERYTHING, may_be_partial=True)


def accepts(schema: jsonschema.Draft202012Validator, value: Any) -> bool:
    return bool(schema.is_valid(value))


@given(some.messages | some.events | some.deltas | some.blocks | some.usages | some.failures)
def test_what_is_written_is_as_it_says(value: Any) -> None:
    written = json.loads(json.dumps(to_builtins(value)))
    WRITTEN.validate(written)
    READABLE.validate(written)
    validator(cast("Hashable", type(value))).validate(written)


@given(some.messages | some.events)
def test_messages_and_events_are_what_it_is_of_by_itself(value: Message | Event) -> None:
    MESSAGES_AND_EVENTS.validate(to_builtins(value))


MESSAGES_AND_EVENTS = validator()


@given(value=some.messages | some.events, data=st.data())
def test_what_it_refuses_cannot_be_read(value: Message | Event, data: st.DataObject) -> None:
    """It takes all that can be read, and refuses almost all that cannot: it has no rules between fields."""
    changed = data.draw(changes(to_builtins(value)))
    try:
        from_builtins(changed)
    except DecodeError:
        return
    assert accepts(READABLE, changed)


def wrong(change: Callable[[Any], object]) -> Any:
    event = to_builtins(from_json(EVENT))
    change(event)
    return event


EVENT = (
    '{"type":"message_end","message":{"role":"user","content":[{"type":"text","text":"hi"},'
    '{"type":"image","data":"AP8=","media_type":"image/png"}]}}'
)


@pytest.mark.parametrize(
    "change",
    [
        lambda event: event.update(type="message_ended"),
        lambda event: event.pop("type"),
        lambda event: event.pop("message"),
        lambda event: event.update(colour="red"),
        lambda event: event["message"].update(role="bot"),
        lambda event: event["message"].update(timestamp="now"),
        lambda event: event["message"].update(content="hi"),
        lambda event: event["message"]["content"].append("hi"),
        lambda event: event["message"]["content"][0].update(text=None),
        lambda event: event["message"]["content"][0].update(details=[]),
        lambda event: event["message"]["content"][0].update(type="thinking"),
        lambda event: event["message"]["content"][1].update(data="***"),
    ],
    ids=range(12),
)
@pytest.mark.parametrize("schema", [WRITTEN, READABLE, MESSAGES_AND_EVENTS], ids=range(3))
def test_it_refuses_what_is_wrong(change: Callable[[Any], object], schema: Any) -> None:
    assert accepts(schema, wrong(lambda _: None))
    assert not accepts(schema, wrong(change))


def test_fields_with_a_default_may_be_missing_where_that_is_wanted() -> None:
    short = {"type": "agent_end", "stop_reason": "stop"}
    assert accepts(READABLE, short)
    assert not accepts(WRITTEN, short)
    assert not accepts(READABLE, {"type": "agent_end"})


def test_classes_and_unions_have_their_names() -> None:
    definitions = json_schema()["$defs"]
    assert {"Message", "Event", "Delta", "Block", "UserMessage", "MessageUpdate"} <= set(
        definitions
    )
    assert definitions["TurnStart"] == {
        "description": "A turn begins: one question to the model and what follows from its reply.",
        "type": "object",
        "properties": {"type": {"const": "turn_start"}, "turn": {"type": "integer"}},
        "required": ["type", "turn"],
        "additionalProperties": False,
    }
    nested = definitions["ToolExecutionUpdate"]["properties"]["event"]
    assert nested == {"anyOf": [{"$ref": "#/$defs/Event"}, {"type": "null"}]}


def test_what_cannot_be_written_has_no_schema() -> None:
    @attrs.frozen
    class Strange:
        what: complex

    with pytest.raises(UsageError, match=r"complex.* is not one of the types"):
        json_schema(Strange)


def test_the_command_prints_it() -> None:
    [printed] = read(schema, [])
    assert json.loads(printed) == json_schema()
    with pytest.raises(SystemExit):
        read(schema, ["event"])
