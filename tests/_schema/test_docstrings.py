"""What docstrings say, in the styles that people write."""

import functools
from typing import Any

import pytest

from tether._schema.docstrings import Documentation, documentation_of

STYLES = {
    "google": "Add.\n\n    Both count.\n\n    Args:\n        a: the first\n        b: the second\n",
    "numpy": "Add.\n\n    Both count.\n\n    Parameters\n    ----------\n    a\n        the first\n"
    "    b\n        the second\n",
    "sphinx": "Add.\n\n    Both count.\n\n    :param a: the first\n    :param b: the second\n",
}


def _documented(text: str | None) -> Any:
    def function() -> None: ...

    function.__doc__ = text
    return function


@pytest.mark.parametrize("style", STYLES)
def test_each_style_gives_the_description_and_the_parameters(style: str) -> None:
    assert documentation_of(_documented(STYLES[style])) == Documentation(
        "Add.\n\nBoth count.", {"a": "the first", "b": "the second"}
    )


def test_what_has_no_docstring_says_nothing() -> None:
    assert documentation_of(_documented(None)) == Documentation()


def test_a_partial_says_what_its_function_says() -> None:
    assert documentation_of(functools.partial(_documented("Add."))).description == "Add."


def test_a_class_never_says_what_its_base_says() -> None:
    class Plain(dict[str, int]):
        pass

    assert documentation_of(Plain) == Documentation()


def test_an_object_that_is_called_says_what_its_call_or_its_class_says() -> None:
    class ByCall:
        def __call__(self) -> None:
            """Call."""

    class ByClass:
        """Class."""

        def __call__(self) -> None: ...

    assert documentation_of(ByCall()).description == "Call."
    assert documentation_of(ByClass()).description == "Class."
