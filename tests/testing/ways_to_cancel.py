"""The backends and ways in which programs are cancelled, and what `cancel_at_every_step` says of one."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from anyio.lowlevel import checkpoint

from tether.testing import Backend, Kind, cancel_at_every_step

BACKENDS: list[Backend] = ["asyncio", "trio"]

WAYS: list[tuple[Backend, Kind]] = [
    ("asyncio", "scope"),
    ("asyncio", "task"),
    ("asyncio", "twice"),
    ("trio", "scope"),
]

both_backends = pytest.mark.parametrize("backend", BACKENDS)

all_ways = pytest.mark.parametrize(("backend", "kind"), WAYS)


def complaint(
    program: Callable[..., Awaitable[object]],
    backend: Backend,
    kind: Kind = "scope",
    grace: float = 0.1,
    **options: Any,
) -> str:
    """What `cancel_at_every_step` says of a program with a bug."""
    with pytest.raises(AssertionError) as raised:
        cancel_at_every_step(program, backend=backend, kind=kind, grace=grace, **options)
    return str(raised.value)


async def rest(steps: int = 3) -> None:
    for _ in range(steps):
        await checkpoint()
