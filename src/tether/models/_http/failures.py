"""What httpx raises, as kinds of failure and sentences for people. No I/O."""

import zlib
from collections.abc import Sequence
from typing import Protocol

import httpx

from tether.errors import ModelError
from tether.messages import FailureKind
from tether.models._http.secrets import printable_url

__all__ = ("Reached", "explained")

_FAILURES: Sequence[tuple[tuple[type[Exception], ...], bool | None, FailureKind, str]] = (
    (
        (httpx.ConnectTimeout, httpx.PoolTimeout),
        None,
        "timeout",
        "no connection to {where} within {model.connect_timeout:g} s",
    ),
    (
        (httpx.TimeoutException,),
        True,
        "timeout",
        "{model.name} was silent for {model.idle_timeout:g} s within its answer",
    ),
    (
        (httpx.WriteTimeout,),
        False,
        "timeout",
        "{model.name} did not take the request for {model.first_byte_timeout:g} s",
    ),
    (
        (httpx.TimeoutException,),
        False,
        "timeout",
        "{model.name} did not answer within {model.first_byte_timeout:g} s",
    ),
    (
        (httpx.ConnectError, httpx.ProxyError),
        None,
        "connection",
        "cannot connect to {where}: {reason}",
    ),
    (
        (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError),
        None,
        "invalid_request",
        "{where!r} is no base URL: {reason}",
    ),
    (
        (zlib.error,),
        None,
        "malformed",
        "the answer of {model.name} cannot be unpacked: {reason}",
    ),
    ((Exception,), None, "connection", "the connection to {model.name} was lost: {reason}"),
)
"""Exceptions of httpx; whether the answer had begun, or None if that does not matter; what kind of failure it is, and
its description. The first match wins."""


class Reached(Protocol):
    """A model that is reached over HTTP, as far as the sentences name it."""

    @property
    def name(self) -> str:
        """The name for people."""
        ...

    @property
    def base_url(self) -> str:
        """The address."""
        ...

    @property
    def connect_timeout(self) -> float:
        """Seconds."""
        ...

    @property
    def first_byte_timeout(self) -> float:
        """Seconds."""
        ...

    @property
    def idle_timeout(self) -> float:
        """Seconds."""
        ...


def explained(error: Exception, model: Reached, *, answered: bool) -> ModelError:
    """Describe what went wrong, and for a timeout which one it was.

    Args:
        error: what was raised.
        model: the model that was asked.
        answered: whether its answer had begun.

    Returns:
        The error; one that is a `ModelError` already as it is.
    """
    if isinstance(error, ModelError):
        return error
    where, reason = printable_url(model.base_url), str(error) or type(error).__name__
    if where != model.base_url and isinstance(error, httpx.InvalidURL | UnicodeError):
        reason = (
            "user name and password must be percent-encoded"  # the exception shows parts of them
        )
    for types, when, kind, template in _FAILURES:
        if isinstance(error, types) and when in {None, answered}:
            message = template.format(model=model, where=where, reason=reason)
            return ModelError(message, kind=kind)
    raise AssertionError("the last row fits every exception")
