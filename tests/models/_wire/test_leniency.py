"""One odd event never costs the reply: laws for the decoders of all four APIs."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.decoding import Decoding
from tests.models.streams import CHAT, STREAMS, chunk, each_api

from tether import AssistantMessage, ModelError

NOTHING = [
    ("", b""),
    ("", b"  "),
    ("ping", b" "),
    ("", b"ping"),
    ("keep-alive", b"{"),
    ("", b"null"),
    ("status", b"still at work"),
]
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        True,
        False,
        0,
        1,
        -1,
        0.0,
        2.5,
        10**30,
        "",
        "0",
        "x",
        [],
        [[]],
        {},
        {"x": []},
        [None],
        [{}],
    ]
)


def read(decoding: Decoding, events: list[tuple[str, bytes]]) -> AssistantMessage:
    """Decode events with names."""
    decoder = decoding.decode("asked")
    next(decoder)
    try:
        for event in events:
            decoder.send(event)
        decoder.send(None)
    except StopIteration as end:
        message: AssistantMessage = end.value[-1].message
        return message
    raise AssertionError("the decoder did not end")


def named(events: list[Any]) -> list[tuple[str, bytes]]:
    return [("", json.dumps(event).encode()) for event in events]


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """All places in a JSON value."""
    if path:
        yield path
    if isinstance(value, dict):
        for key in value:
            yield from paths(value[key], (*path, key))
    elif isinstance(value, list):
        for number in range(len(value)):
            yield from paths(value[number], (*path, number))


def changed(events: list[Any], path: tuple[Any, ...], value: Any) -> list[Any]:
    """The same events with another value in one place."""
    events = copy.deepcopy(events)
    here: Any = events
    for step in path[:-1]:
        here = here[step]
    here[path[-1]] = value
    return events


@each_api
def test_the_streams_are_whole(api: str) -> None:
    decoding, events = STREAMS[api]
    message = read(decoding, named(events))
    assert (message.text, message.thinking) == ("Hello", "Hm.")
    assert [(one.name, dict(one.arguments)) for one in message.tool_calls] == [("f", {"x": 1})]
    assert (message.usage.input_tokens, message.usage.output_tokens) == (5, 3)
    assert (message.response_id, message.model, message.stop_reason) == ("r", "real", "tool_calls")


@each_api
@pytest.mark.parametrize("nothing", NOTHING, ids=repr)
def test_an_event_that_says_nothing_changes_nothing(api: str, nothing: tuple[str, bytes]) -> None:
    decoding, stream = STREAMS[api]
    events = named(stream)
    whole = read(decoding, events)
    for place in range(len(events)):
        message = read(decoding, [*events[:place], nothing, *events[place:]])
        assert message.content == whole.content
        assert (message.usage, message.stop_reason) == (whole.usage, whole.stop_reason)
        counted = {"skipped_events": 1} if nothing[1] in {b"null", b"still at work"} else {}
        assert message.details == ({**(whole.details or {}), **counted} or None)


@each_api
def test_empty_events_on_the_wire_change_nothing(api: str) -> None:
    decoding, stream = STREAMS[api]
    body = b"".join(
        b"data:\n\nevent: ping\ndata: \n\ndata: %b\n\n" % json.dumps(event).encode()
        for event in stream
    )
    assert decoding.read([body]).complete == read(decoding, named(stream))


@each_api
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_one_odd_value_never_costs_the_reply(api: str, data: st.DataObject) -> None:
    decoding, events = STREAMS[api]
    path = data.draw(st.sampled_from(list(paths(events))))
    mutated = changed(events, path, data.draw(ODD))
    try:
        read(decoding, named(mutated))
    except ModelError as error:
        # What decides over the reply itself may be missing then: its end, or that there was no error.
        assert error.kind != "malformed"  # noqa: PT017 - nothing is raised for most


@each_api
@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_many_odd_values_raise_nothing_but_model_errors(api: str, data: st.DataObject) -> None:
    decoding, events = STREAMS[api]
    for _ in range(data.draw(st.integers(1, 6))):
        events = changed(events, data.draw(st.sampled_from(list(paths(events)))), data.draw(ODD))
    try:
        read(decoding, named(events))
    except ModelError as error:
        assert error.partial is not None  # noqa: PT017


def numbered(index: Any, id_: Any = "c") -> list[Any]:
    function = {"name": "f", "arguments": "{}"}
    fragment = {"index": index, "id": id_, "function": function}
    events = [
        *CHAT[:4],
        {"id": 7, "choices": [{"index": index, "delta": {"tool_calls": [fragment]}}]},
    ]
    return [*events, chunk("tool_calls")]


@pytest.mark.parametrize("index", ["0", 0.0, None, 0], ids=repr)
def test_numbers_of_calls_and_choices_are_read_in_any_form(index: Any) -> None:
    message = read(STREAMS["chat"][0], named([*numbered(index), {"choices": 5}]))
    assert [(one.id, one.name) for one in message.tool_calls] == [("c", "f")]


def test_numeric_ids_are_ids() -> None:
    message = read(STREAMS["chat"][0], named([{**event, "id": 7} for event in numbered(0, 12)]))
    assert message.response_id == "7"
    assert [one.id for one in message.tool_calls] == ["12"]


def test_the_first_id_and_model_that_are_not_empty_count() -> None:
    filtered = {"id": "", "model": "", "choices": [], "prompt_filter_results": []}
    for events in ([filtered, *CHAT], [filtered, {**filtered, "id": "r"}, *CHAT]):
        message = read(STREAMS["chat"][0], named(events))
        assert (message.response_id, message.model) == ("r", "real")


@each_api
def test_a_truth_value_is_no_count(api: str) -> None:
    decoding, stream = STREAMS[api]
    events = json.loads(json.dumps(stream).replace(": 5}", ": true}").replace(": 5,", ": true,"))
    assert events != stream
    assert read(decoding, named(events)).usage.input_tokens == 0


@pytest.mark.parametrize(
    ("place", "key", "value"),
    [(1, "index", []), (2, "index", {}), (0, "message", {"id": "r", "content": 3})],
)
def test_what_once_raised_a_type_error_is_passed_over(place: int, key: str, value: Any) -> None:
    decoding, events = STREAMS["anthropic"]
    message = read(decoding, named(changed(events, (place, key), value)))
    assert message.text == "Hello"


@each_api
@pytest.mark.parametrize(
    "told",
    [
        {"message": "busy", "code": 503},
        {"error": {"message": "busy", "type": "overloaded_error"}},
        {"type": "error", "error": {"message": "busy", "type": "overloaded_error"}},
    ],
    ids=str,
)
def test_an_event_named_an_error_is_one_whatever_its_data(api: str, told: Any) -> None:
    decoding, stream = STREAMS[api]
    events = [*named(stream[:1]), ("error", json.dumps(told).encode()), *named(stream[1:])]
    with pytest.raises(ModelError) as caught:
        read(decoding, events)
    assert (caught.value.kind, caught.value.message) == ("overloaded", "busy")
    with pytest.raises(ModelError, match="Bad gateway"):
        read(decoding, [("error", b"Bad gateway")])
