"""Exceptions come out of our task groups and scopes as the very objects they are."""

from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
import pytest

from tether._scopes.task_groups import failure_in, open_task_group, within


class UploadErrors(ExceptionGroup[Exception]):
    """A group of somebody's own."""


def noted(error: BaseException) -> BaseException:
    """Give an exception all that may get lost."""
    error.add_note("look here")
    error.__cause__ = LookupError("cause")
    error.__context__ = KeyError("context")
    return error


def errors() -> list[BaseException]:
    return [
        noted(ValueError("alone")),
        noted(UploadErrors("2 failed", [OSError("a"), ValueError("b")])),
        noted(UploadErrors("1 failed", [OSError("a")])),
        noted(ExceptionGroup("nested", [UploadErrors("inner", [OSError("a")]), KeyError("b")])),
        KeyboardInterrupt(),
        SystemExit(3),
    ]


async def throw(error: BaseException) -> None:
    await anyio.lowlevel.checkpoint()
    raise error


async def throw_when_cancelled(error: BaseException) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        raise error


async def from_the_block(error: BaseException) -> None:
    async with open_task_group() as tasks:
        tasks.start_soon(anyio.sleep_forever)
        await throw(error)


async def from_a_task(error: BaseException) -> None:
    async with open_task_group() as tasks:
        tasks.start_soon(anyio.sleep_forever)
        tasks.start_soon(throw, error)
        await anyio.sleep_forever()


async def from_a_task_that_is_cancelled(error: BaseException) -> None:
    async with open_task_group() as tasks:
        tasks.start_soon(throw_when_cancelled, error)
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()


async def from_a_task_in_a_task(error: BaseException) -> None:
    async with open_task_group() as tasks:
        tasks.start_soon(from_a_task, error)


async def from_a_scope_that_is_cancelled(error: BaseException) -> None:
    scope = anyio.CancelScope()
    with within(scope):
        scope.cancel()
        raise error


PLACES = [
    from_the_block,
    from_a_task,
    from_a_task_that_is_cancelled,
    from_a_task_in_a_task,
    from_a_scope_that_is_cancelled,
]


@pytest.mark.parametrize("number", range(len(errors())))
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
async def test_one_that_is_alone_comes_out_as_itself(
    place: Callable[[BaseException], Awaitable[None]], number: int
) -> None:
    error = errors()[number]
    about = (error.__cause__, error.__context__, getattr(error, "__notes__", None))
    with pytest.raises(type(error)) as caught:
        await place(error)
    assert caught.value is error
    assert error.__cause__ is about[0]
    if place in {from_the_block, from_a_scope_that_is_cancelled}:
        # Elsewhere the block is cancelled, and Python itself puts that into the context.
        assert error.__context__ is about[1]
    assert getattr(error, "__notes__", None) == about[2]
    assert error.__traceback__ is not None


async def test_several_come_out_as_one_group_of_them() -> None:
    one, other = ValueError("one"), UploadErrors("2 failed", [OSError("a"), ValueError("b")])
    with pytest.raises(ExceptionGroup) as caught:
        async with open_task_group() as tasks:
            tasks.start_soon(throw_when_cancelled, other)
            await anyio.lowlevel.checkpoint()
            raise one
    assert [id(error) for error in caught.value.exceptions] == [id(one), id(other)]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
async def test_what_ends_the_program_goes_on_alone(kind: type[BaseException]) -> None:
    end = kind()
    with pytest.raises(kind) as caught:
        async with open_task_group() as tasks:
            tasks.start_soon(throw_when_cancelled, BaseExceptionGroup("theirs", [end]))
            await anyio.lowlevel.checkpoint()
            raise ValueError("block")
    assert caught.value is end


async def plainly(error: BaseException | None) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        if error is not None:
            raise error


async def in_a_group(error: BaseException | None) -> None:
    async with open_task_group() as tasks:
        tasks.start_soon(plainly, error)
        await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("fails", [False, True])
async def test_a_scope_outside_sees_what_it_sees_of_a_plain_await(fails: bool) -> None:
    seen: list[object] = []
    for function in (plainly, in_a_group):
        error = ValueError("failed") if fails else None
        came: BaseException | None = None
        scope = anyio.CancelScope()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_later, scope)
            try:
                with scope:
                    await function(error)
            except ValueError as raised:
                came = raised
        assert came is error
        seen.append((scope.cancelled_caught, scope.cancel_called))
    assert seen[0] == seen[1]


async def _cancel_later(scope: anyio.CancelScope) -> None:
    for _ in range(5):
        await anyio.lowlevel.checkpoint()
    scope.cancel()


async def test_what_somebody_elses_group_holds_beside_a_cancellation() -> None:
    cancelled: list[BaseException] = []
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class() as error:
            cancelled.append(error)
            raise
    failed = ValueError("failed")
    mixed = BaseExceptionGroup("theirs", [*cancelled, ExceptionGroup("inner", [failed])])
    failure = failure_in(mixed)
    assert failure is not None
    assert [type(member) for member in failure.exceptions] == [ExceptionGroup]
    assert (
        failure_in(BaseExceptionGroup("theirs", [failed, *cancelled, KeyboardInterrupt()])) is None
    )
    assert failure_in(BaseExceptionGroup("theirs", cancelled)) is None
    assert failure_in(KeyboardInterrupt()) is None
