"""Error answers of servers, sorted into kinds. No I/O.

Statuses are those of HTTP. The wording is each provider's own, from their API references and their answers.
Nearly everywhere a context overflow is reported as an invalid request; its words distinguish it from others.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec
from attrs import evolve, frozen

from tether.errors import ModelError
from tether.messages import FailureKind

__all__ = (
    "cut_short",
    "error_from_event",
    "error_from_response",
    "error_from_stream",
    "kind_of",
    "malformed",
)

_BY_STATUS: Final[Mapping[int, FailureKind]] = {
    400: "invalid_request",
    401: "authentication",
    402: "quota",
    403: "permission",
    404: "not_found",
    408: "timeout",
    413: "context_overflow",
    422: "invalid_request",
    424: "server",
    429: "rate_limit",
    498: "overloaded",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}

_BY_CODE: Final[Sequence[tuple[str, FailureKind]]] = (
    (r"context_length|context_window|exceed_context_size|request_too_large", "context_overflow"),
    (r"content_?filter|content_policy|responsibleaipolicy", "content_filter"),
    (r"overloaded|capacity|unavailable", "overloaded"),
    (
        r"insufficient_(?:quota|credits?|balance|funds)|billing|payment_required|credit_limit"
        r"|exceeded_current_quota|arrearage",
        "quota",
    ),
    (r"permission|forbidden", "permission"),
    (r"rate_limit|resource_exhausted|quota|too_many_requests|throttl", "rate_limit"),
    (r"api_key|authentication|unauthenticated|unauthorized", "authentication"),
    (r"not_found", "not_found"),
)
"""Providers' names for a failure, searched for in its code, type and status. The first match wins."""

_BY_WORDS: Final[Sequence[tuple[str, FailureKind]]] = (
    (
        r"context[ -](?:length|window|size|limit)|maximum context|model token limit|prompt (?:is )?too long"
        r"|input is too long|too many (?:input |total )?tokens|reduce the length of the messages"
        r"|(?:prompt|input|token count|message size).{0,60}exceed(?:s|ed)? (?:the )?(?:\w+ )?"
        r"(?:max|limit|model)"
        r"|(?:prompt|input).{0,20} limit exceeded|range of input length"
        r"|maximum (?:prompt|input|model) length|must have less than \d+ tokens"
        r"|tokens? .{0,40}must be <=|prompt.{0,40}too large for model",
        "context_overflow",
    ),
    (r"content (?:filter|policy|management policy)|safety system", "content_filter"),
    (r"overloaded|over capacity|at capacity|temporarily unavailable", "overloaded"),
    (
        r"credit balance|billing hard limit|requires more credits|please recharge"
        r"|(?:insufficient|not enough|out of|used all available) (?:\w+ )?(?:credits?|balance|funds)"
        r"|(?:exceeded|reached) .{0,40}(?:credits|spend(?:ing)? limit|api usage limits)",
        "quota",
    ),
    (r"rate limit|too many requests|quota exceeded|exceeded your .{0,20}quota", "rate_limit"),
    (
        r"(?:invalid|incorrect|missing|no|wrong) api[ -]?key|api key (?:is )?(?:not valid|invalid|required)"
        r"|no auth credentials|invalid (?:authentication|bearer)|unauthorized"
        r"|security token .{0,40}(?:invalid|expired)|request signature we calculated does not match",
        "authentication",
    ),
    (r"do(?:es)? not have (?:access|permission)", "permission"),
    (
        r"model .{0,120}(?:does not exist|not found|is not a valid model)|no such model"
        r"|not a valid model id|unknown model|is not found for api version|model identifier is invalid",
        "not_found",
    ),
)
"""The same for sentences without a code, each pattern no wider than the providers' wording."""

_BY_VAGUE_CODE: Final[Sequence[tuple[str, FailureKind]]] = (
    (r"timeout|deadline_exceeded", "timeout"),
    (r"invalid_(?:request|argument|prompt)|bad_request|failed_precondition", "invalid_request"),
)
"""Names for a failure that say less than the sentence that comes with them."""

_MAY_MEAN_ANYTHING: Final = frozenset(
    {None, "invalid_request", "permission", "quota", "not_found", "context_overflow"}
)
"""Kinds that a status alone does not decide: the code and the words count for more."""

