"""What a person chooses among at a terminal: conversations, models, and messages to go back to."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from tether import Message, Session, TetherError, UsageError, context_window, known_models
from tether.cli.conversation import Conversation
from tether.cli.screen.choice import Choice, Option
from tether.cli.screen.tree import said
from tether.models.catalogue import provider_keys
from tether.session import SessionInfo

__all__ = ()

_LAST_MESSAGES: Final = 6


def choice_of_conversation(found: Sequence[SessionInfo]) -> Choice:
    """Ask which conversation to go on with; the answer is the path of its file."""
    return Choice(
        "Go on with which conversation?",
        options=[
            Option(
                str(info.path),
                info.title or "(nothing was said)",
                f"{_when(info.time)}, {info.messages}{'' if info.exact else '+'} messages"
                f"{', damaged' if info.damaged else ''}",
                lambda path=info.path: _last_said(path),  # type: ignore[misc]  # bound now
            )
            for info in found
        ],
    )


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _last_said(path: Path) -> str:
    try:
        messages = Session.read(path).messages
    except (TetherError, OSError) as error:
        return str(error)
    return "\n".join(said(m) for m in messages[-_LAST_MESSAGES:] if is_said(m))


def is_said(message: Message) -> bool:
    return message.role in {"user", "assistant"} and bool(message.text.strip())


def choice_of_model(conversation: Conversation, environ: Mapping[str, str] = os.environ) -> Choice:
    """Ask which model to use: of extensions, and of the providers that can be reached."""
    now = conversation.agent.model.name
    names = dict.fromkeys([now, *_models(conversation, environ)])
    return Choice(
        "Use which model?",
        options=[Option(name, name, _about(name, is_now=name == now)) for name in names],
    )


def _models(conversation: Conversation, environ: Mapping[str, str]) -> Iterator[str]:
    yield from conversation.app.models
    for provider, keys in provider_keys().items():
        if any(environ.get(key) for key in keys):
            yield from (f"{provider}:{model}" for model in known_models(provider))
    yield "offline"


def _about(name: str, *, is_now: bool) -> str:
    window = context_window(name) if ":" in name else None
    return ", ".join([*(["in use"] if is_now else []), *([f"{window:,} tokens"] if window else [])])


async def chosen_entry(conversation: Conversation, kept: Session) -> str:
    """Ask which message to go back to, the last first.

    Returns:
        The id of its entry; empty if the person left.

    Raises:
        UsageError: there is no message yet.

    Cancellation:
        At once; the question is withdrawn.
    """
    options = [
        Option(entry.id, said(message), _when(entry.time), lambda text=message.text: text)  # type: ignore[misc]  # bound
        for entry in reversed(list(kept.entries.values()))
        if (message := entry.message) is not None and is_said(message)
    ]
    if not options:
        raise UsageError("there is no message to go back to yet")
    return await conversation.ask(Choice("Go back to which message?", options=options))
