"""A worker as the driver sees it: calls that may be cancelled, from any event loop, without a thread for each."""

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from tether._scopes.loop_call import Waiter
from tether.errors import UsageError, WorkerLostError
from tether.ray._ray import RayActorError, RayError, ray
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
            UsageError: an argument cannot be sent.

        Cancellation:
            At once; what was called goes on.
        """
        if self.lost is not None:
            raise WorkerLostError(self.lost)
        waiter = Waiter()
        try:
            reference = getattr(self._actor, method).remote(*args)
        except TypeError as error:  # what Ray makes of an argument that cannot be pickled
            raise UsageError(f"this cannot be sent to a worker: {error}") from error
        future = reference.future()
        future.add_done_callback(lambda _: waiter.wake())
        await waiter.wait()
        return self._result(future)

    def _pull(self, number: int, wanted: Mapping[str, int]) -> None:
        if self.lost is not None:
            self.pulls.fail(WorkerLostError(self.lost))
        else:
            future = self._actor.pull.remote(number, wanted).future()
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
        except RayError as error:
            raise WorkerLostError(f"the worker has failed: {error}") from error

    def tell(self, method: str, *args: object) -> None:
        """Call a method of the actor, and do not wait."""
        if self.lost is None:
            getattr(self._actor, method).remote(*args)

    def beat(self) -> None:
        """Let the worker know that the driver is there. This is called in a thread."""
        self._actor.beat.remote()

    def lose(self, why: str) -> None:
        """Use it no more."""
        self.lost = self.lost or why

    def kill(self) -> None:
        """End its process; what it has started ends with it."""
        self.lose("the block of its cluster was left")
        with suppress(RayError, ValueError):
            ray.kill(self._actor)
