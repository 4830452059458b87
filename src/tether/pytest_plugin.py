"""The plugin for pytest: the fixture `cassette`, and its option. What it needs is imported by the tests that use it."""

from collections.abc import Iterator
from typing import Any, cast

import pytest

__all__ = ("cassette",)


def pytest_addoption(parser: Any) -> None:
    """Add the option `--cassettes`."""
    parser.getgroup("tether").addoption(
        "--cassettes",
        choices=("replay", "record", "rewrite"),
        default="replay",
        help="answers of models: replay those that were recorded; record those that are missing, through the real "
        "provider; or rewrite all",
    )


def _cassette(request: Any) -> Iterator[Any]:
    """Make models whose answers are recorded beside the test; see `tether.testing.cassette`."""
    from tether.testing.cassette import Cassette, path_for  # noqa: PLC0415 - only where it is used

    config = request.config
    rewritten = cast("set[str]", config.stash.setdefault(_REWRITTEN, set()))
    path = path_for(request.node)
    mode = config.getoption("--cassettes")
    if str(path) in rewritten:
        mode = "record"  # by this test on another event loop, a moment ago
    made = Cassette(path, mode)
    yield made
    if made.save():
        rewritten.add(str(path))


_REWRITTEN: Any = pytest.StashKey()
cassette: Any = pytest.fixture(name="cassette")(_cassette)
