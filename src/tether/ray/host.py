"""A worker as the driver sees it: calls that may be cancelled, from any event loop, without a thread for each."""

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from tether._scopes.loop_call import Waiter
from tether.errors import UsageError, WorkerLostError
from tether.ray._ray import RayActorError, RayError, RaySystemError, RayTaskError, ray
from tether.ray.packing import sendable
from tether.ray.pulls import Pulls

__all__ = ("Host",)


class Host:
    """A worker.

    Args:
        actor: the actor.
    """

    def __init__(self, actor: Any) -> None:
        self._actor = actor
        self._serving = actor.serve.remote()
        self.pulls: Pulls = Pulls(self._pull)
        """What the runs on it wait for."""
        self.runs = 0
        """How many runs it has."""
        self.lost: str | None = None
        """Why it cannot be used any more."""
        self.pid = 0
        """The id of its process."""

    async def call(self, method: str, *args: object) -> Any:
        """Call a method of the actor.

        Returns:
            What it returns.

        Raises:
            WorkerLostError: the worker is gone, or cannot be reached.
            UsageError: an argument cannot be sent, or be read there.

        Cancellation:
            At once; what was called goes on.
        """
        waiter = Waiter()
        future = self._submit(method, *args)
        future.add_done_callback(lambda _: waiter.wake())
        await waiter.wait()
        try:
            return self._result(future)
        except WorkerLostError as error:
            if _is_unread(error.__cause__):
                raise UsageError(
                    f"the worker cannot read what it was sent; it needs the modules of this program: {error}"
                ) from error
            raise

    def _submit(self, method: str, *args: object) -> Any:
        """Send a call, and return the future of what it gives."""
        if self.lost is None and not ray.is_initialized():  # else Ray would connect anew
            self.lose("Ray is not connected any more")
        if self.lost is not None:
            raise WorkerLostError(self.lost)
        try:
            return getattr(self._actor, method).remote(*args).future()
        except Exception as error:
            for argument in args:
                sendable(argument, to="a worker", instead=", or be made there, by make_agent")
            self.lose(f"the worker cannot be reached: {error}")
            raise WorkerLostError(str(self.lost)) from error

    def _pull(self, number: int, wanted: Mapping[str, int]) -> None:
        try:
            future = self._submit("pull", number, wanted)
        except WorkerLostError as error:
            self.pulls.fail(error)
        else:
            future.add_done_callback(partial(self._pulled, number))

    def _pulled(self, number: int, future: Any) -> None:
        """Take the answer to a pull. This is called in a thread of Ray."""
        try:
            answer = self._result(future)
        except WorkerLostError as error:
            self.pulls.fail(error)
        else:
            self.pulls.answer(number, answer)

    def _result(self, future: Any) -> Any:
        try:
            return future.result()
        except RayActorError as error:
            self.lose(f"the worker is gone: {error}")
            raise WorkerLostError(str(self.lost)) from error
        except Exception as error:
            raise WorkerLostError(f"the worker has failed: {error}") from error

    def tell(self, method: str, *args: object) -> None:
        """Call a method of the actor, and do not wait; where the worker is gone, whoever waits for it hears of that.

        Raises:
            UsageError: an argument cannot be sent.
        """
        with suppress(WorkerLostError):
            self._submit(method, *args)

    def beat(self) -> None:
        """Let the worker know that the driver is there. This is called in a thread."""
        if ray.is_initialized():
            self._actor.beat.remote()

    def lose(self, why: str) -> None:
        """Use it no more."""
        self.lost = self.lost or why

    def kill(self) -> None:
        """End its process; what it has started ends with it."""
        self.lose("the block of its cluster was left")
        if ray.is_initialized():
            with suppress(RayError, ValueError):
                ray.kill(self._actor)


def _is_unread(error: BaseException | None) -> bool:
    """Say whether a worker could not unpickle its arguments."""
    return isinstance(error, RayTaskError) and isinstance(error.cause, RaySystemError)
