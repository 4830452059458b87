"""Which failures are tried again, and when."""

import pytest

from tether import ModelError
from tether.messages import FailureKind
from tether.model import RetryPolicy


@pytest.mark.parametrize(
    ("kind", "again"),
    [
        ("rate_limit", True),
        ("overloaded", True),
        ("server", True),
        ("timeout", True),
        ("connection", True),
        ("authentication", False),
        ("permission", False),
        ("quota", False),
        ("not_found", False),
        ("context_overflow", False),
        ("content_filter", False),
        ("invalid_request", False),
        ("malformed", False),
        ("internal", False),
    ],
)
def test_what_may_pass_is_tried_again(kind: FailureKind, again: bool) -> None:
    assert RetryPolicy().wants(ModelError("m", kind=kind)) is again


@pytest.mark.parametrize(
    ("named", "wait"), [(None, True), (0.0, 0.0), (7.5, 7.5), (30.0, 30.0), (30.1, False)]
)
def test_a_wait_the_provider_names_is_kept_up_to_a_bound(named: float | None, wait: object) -> None:
    """Who would have to wait longer is told at once: a person, or another model, may know better."""
    found = RetryPolicy(wait_max=30).wants(ModelError("m", kind="rate_limit", retry_after=named))
    assert found == wait
    assert type(found) is type(wait)


def test_other_exceptions_are_not_tried_again() -> None:
    assert RetryPolicy().wants(ValueError("mine")) is False
