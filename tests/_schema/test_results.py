"""What a tool returned: lists of texts and blocks are content, and an image that a model could not see is an error."""

import dataclasses
from typing import Any

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tether import Image, Text, ToolResult, UserMessage
from tether.tools import as_tool_result

PICTURE = Image(b"\x89PNG\r\n\x1a\n")


@attrs.frozen
class Drawn:
    name: str
    picture: Image


@dataclasses.dataclass
class Kept:
    pictures: list[Image]


class Sent(msgspec.Struct):
    picture: Any


class Model(pydantic.BaseModel):
    picture: Any


@pytest.mark.parametrize(
    "content",
    [
        ["caption", PICTURE],
        ("caption", PICTURE),
        [PICTURE, "caption", PICTURE, Text("end")],
        [Text("a"), "b"],
        (PICTURE,),
    ],
    ids=str,
)
def test_a_list_of_texts_and_blocks_is_content_as_messages_take_it(content: Any) -> None:
    assert as_tool_result(content) == ToolResult(content)
    assert as_tool_result(content).content == UserMessage(content).content


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"img": PICTURE}, "img"),
        ([{"img": PICTURE}], "[0].img"),
        ([["caption", PICTURE]], "[0][1]"),
        ({"a b": {"c": [PICTURE]}}, "['a b'].c[0]"),
        (Drawn("a", PICTURE), "picture"),
        (Kept([PICTURE]), "pictures[0]"),
        (Sent(PICTURE), "picture"),
        ({"x": Model(picture=PICTURE)}, "x.picture"),
        ([ToolResult("a")], "[0]"),
    ],
    ids=str,
)
def test_an_image_deeper_down_is_an_error_that_says_where_to_put_it(value: Any, place: str) -> None:
    with pytest.raises(TypeError) as caught:
        as_tool_result(value)
    assert f"cannot see the image or result that is at {place} in it" in str(caught.value)
    assert "`return [text, image]`" in str(caught.value)


def test_what_is_no_content_beside_an_image_is_named() -> None:
    with pytest.raises(TypeError, match=r"blocks and something else: .* got int; make a text of"):
        as_tool_result([3, PICTURE])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (["a", "b"], '["a","b"]'),
        ([], "[]"),
        ({"a": "\ud83d"}, '{"a": "\\ud83d"}'),
    ],
    ids=ascii,
)
def test_what_has_no_block_in_it_becomes_json(value: Any, text: str) -> None:
    assert as_tool_result(value) == ToolResult(text)


PLAIN = st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=3)


@given(
    st.recursive(
        PLAIN | st.just(PICTURE) | st.builds(Model, picture=PLAIN | st.just(PICTURE)),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.tuples(inner, inner)
            | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3)
            | st.builds(Sent, inner)
        ),
        max_leaves=6,
    )
)
def test_no_image_ever_reaches_a_model_as_text(value: Any) -> None:
    try:
        result = as_tool_result(value)
    except TypeError:
        assert "Image" in repr(value)
        return
    assert "iVBOR" not in "".join(one.text for one in result.content if isinstance(one, Text))
    assert ("Image" in repr(value)) == any(isinstance(one, Image) for one in result.content)
