"""What a server refuses, as its clients see it."""

import httpx
import msgspec

from tether import TetherError

__all__ = ("RemoteError", "refusal")


class RemoteError(TetherError):
    """A server refuses a request, or cannot be reached.

    Attributes:
        status: the HTTP status; None where there was no answer.
        kind: what kind of refusal it is, such as `not_found`; `unreachable` where there was no answer.
    """

    def __init__(self, message: str, *, status: int | None, kind: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


def refusal(response: httpx.Response) -> RemoteError:
    """Make an error of what a server says of a request."""
    try:
        error = msgspec.json.decode(response.content)["error"]
        kind, message = str(error["kind"]), str(error["message"])
    except (msgspec.DecodeError, LookupError, TypeError):
        kind, message = "refused", response.text.strip()[:500] or response.reason_phrase
    text = f"{message} (HTTP {response.status_code})"
    return RemoteError(text, status=response.status_code, kind=kind)
