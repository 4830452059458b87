"""How the conversation of an agent gets into its session."""

import weakref
from collections.abc import Callable
from os import PathLike
from typing import TYPE_CHECKING, Any

from attrs import frozen

from tether.configurable import Configurable
from tether.errors import UsageError
from tether.messages import Message
from tether.model import Model

if TYPE_CHECKING:
    from tether.calls import CallNote
    from tether.session import Session

__all__ = ("Recording", "session_of")


def session_of(
    agent: object, session: Any, clock: Callable[[], float], new_id: Callable[[], str]
) -> "Session | None":
    """Open the session that an agent is given by its path; a `Session` is taken as it is.

    Args:
        agent: when nobody holds it any more, a session that was opened here is closed.
        session: what is given.
        clock: seconds since the epoch.
        new_id: makes the ids of the entries.

    Raises:
        UsageError: it is neither a session nor a path, or another session has the file open.
        DecodeError: the file is not a session.
        OSError: the file cannot be opened.
    """
    if session is None:
        return None
    from tether.session import Session  # noqa: PLC0415 - most agents have none

    if isinstance(session, Session):
        return session
    if not isinstance(session, str | PathLike) or not str(session):
        raise UsageError(f"session of Agent must be a Session or a path, not {session!r}")
    opened = Session(session, now=clock, new_id=new_id)
    weakref.finalize(agent, opened.close)
    return opened


@frozen(eq=False, repr=False)
class Recording:
    """Writes what is said in a conversation to the session that its agent has at that moment, if it has one."""

    agent: Configurable

    def record(self, message: Message) -> None:
        """Keep a message, behind a note of the model and the system prompt where these have changed.

        Raises:
            OSError: it cannot be written now.
        """
        agent, session = self.agent, self.agent.session
        if session is None:
            return
        try:
            session.note("model", _known_as(agent.model))
            session.note("system", {"text": agent.system})
        finally:  # where a note cannot be written, the message waits behind it
            session.record(message)

    def note(self, note: "CallNote") -> None:
        """Keep what becomes of a tool call."""
        if self.agent.session is not None:
            self.agent.session.note_call(note)


def _known_as(model: Model) -> dict[str, Any]:
    """What a session keeps of a model: its name, and its address if that is not the provider's own."""
    from tether.models.catalogue import own_server  # noqa: PLC0415 - most agents have no session

    server = own_server(model)
    return {"name": model.name} | ({} if server is None else {"base_url": server})
