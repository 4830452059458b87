"""Serve the metrics of the command while it runs: `--metrics PORT`."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import anyio

from tether import Agent, UsageError
from tether.cli.door import notes

if TYPE_CHECKING:
    from tether.metrics import Metrics

__all__ = ()

Work = Callable[[], Awaitable[int]]


@contextmanager
def measured(agent: Agent, port: int | None) -> Iterator[Callable[[Work], Work]]:
    """Measure an agent, and serve what is measured, while a block runs.

    Args:
        agent: the agent.
        port: where; 0 for a port that is free; None to do neither.

    Returns:
        A context manager that gives a function: it returns the work that it is given, with the event loop measured
        beside it.

    Raises:
        UsageError: the extra `metrics` is missing, or the port cannot be had.
    """
    if port is None:
        yield lambda work: work
        return
    try:
        from tether.metrics import Metrics, serving  # noqa: PLC0415 - needs the extra `metrics`
    except ModuleNotFoundError as error:
        raise UsageError(str(error)) from error
    metrics = Metrics()
    metrics.watch(agent)
    with serving(metrics, port) as found:
        print(f"metrics at http://127.0.0.1:{found}/metrics", file=notes(), flush=True)
        yield lambda work: partial(_beside, metrics, work)


async def _beside(metrics: "Metrics", work: Work) -> int:
    code = 0
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(metrics.watch_loop)
        code = await work()
        tasks.cancel_scope.cancel()
    return code
