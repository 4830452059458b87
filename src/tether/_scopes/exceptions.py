"""Reading exceptions that others raise, groups of them included, and raising one again as it is.

No I/O.
"""

from collections.abc import Iterator
from types import TracebackType
from typing import NoReturn

from tether.errors import ModelError
from tether.messages import Failure

__all__ = ("PlainModelErrors", "as_failure", "described", "in_words", "leaves", "raise_as_it_is")


def in_words(error: BaseException) -> str:
    """Say what an exception is, by its type and its text, where it has one that can be had."""
    try:
        text = str(error)
    except Exception as failure:  # noqa: BLE001 - the text is made by code of others
        text = f"<no text: making it raised {type(failure).__name__}>"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Go through the exceptions in a group that are not groups, those of groups within it included."""
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from leaves(member)
    else:
        yield error


def described(error: BaseException) -> str:
    """Say what an exception is; of a group, what each exception in it is."""
    return "; ".join(in_words(leaf) for leaf in leaves(error))


def as_failure(error: BaseException) -> Failure:
    """Make data of an exception, for an event or a message."""
    if isinstance(error, ModelError):
        return error.failure
    return Failure("internal", described(error))


def raise_as_it_is(error: BaseException) -> NoReturn:
    """Raise an exception again, with its own context and not with what is being handled here."""
    context = error.__context__
    try:
        raise error
    finally:
        error.__context__ = context


class PlainModelErrors:
    """Raises a `ModelError` as itself, where a task group of a model's or of advice has made a group of it.

    Of several the first stands for all. A group in which anything else has failed stays as it is.
    """

    __slots__ = ()

    def __enter__(self) -> None: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(raised, BaseExceptionGroup):
            error = _model_error_in(raised)
            if error is not None:
                raise_as_it_is(error)


def _model_error_in(group: BaseExceptionGroup[BaseException]) -> ModelError | None:
    failures = [
        leaf
        for leaf in leaves(group)
        # What else is not an Exception is a cancellation: that comes again by itself.
        if isinstance(leaf, Exception | KeyboardInterrupt | SystemExit)
    ]
    errors = [leaf for leaf in failures if isinstance(leaf, ModelError)]
    return errors[0] if len(errors) == len(failures) > 0 else None
