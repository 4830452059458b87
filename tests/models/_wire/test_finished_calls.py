"""The arguments of a call, as servers really write them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tether.models._wire.leniency import finished_call

ARGUMENTS = {"path": 'a "b"', "lines": [1, {"x": None}]}


@pytest.mark.parametrize("times", [1, 2, 3])
def test_arguments_that_were_encoded_more_than_once_are_read(times: int) -> None:
    text = json.dumps(ARGUMENTS)
    for _ in range(times):
        text = json.dumps(text)
    call = finished_call("c", "f", text)
    assert (call.arguments, call.malformed) == (ARGUMENTS, None)


@pytest.mark.parametrize("text", ['"words"', '"[1]"', '"\\"{\\""', "[1]", "3", '"' * 3])
def test_what_is_no_object_then_is_told_as_it_came(text: str) -> None:
    call = finished_call("c", "f", text)
    assert (call.arguments, call.malformed) == ({}, text)


@given(st.text('{}[]":\\ 1a', max_size=12))
def test_any_text_makes_a_call(text: str) -> None:
    call = finished_call("c", "f", text)
    assert isinstance(call.arguments, dict)
