"""The words of which every recording and cassette is made: none of them can be a secret.

No I/O.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any, Final, cast

import attrs

from tether.deltas import Delta
from tether.events import Event
from tether.limits import Limits
from tether.messages import Message
from tether.model import ModelOptions
from tether.vocabulary import json_schema

__all__ = ("words",)

_OF_RECORDINGS: Final = """
    recording version run known messages prompts left_open spent limits step answer outcome ending texts event
    request model frame plain digest system tools options fact recorded price waiting queued queue steer follow_up taken
    input what interrupt abort cancel_tool result raised state reply calls begun ended asked undelivered output fields
    exceptions closest cancelled retry_after hint RunTools AskModel TakeMessages AskWhetherToStop
"""
_OF_CASSETTES: Final = "exchanges request response method url headers body status pieces base64"


@cache
def words() -> frozenset[str]:
    """Give the words: the names and tags of all that is written, and those of the files themselves."""
    own = (*_OF_RECORDINGS.split(), *_OF_CASSETTES.split())
    named = (field.name for cls in (Limits, ModelOptions) for field in attrs.fields(cls))
    return frozenset((*own, *named, *_in_schema(json_schema(Message | Event | Delta))))


def _in_schema(schema: Any) -> Iterator[str]:
    match schema:
        case dict():
            known = cast("dict[str, Any]", schema)
            yield from (word for word in (known.get("const"), *known.get("enum", ())) if word)
            yield from known.get("properties", ())
            for one in known.values():
                yield from _in_schema(one)
        case list():
            for one in schema:
                yield from _in_schema(one)
        case _:
            pass
