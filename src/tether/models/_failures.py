"""What vendors say when they fail, sorted into kinds. No I/O.

Statuses are those of HTTP; the wording is each vendor's own, as their API references and their answers have it.
Context overflow comes as an invalid request nearly everywhere, and is told from others by its words.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec

from tether.errors import ModelError
from tether.messages import FailureKind

__all__ = ("error_from_response", "error_from_stream", "kind_of")

_BY_STATUS: Final[Mapping[int, FailureKind]] = {
    400: "invalid_request",
    401: "authentication",
    402: "permission",
    403: "permission",
    404: "not_found",
    408: "timeout",
    413: "context_overflow",
    422: "invalid_request",
    429: "rate_limit",
    498: "overloaded",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}

_BY_WORDS: Final[Sequence[tuple[str, FailureKind]]] = (
    (
        r"context[ _](?:length|window)|maximum context|prompt is too long|input is too long"
        r"|too many (?:input )?tokens|exceeds? the (?:maximum|limit).{0,40}tokens"
        r"|input token count.{0,40}exceeds|reduce the length of the messages|request_too_large"
        r"|tokens? exceed|exceed_context_size|max(?:imum)? (?:prompt|input|model) length"
        r"|model_max_prompt_tokens|too large for model with \d+ maximum context",
        "context_overflow",
    ),
    (
        r"content[ _](?:filter|policy|management)|responsibleaipolicy|safety system",
        "content_filter",
    ),
    (
        r"overloaded|over capacity|at capacity|service_unavailable|temporarily unavailable",
        "overloaded",
    ),
    (r"rate[ _]?limit|too many requests|resource_exhausted|quota|throttl", "rate_limit"),
    (
        r"invalid[ _]api[ _]key|incorrect api key|api key not valid|authentication|unauthenticated"
        r"|unauthorized|no auth credentials",
        "authentication",
    ),
    (r"permission|forbidden|insufficient (?:credits|balance)|billing", "permission"),
    (r"model_not_found|not_found_error|does not exist|no such model|is not found", "not_found"),
)
"""First match wins; looked for in the vendor's code, type and message together."""

_REQUEST_IDS: Final = ("request-id", "x-request-id", "x-goog-request-id", "cf-ray")


def kind_of(status: int | None, words: str) -> FailureKind:
    """Sort a failure.

    Args:
        status: the HTTP status or the code that stands for one, if there is one.
        words: the vendor's code, type and message.

    Returns:
        Its kind.
    """
    told: FailureKind | None = next(
        (kind for pattern, kind in _BY_WORDS if re.search(pattern, words, re.IGNORECASE)), None
    )
    known: FailureKind | None = _BY_STATUS.get(status or 0)
    if known in {"authentication", "rate_limit", "overloaded", "timeout"}:
        return known
    if told is not None and known in {
        None,
        "invalid_request",
        "permission",
        "not_found",
        "context_overflow",
    }:
        return told
    if known is not None:
        return known
    return "invalid_request" if status is not None and 400 <= status < 500 else "server"


def error_from_response(
    status: int, headers: Mapping[str, str], body: bytes, *, now: datetime | None = None
) -> ModelError:
    """Make an exception of an answer that is no stream.

    Args:
        status: the HTTP status.
        headers: with names in lower case, or a mapping that does not care.
        body: as far as it was read.
        now: the time, to make seconds of a date.

    Returns:
        The error, with the vendor's message, or a short description of what came instead.
    """
    message, words = _told(body)
    kind = kind_of(status, words) if status >= 400 else "malformed"
    return ModelError(
        message or f"the server answered HTTP {status} {_described(body)}",
        kind=kind,
        status=status,
        request_id=next((headers[name] for name in _REQUEST_IDS if name in headers), None),
        retry_after=_retry_after(headers, now or datetime.now(UTC)),
    )


def error_from_stream(error: object) -> ModelError:
    """Make an exception of an error that came inside a stream that had begun well."""
    message, words = _from_json({"error": error})
    code = error.get("status_code", error.get("code")) if isinstance(error, dict) else None
    status = code if isinstance(code, int) and 400 <= code < 600 else None
    return ModelError(
        message or "the server reported an error without a message",
        kind=kind_of(status, words),
        status=status,
    )


def _told(body: bytes) -> tuple[str, str]:
    try:
        return _from_json(msgspec.json.decode(body))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return "", ""


def _from_json(answer: Any) -> tuple[str, str]:
    """The vendor's message, and all its words, from the shapes that errors come in."""
    while isinstance(answer, list) and answer:
        answer = answer[0]
    if not isinstance(answer, dict):
        return (answer, answer) if isinstance(answer, str) else ("", "")
    error = answer.get("error") or answer.get("errors") or answer
    while isinstance(error, list) and error:
        error = error[0]
    if not isinstance(error, dict):
        return str(error), str(error)
    message = next(
        (str(error[key]) for key in ("message", "detail", "msg", "error") if error.get(key)), ""
    )
    words = " ".join(str(error[key]) for key in ("code", "type", "status") if error.get(key))
    return message, f"{words} {message}"


def _described(body: bytes) -> str:
    text = body.decode(errors="replace").strip()
    if not text:
        return "with an empty body"
    if text[:200].lower().startswith(("<!doctype", "<html")):
        title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
        return f"with an HTML page{f': {title[1].strip()}' if title else ''}"
    return f"with: {text[:200]}"


def _retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait (RFC 9110, 10.2.3): given as such, or as a date."""
    if milliseconds := headers.get("retry-after-ms"):
        return float(milliseconds) / 1000 if _is_number(milliseconds) else None
    value = headers.get("retry-after")
    if value is None:
        return None
    if _is_number(value):
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - now).total_seconds())


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\d+(?:\.\d+)?", text.strip()) is not None