_REQUEST_IDS: Final = (
    "request-id",
    "x-request-id",
    "x-goog-request-id",
    "apim-request-id",
    "x-amzn-requestid",
    "mistral-correlation-id",
    "cf-ray",
)
_LONGEST_MESSAGE: Final = 8_000
_LONGEST_WAIT: Final = 31 * 24 * 3600.0
"""Seconds. No server can mean a longer one."""
_LONGEST_DATE: Final = 64
"""Characters."""


def kind_of(status: int | None, code: str, message: str) -> FailureKind:
    """Sort a failure.

    Args:
        status: the HTTP status or the number that stands for one, if there is one.
        code: the provider's names for it: code, type and status.
        message: the provider's sentence about it.

    Returns:
        Its kind.
    """
    known = _BY_STATUS.get(status or 0)
    named = _named_kind(code, message)
    # A quota that is used up comes with any status, mostly that of a limit which soon passes.
    if named is not None and (known in _MAY_MEAN_ANYTHING or (named == "quota" and status)):
        return named
    if known is not None:
        return known
    if status is None:
        return _match(_BY_VAGUE_CODE, code) or "server"
    return "invalid_request" if 400 <= status < 500 else "server"


def _named_kind(code: str, message: str) -> FailureKind | None:
    return _match(_BY_CODE, code) or _match(_BY_WORDS, message)


def _match(patterns: Sequence[tuple[str, FailureKind]], text: str) -> FailureKind | None:
    return next(
        (kind for pattern, kind in patterns if re.search(pattern, text, re.IGNORECASE)), None
    )


def error_from_response(
    status: int, headers: Mapping[str, str], body: bytes, *, now: datetime | None = None
) -> ModelError:
    """Make an exception from an answer that is not a stream.

    Args:
        status: the HTTP status.
        headers: with names in lower case, or a mapping that does not care.
        body: as far as it was read.
        now: the time, to turn a date into seconds.

    Returns:
        The error, with the server's message, or a short description of the answer if it has none.
    """
    found = _described_in(body)
    kind: FailureKind
    if status >= 400 or found.status is not None:
        kind = kind_of(status if status >= 400 else found.status, found.code, found.words)
    elif status >= 300:
        kind = "invalid_request"
    else:  # some servers report failures with a status of success
        kind = _named_kind(found.code, found.words) or "malformed"
    waiting = _retry_after(headers, now or datetime.now(UTC))
    return ModelError(
        found.message or f"the server answered HTTP {status} {_described(headers, body)}",
        kind=kind,
        status=status if status >= 400 or found.status is None else found.status,
        request_id=_request_id(headers) or found.request_id,
        retry_after=waiting if waiting is not None else found.retry_after,
        failed_generation=found.failed_generation,
    )


def error_from_stream(error: object) -> ModelError:
    """Make an exception from an error inside a stream that had begun well.

    Args:
        error: the value of the field `error`.

    Returns:
        The error, with the server's message.
    """
    return _reported(_read({"error": error}))


def error_from_event(data: bytes) -> ModelError:
    """Make an exception from an event that is an error by its name, with data of any shape."""
    found = _described_in(data)
    return _reported(found if found.message else evolve(found, message=_excerpt(data)))


def _reported(found: "_Description") -> ModelError:
    return ModelError(
        found.message or "the server reported an error without a message",
        kind=kind_of(found.status, found.code, found.words),
        status=found.status,
        request_id=found.request_id,
        retry_after=found.retry_after,
        failed_generation=found.failed_generation,
    )


def malformed(problem: str, data: bytes) -> ModelError:
    """Make the error for data that cannot be understood."""
    return ModelError(f"{problem}: {_excerpt(data)!r}", kind="malformed")


def _excerpt(data: bytes) -> str:
    return data[:200].decode(errors="replace")


def cut_short() -> ModelError:
    """Make the error for a stream that ended before its reply did."""
    return ModelError("the connection ended before the reply was finished", kind="connection")


@frozen(eq=False, repr=False)
class _Description:
    """The description of a failure that an answer holds."""

    message: str = ""
    code: str = ""
    words: str = ""
    """The message, and that of a service behind the provider."""
    status: int | None = None
    """The HTTP status, if the answer holds one."""
    request_id: str | None = None
    retry_after: float | None = None
    failed_generation: str | None = None


