"""What an error says to a person at a terminal: what only Python code can do about it is left out."""

import os
import traceback

from tether import BusyError, UsageError

__all__ = ()

_KEY = ", or pass api_key"
_TOKEN = ", or pass token="


def in_words(error: BaseException) -> str:
    """Say what an error says, and where the command has a way that Python code has not, that one."""
    text = error.message if isinstance(error, UsageError) else str(error)
    return text.replace(_KEY, ", or keep one with `tether keys set`").replace(_TOKEN, "")


def explained(error: BaseException) -> str:
    """Say what an error says, with its traceback where the variable `TETHER_DEBUG` is set and not empty."""
    words = in_words(error)
    if not os.environ.get("TETHER_DEBUG"):
        return words
    return f"{words}\n{''.join(traceback.format_exception(error)).rstrip()}"


def waiting(error: BusyError) -> str:
    """Say that a conversation is waited for, which may belong to a process that was killed."""
    seconds = error.retry_after or 0
    return (
        f"another process has a conversation for {seconds:.0f} s more, and longer if it is at work; "
        "waiting. If it was killed, --takeover need not wait"
    )
