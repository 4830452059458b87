"""Why a request is not carried out, as JSON: `{"error": {"kind": ..., "message": ...}}`."""

from collections.abc import Mapping

from starlette.responses import JSONResponse

__all__ = ("Refusal", "refused")


class Refusal(Exception):  # noqa: N818 - the answer to a request, and no fault of the program
    """A request is not carried out.

    Args:
        status: the HTTP status.
        kind: what kind of refusal it is, for programs.
        message: what was wrong and what would be right, for people.
        headers: of the answer.
    """

    def __init__(
        self, status: int, kind: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, kind, message, headers)
        self.status = status
        self.kind = kind
        self.message = message
        self.headers = headers

    def __str__(self) -> str:
        return self.message

    @property
    def body(self) -> Mapping[str, object]:
        """What the answer says."""
        return {"error": {"kind": self.kind, "message": self.message}}


def refused(refusal: Refusal) -> JSONResponse:
    """Make the answer to a request that is not carried out."""
    return JSONResponse(refusal.body, refusal.status, refusal.headers)
