"""What a person does in a conversation, whatever it comes from: an editor, plain lines, or a test."""

from typing import TypeAlias

from attrs import frozen

from tether.cli.question import Question

__all__ = ()


@frozen
class Typed:
    """A person has typed a line: a request, a command behind a slash, or the answer to a question."""

    text: str
    queued: bool = False
    """Whether the agent gets it only when it has finished."""
    answers: Question | None = None
    """The question that was on the screen when the line was ended: no other line answers it."""


@frozen
class Interrupted:
    """A person has pressed Ctrl-C."""


@frozen
class Escaped:
    """A person has pressed Esc."""


@frozen
class Pressed:
    """A person has pressed a key that an extension has bound."""

    key: str


@frozen
class Closed:
    """A person has closed their end."""


Input: TypeAlias = Typed | Interrupted | Escaped | Pressed | Closed
