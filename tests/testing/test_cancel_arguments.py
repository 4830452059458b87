"""What `cancel_at_every_step` takes, and what it refuses."""

import asyncio
import math
import sys
from typing import Any, cast

import pytest
from anyio.lowlevel import checkpoint
from tests.testing.ways_to_cancel import rest

from tether.testing import Kind, cancel_at_every_step

pytestmark = pytest.mark.usefixtures("quick_garbage_collection")


@pytest.mark.parametrize("kind", ["task", "twice"])
def test_trio_has_no_native_cancellation(kind: Kind) -> None:
    with pytest.raises(ValueError, match=f"kind='{kind}' is asyncio's task.cancel"):
        cancel_at_every_step(rest, backend="trio", kind=kind)


def test_tasks_start_eagerly_where_they_can() -> None:
    if sys.version_info < (3, 12):
        with pytest.raises(ValueError, match=r"from Python 3\.12 on"):
            cancel_at_every_step(rest, eager=True)
        return

    async def program() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(rest(1))
            await checkpoint()

    lazy, eager = (cancel_at_every_step(program, eager=eager) for eager in (False, True))
    assert eager.steps == lazy.steps - 1
    with pytest.raises(ValueError, match="only on asyncio"):
        cancel_at_every_step(rest, backend="trio", eager=True)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("kind", ["native", "", None])
def test_a_kind_that_there_is_not_is_refused(kind: Any, backend: Any) -> None:
    with pytest.raises(ValueError, match=f"no kind {kind!r}; there are: scope, task, twice"):
        cancel_at_every_step(rest, backend=backend, kind=kind)


@pytest.mark.parametrize("backend", ["curio", "", None])
def test_a_backend_that_there_is_not_is_refused(backend: Any) -> None:
    with pytest.raises(ValueError, match=f"no backend {backend!r}; there are: asyncio, trio"):
        cancel_at_every_step(rest, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_program_that_is_not_async_is_refused(backend: Any) -> None:
    with pytest.raises(TypeError, match="program must be an async function; it returned None"):
        cancel_at_every_step(cast("Any", lambda: None), backend=backend)


@pytest.mark.parametrize("name", ["program", "setup", "check"])
def test_what_cannot_be_called_is_refused(name: str) -> None:
    given: dict[str, Any] = {"program": rest, "setup": None, "check": None, name: 7}
    with pytest.raises(TypeError, match=f"{name} must be a(n async)? function"):
        cancel_at_every_step(**given)


@pytest.mark.parametrize(
    "options",
    [
        {"every": 0},
        {"every": 1.5},
        {"every": True},
        {"limit": 0},
        {"limit": 2.5},
        {"limit": 3, "seed": "x"},
        {"grace": 0},
        {"grace": math.nan},
    ],
    ids=str,
)
def test_numbers_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        cancel_at_every_step(rest, **options)
