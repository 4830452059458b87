"""So many requests in so much time."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from tether import AroundModel, DeltaStream, ModelRequest, ProceedModel

__all__ = ("rate_limit",)


def rate_limit(requests: int, *, per: float) -> AroundModel:
    """Make advice around the model that lets requests wait for their turn. Several agents may share it.

    Args:
        requests: how many may begin.
        per: in how many seconds.

    Returns:
        The advice, for `agent.around_model`.
    """
    turns: deque[float] = deque(maxlen=requests)

    @asynccontextmanager
    async def advice(request: ModelRequest, proceed: ProceedModel) -> AsyncIterator[DeltaStream]:
        now = anyio.current_time()
        if turns and turns[-1] > now + requests * per:
            turns.clear()  # they were of another event loop's clock
        turn = max(now, turns[0] + per) if len(turns) == requests else now
        turns.append(turn)
        await anyio.sleep_until(turn)
        async with proceed(request) as deltas:
            yield deltas

    return advice
