"""Keep the claim on a conversation while a run goes: a tool may be silent for longer than a lease lasts."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING

import anyio
from attrs import define

from tether._engine.interruption import RunControl
from tether._scopes.exceptions import as_failure
from tether._scopes.task_groups import open_task_group
from tether.errors import LostClaimError
from tether.loop import End

if TYPE_CHECKING:
    from tether.session import Session

__all__ = ("keeping_claim",)


def keeping_claim(
    session: "Session | None", control: RunControl
) -> AbstractAsyncContextManager[None]:
    """Renew the lease of a session's store while the block runs; where that is lost, end the run.

    Raises:
        LostClaimError: it was lost; the run has ended.
    """
    if session is None or session.renew_every is None:
        return nullcontext()
    return _kept(_Keeper(session, session.renew_every, control))


@asynccontextmanager
async def _kept(keeper: "_Keeper") -> AsyncIterator[None]:
    async with open_task_group() as tasks:
        tasks.start_soon(keeper.keep)
        try:
            yield
        finally:
            tasks.cancel_scope.cancel()
    if keeper.lost is not None:
        raise keeper.lost


@define(eq=False, repr=False)
class _Keeper:
    _session: "Session"
    _every: float
    _control: RunControl
    lost: LostClaimError | None = None

    async def keep(self) -> None:
        """Renew the lease time and again.

        Cancellation:
            At once.
        """
        while self.lost is None:
            await anyio.sleep(self._every)
            try:
                await self._session.renew()
            except LostClaimError as error:
                self.lost = error
                self._control.end(End("error", error=as_failure(error)))
                self._control.interrupt()
            except Exception:  # noqa: BLE001 - a server that is away now may be back before the lease is over
                pass
