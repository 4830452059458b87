"""An agent whose conversation is here, and whose runs are on workers."""

from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from typing import Any, Final

from tether._engine.active_run import ActiveRun
from tether._engine.line import Place
from tether._engine.output import Output
from tether._engine.parts import RunParts
from tether._terms import Asked
from tether.agent import Agent
from tether.calls import OpenCalls
from tether.errors import AgentBusyError, UsageError
from tether.messages import Message, Queued, QueueName
from tether.ray.host import Host
from tether.ray.inbox import ForwardingInbox
from tether.ray.outbox import Kept
from tether.ray.placement import Placement
from tether.ray.run import RemoteRun
from tether.session import Session

__all__ = ("RemoteAgent",)

_HERE: Final = frozenset(
    {"before_tool", "around_tool", "after_tool", "should_stop", "around_run", "on_event"}
    | {"agent_opened", "agent_closed"}
)
"""The points at which hooks can be here; at others they are where the model is called."""

_THERE: Final = frozenset(
    {"model", "system", "tools", "options", "sequential", "tool_timeout", "steering", "follow_up"}
)
"""The parameters of an agent that belong to where its model is."""


class RemoteAgent(Agent):
    """An agent whose runs are on the workers of a cluster. Made by `Cluster.agent`; else as `Agent`.

    Its model, system prompt and tools are those of the agent on the worker: `model`, `tools`, `system` and `options` of
    this object are not used. `approve`, hooks around tools and runs, `should_stop` and listeners may be here.

    A worker that has the conversation is only sent what is new.

    Args:
        make: the function that makes the agent on a worker, pickled.
        choose: chooses a worker, given the one that has the conversation.
        grace: seconds that a run has to clean up on its worker.
        session: where the conversation is kept; if None, in memory from the first run on.
        messages: a conversation to continue.
        **options: see `Cluster.agent`.
    """

    def __init__(
        self,
        make: bytes,
        choose: Callable[[Host | None], Host],
        grace: float,
        *,
        session: Session | str | PathLike[str] | None = None,
        messages: Iterable[Message] = (),
        **options: Any,
    ) -> None:
        if elsewhere := sorted(options.keys() & _THERE):
            raise UsageError(
                f"{', '.join(elsewhere)} of an agent on workers must be given to the agent that make_agent makes"
            )
        given = [*messages]
        super().__init__(session=session, messages=given, **options)
        self._placement = Placement(make, grace, choose)
        self._inbox = self._conversation.inbox = ForwardingInbox(self._conversation.inbox)
        self._record_all(given)

    def copy(self, **changes: Any) -> "RemoteAgent":
        """Make an agent like this one, with a conversation of its own; see `Agent.copy`."""
        same: dict[str, Any] = {
            "name": self.name,
            "deps": self.deps,
            "limits": self.limits,
            "price": self.price,
            "clock": self._conversation.now,
            "new_id": self._conversation.new_id,
        }
        placement = self._placement
        made = RemoteAgent(placement.make, placement.choose, placement.grace, **{**same, **changes})
        made.hooks.add_missing(self.hooks)
        return made

    def reset(
        self, messages: Iterable[Message] = (), *, open_calls: OpenCalls | None = None
    ) -> None:
        """Forget the conversation, and go on with another; see `Agent.reset`."""
        given = [*messages]
        super().reset(given, open_calls=open_calls)
        if self.session is not None:
            self.session.fork()
        self._record_all(given)

    def clear_queues(
        self, queues: Sequence[QueueName] = ("steering", "follow_up")
    ) -> tuple[Queued, ...]:
        """Take back queued messages; see `Agent.clear_queues`.

        Raises:
            AgentBusyError: a run is going, whose worker has them.
        """
        if self._conversation.active is not None:
            raise AgentBusyError("the worker of the run that is going has what waits")
        return super().clear_queues(queues)

    def _begin(self, place: Place, asked: Asked, output: Output | None) -> ActiveRun:
        if self.session is None:
            self.session: Session | None = Session(Kept())
            self._record_all(self.messages)
        return super()._begin(place, asked, output)

    def _record_all(self, messages: Iterable[Message]) -> None:
        for message in messages:
            if self.session is not None:
                self.session.record(message)

    def _active_run(
        self,
        parts: RunParts,
        prompts: Sequence[Queued],
        asked: Asked,
        on_over: Callable[[ActiveRun], object],
    ) -> ActiveRun:
        points: set[str] = {hook.point for hook in self.hooks}
        if elsewhere := sorted(points - _HERE):
            raise UsageError(
                f"hooks at {', '.join(elsewhere)} are called where the model is: add them to the agent that "
                "make_agent makes"
            )
        session = self.session
        assert session is not None
        return RemoteRun(
            parts,
            prompts,
            on_over,
            placement=self._placement,
            asked=asked,
            session=session,
            is_left=lambda: self.session is not session,
            inbox=self._inbox,
        )
