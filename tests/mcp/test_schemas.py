"""Every JSON Schema that a server may send is accepted, or refused with the reason; and no check runs away."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tether.errors import ArgumentsError
from tether.mcp.schemas import SchemaRefusedError, argument_check, as_object, as_parameters


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"properties": {"a": schema}}
    return schema


def doubling(levels: int) -> dict[str, Any]:
    """A schema whose check takes 2 to the power of `levels` steps."""
    definitions: dict[str, Any] = {f"d{levels}": {}}
    for level in range(levels):
        inner = {"$ref": f"#/$defs/d{level + 1}"}
        definitions[f"d{level}"] = {"allOf": [inner, inner]}
    return {"properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": definitions}


ACCEPTED: dict[str, Any] = {
    "nothing": None,
    "true": True,
    "empty": {},
    "no type": {"properties": {"a": {"type": "string"}}},
    "several types": {"type": ["object", "null"]},
    "a reference": {"$ref": "#/$defs/x", "$defs": {"x": {"properties": {"a": {}}}}},
    "a recursive reference": {"properties": {"a": {"$ref": "#"}}},
    "a reference that leads nowhere": {"properties": {"a": {"$ref": "#/$defs/none"}}},
    "booleans": {"properties": {"a": True, "b": False}},
    "a reference to itself, below": {
        "properties": {"a": {"$ref": "#/$defs/x"}},
        "$defs": {"x": {"$ref": "#/$defs/x"}},
    },
    "a pattern of JavaScript": {"properties": {"a": {"pattern": r"^\p{Lu}(?<name>x)$"}}},
    "a pattern that takes for ever": {"properties": {"a": {"pattern": "(a+)+$"}}},
    "steps that double": doubling(40),
    "an old draft": {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "properties": {"a": {"type": "integer", "minimum": 0, "exclusiveMinimum": True}},
    },
    "a draft that nobody knows": {"$schema": "https://example.com/x", "type": "object"},
    "an id of its own": {
        "$id": "https://example.com/x",
        "properties": {"a": {"$ref": "#/$defs/b"}},
    },
    "alternatives": {"oneOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]},
}

REFUSED: dict[str, Any] = {
    "false": False,
    "a list": [],
    "a text": "object",
    "a number": 3,
    "an array": {"type": "array"},
    "a type that is none": {"type": "objekt"},
    "properties that are none": {"properties": [1]},
    "a property that is none": {"properties": {"a": 3}},
    "names that are none": {"type": "object", "required": "a"},
    "another document": {"properties": {"a": {"$ref": "https://example.com/s.json"}}},
    "a file": {"properties": {"a": {"$ref": "file:///etc/passwd"}}},
    "itself": {"$ref": "#"},
    "too deep": deep(200),
    "too large": {"description": "x" * 300_000},
}


@pytest.mark.parametrize("schema", ACCEPTED.values(), ids=ACCEPTED)
def test_a_schema_is_accepted_as_that_of_an_object(schema: Any) -> None:
    accepted = as_object(schema)
    assert accepted["type"] == "object"
    check = argument_check(accepted)
    with suppress(ArgumentsError):
        check({"a": "a" * 60 + "!"} if "pattern" in str(schema) else {})
    parameters = as_parameters(accepted)
    assert isinstance(parameters["properties"], dict)
    assert not {"oneOf", "anyOf", "allOf", "$ref"} & parameters.keys()


@pytest.mark.parametrize("schema", REFUSED.values(), ids=REFUSED)
def test_a_schema_is_refused_with_the_reason(schema: Any) -> None:
    with pytest.raises(SchemaRefusedError, match="schema"):
        argument_check(as_object(schema))


def test_a_check_that_takes_too_many_steps_is_left_to_the_server() -> None:
    assert argument_check(as_object(doubling(40)))({"a": 1}) == {"a": 1}


def test_every_fault_is_named() -> None:
    check = argument_check(
        as_object(
            {"properties": {"a": {"type": "integer"}, "b": {"pattern": "^x"}}, "required": ["c"]}
        )
    )
    with pytest.raises(ArgumentsError) as caught:
        check({"a": "one", "b": "y"})
    assert [fault.partition(":")[0] for fault in caught.value.faults] == ["a", "b", "arguments"]


def test_a_list_that_was_made_a_text_is_read() -> None:
    check = argument_check(
        as_object({"properties": {"a": {"type": "array"}, "b": {"type": "object"}}})
    )
    assert check({"a": "[1]", "b": '{"c": 2}'}) == {"a": [1], "b": {"c": 2}}


def test_the_alternatives_at_the_root_are_checked_although_the_model_reads_their_properties() -> (
    None
):
    schema = as_object(
        {"oneOf": [{"required": ["a"]}, {"required": ["b"]}], "properties": {"a": {}}}
    )
    assert "oneOf" not in as_parameters(schema)
    with pytest.raises(ArgumentsError):
        argument_check(schema)({})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "items", "$ref", "anyOf", "required", "pattern", "a"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(JSON, JSON)
def test_no_json_ends_in_another_way(schema: Any, arguments: Any) -> None:
    try:
        accepted = as_object(schema)
        as_parameters(accepted)
        check = argument_check(accepted)
    except SchemaRefusedError:
        return
    with suppress(ArgumentsError):
        check(arguments if isinstance(arguments, dict) else {})
