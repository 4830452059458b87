"""At most N requests in a period."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from tether import ModelRequest
from tether.hooks import AroundModel, ProceedModel
from tether.model import DeltaStream

__all__ = ("rate_limit",)


def rate_limit(requests: int, *, per: float) -> AroundModel:
    """Make a hook around the model that delays requests to keep to a rate. Several agents may share it.

    Args:
        requests: how many may start in each period.
        per: the length of the period in seconds.

    Returns:
        The hook, for `agent.around_model`.
    """
    turns: deque[float] = deque(maxlen=requests)

    @asynccontextmanager
    async def rate_limit(
        request: ModelRequest, proceed: ProceedModel
    ) -> AsyncIterator[DeltaStream]:
        now = anyio.current_time()
        if turns and turns[-1] > now + requests * per:
            turns.clear()  # they were of another event loop's clock
        turn = max(now, turns[0] + per) if len(turns) == requests else now
        turns.append(turn)
        await anyio.sleep_until(turn)
        async with proceed(request) as deltas:
            yield deltas

    return rate_limit