def _described_in(body: bytes) -> _Description:
    try:
        return _read(msgspec.json.decode(body))
    except (ValueError, RecursionError):
        return _Description()


def _read(answer: Any) -> _Description:
    """Read an error in any of the usual shapes: an object, a text, a list of them, one nested in another."""
    answer = _first(answer)
    if not isinstance(answer, dict):
        answer = {"error": answer} if isinstance(answer, str) else {}
    error = _first(answer.get("error") or answer.get("errors") or answer)
    if not isinstance(error, dict):
        error = {"message": error}
    message = next(
        (
            text
            for key in ("message", "detail", "msg", "error", "error_message")
            if (text := _sentence(error.get(key)))
        ),
        "",
    )
    metadata = error.get("metadata")
    behind = _sentence(metadata.get("raw")) if isinstance(metadata, dict) else ""
    named = (place.get(key) for place in (error, answer) for key in ("code", "type", "status"))
    request_id = error.get("request_id") or answer.get("request_id")
    return _Description(
        message=message,
        code=" ".join(str(name) for name in named if isinstance(name, str | int)),
        words=f"{message} {behind}",
        status=_status_in(error),
        request_id=request_id if isinstance(request_id, str) else None,
        retry_after=_retry_delay(error.get("details")),
        failed_generation=_failed_generation(error),
    )


def _failed_generation(error: Mapping[str, Any]) -> str | None:
    """What the model wrote, as Groq gives it where it cannot read a call in it."""
    written = error.get("failed_generation")
    return written[:_LONGEST_MESSAGE] if isinstance(written, str) and written else None


def _first(value: Any) -> Any:
    while isinstance(value, list) and value:
        value = value[0]
    return value


def _sentence(value: Any, depth: int = 4) -> str:
    """Make a text from whatever stands in the place of one."""
    if depth == 0 or value is None:
        return ""
    if isinstance(value, dict):
        return next(
            (
                text
                for key in ("message", "detail", "msg")
                if (text := _sentence(value.get(key), depth - 1))
            ),
            "",
        )
    if isinstance(value, list):
        return "; ".join(filter(None, (_sentence(item, depth - 1) for item in value)))
    text = str(value)
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]} ..."


def _status_in(error: Mapping[str, Any]) -> int | None:
    for key in ("status_code", "code", "http_code"):
        value = error.get(key)
        if isinstance(value, str) and value.isdecimal() and len(value) == 3:
            value = int(value)
        if isinstance(value, int) and 400 <= value < 600:
            return value
    return None


def _described(headers: Mapping[str, str], body: bytes) -> str:
    if "location" in headers:
        return f"and points to {headers['location']}: pass the address that answers as base_url"
    text = body.decode(errors="replace").strip()
    if not text:
        return "with an empty body"
    if text[:200].lower().startswith(("<!doctype", "<html")):
        title = re.search(r"<title[^>]*>([^<]*)", text, re.IGNORECASE)
        return f"with an HTML page{f': {title[1].strip()[:200]}' if title else ''}"
    return f"with: {text[:200]}"


def _request_id(headers: Mapping[str, str]) -> str | None:
    return next((headers[name] for name in _REQUEST_IDS if name in headers), None)


def _retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait (RFC 9110, 10.2.3), from a number or a date."""
    if milliseconds := headers.get("retry-after-ms"):
        return _bounded(float(milliseconds) / 1000) if _is_number(milliseconds) else None
    value = headers.get("retry-after")
    if value is None:
        return None
    return _bounded(float(value)) if _is_number(value) else _seconds_until(value, now)


def _seconds_until(date: str, now: datetime) -> float | None:
    try:
        at = parsedate_to_datetime(date[:_LONGEST_DATE])
        at = at.replace(tzinfo=at.tzinfo or UTC)
        return _bounded((at - now).total_seconds())
    except (ValueError, TypeError, LookupError, OverflowError):
        return None  # no date, or one that the calendar does not have


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), _LONGEST_WAIT)


def _retry_delay(details: Any) -> float | None:
    """Seconds to wait, as Google gives them in the body (google.rpc.RetryInfo)."""
    for detail in details if isinstance(details, list) else ():
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str) and _is_number(delay.removesuffix("s")):
            return _bounded(float(delay.removesuffix("s")))
    return None


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\d{1,9}(?:\.\d{1,9})?", text.strip()) is not None
