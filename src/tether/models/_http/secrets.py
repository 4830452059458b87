"""Keys, tokens and passwords: how they are given, and the border that they do not cross. No I/O.

Whatever comes from outside passes `Secrets` before it is part of an error, an event, a transcript, a log or a cause:
the answer of a server, the text of an exception, an address. What a model has written is left as it is.
"""

import base64
import inspect
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias, cast
from urllib.parse import unquote, unquote_plus

from attrs import evolve, field, frozen

from tether.deltas import Delta, ReplyEnd, ReplyInfo
from tether.errors import ModelError, UsageError
from tether.messages import AssistantMessage
from tether.models._http.masking import MASK, Masking

__all__ = ("Key", "Secrets", "legal_headers", "legal_key", "printable_url", "resolved_key")

Key: TypeAlias = str | Callable[[], str | Awaitable[str]] | None
"""A key, or a function that returns it, called at each request; None if the server wants none."""

_ILLEGAL: Final = "holds a character that no header can carry: is it read from the right place?"

_PUBLIC_HEADERS: Final = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "anthropic-beta",
        "anthropic-version",
        "connection",
        "content-type",
        "http-referer",
        "openai-beta",
        "openai-organization",
        "openai-project",
        "referer",
        "user-agent",
        "x-title",
    }
)
"""Headers whose values are no secrets; those of all others may be."""

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~\w-]+", re.ASCII)
_PRIVATE_NAME: Final = re.compile(
    r"auth|cookie|cred|key|pass|secret|session|sign|token", re.IGNORECASE
)
_PUBLIC_PARAMETERS: Final = frozenset({"alt", "api-version", "api_version", "region", "version"})
"""Parameters of an address whose values are no secrets."""


async def resolved_key(key: Key) -> str:
    """Return the current key.

    Args:
        key: the key, or the function that returns it.

    Returns:
        The key without white space around it; "" if there is none.

    Raises:
        ModelError: it is no text, or no header can carry it; the message does not show it.
    """
    answer = cast("object", key() if callable(key) else key)  # others wrote the function
    if inspect.isawaitable(answer):
        answer = await answer
    if not isinstance(answer, str | None):
        raise ModelError(
            f"the key must be text, and its function returned {type(answer).__name__}",
            kind="authentication",
        )
    text = (answer or "").strip()
    if not _is_legal(text):
        raise ModelError(f"the key {_ILLEGAL}", kind="authentication")
    return text


def legal_key(_: object, __: object, key: Key) -> None:
    """Refuse a key that no header can carry: a validator of attrs.

    Raises:
        UsageError: the message does not show it.
    """
    if isinstance(key, str) and not _is_legal(key.strip()):
        raise UsageError(f"the key {_ILLEGAL}")


def legal_headers(_: object, __: object, headers: Mapping[Any, Any]) -> None:
    """Refuse headers that cannot be sent: a validator of attrs.

    Raises:
        UsageError: the message shows no value.
    """
    for name, value in headers.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise UsageError("headers: a name is not one that a header can have")
        if not isinstance(value, str):
            raise UsageError(f"headers: {name} is {type(value).__name__}, and must be text")
        if not _is_legal(value) or value != value.strip():
            raise UsageError(f"headers: {name} {_ILLEGAL}")


def _is_legal(value: str) -> bool:
    return value.isascii() and value.replace("\t", " ").isprintable()


def printable_url(url: str) -> str:
    """Return an address as people may see it: without user name and password, and with parameters masked."""
    scheme, _, rest = _divided(url)
    base, *parameters = re.split("[?&]", rest.partition("#")[0])
    shown = "&".join(map(_masked, parameters))
    return f"{scheme}{base}?{shown}" if shown else f"{scheme}{base}"


def _masked(parameter: str) -> str:
    name, _, value = parameter.partition("=")
    if not value:
        return MASK if name else ""
    return parameter if name.lower() in _PUBLIC_PARAMETERS else f"{name}={MASK}"


def _divided(url: str) -> tuple[str, str, str]:
    """Divide an address into its scheme, user name and password, and the rest.

    A password need not be percent-encoded as it should be: everything up to the last @ belongs to it, unless that is
    in the path of an address without password.
    """
    start = url.find("//") + 2 if "//" in url else 0
    end = url.rfind("@")
    before = url[start:end] if end >= start else ""
    if end < start or (":" not in before and re.search(r"[/?#]", before)):
        return url[:start], "", url[start:]
    return url[:start], before, url[end + 1 :]


@frozen
class Secrets:
    """What nobody is shown: the key, and what headers and addresses hold of their like."""

    _masking: Masking = field(repr=False)

    @classmethod
    def of(cls, key: str, headers: Mapping[str, str], *urls: str) -> "Secrets":
        """Collect the secrets of a request.

        Args:
            key: the key; "" if there is none.
            headers: what else is sent.
            *urls: the addresses of the server and of a proxy.

        Returns:
            The secrets; shorter ones than a password that is worth the name are left out.
        """
        in_headers = (text for name in headers for text in _in_header(name, headers[name]))
        in_urls = (text for url in urls for text in _in_url(url))
        return cls(Masking((key, *in_headers, *in_urls)))

    def without_in_body(self, body: bytes) -> bytes:
        """Return the body of an answer without the secrets."""
        text = body.decode(errors="surrogateescape")
        return self._masking.without(text).encode(errors="surrogateescape")

    def cleaned(self, error: ModelError) -> ModelError:
        """Take the secrets out of an error, in place.

        Args:
            error: the error, which may repeat what a server has sent.

        Returns:
            The same error. A cause whose text holds a secret is taken away from it.
        """
        error.message = self._masking.without(error.message, may_be_cut=True)
        error.args = (error.message,)
        error.request_id = self._in(error.request_id)
        error.failed_generation = self._in(error.failed_generation)
        if error.partial is not None:
            error.partial = evolve(self._facts_cleaned(error.partial), error=error.failure)
        self._clean_causes(error)
        return error

    def cleaned_delta(self, delta: Delta) -> Delta:
        """Take the secrets out of what a server reports about its reply; the content is left as it is."""
        match delta:
            case ReplyInfo(model=model, response_id=id_):
                facts = (self._in(model), self._in(id_))
                if facts == (model, id_):
                    return delta
                return evolve(delta, model=facts[0], response_id=facts[1])
            case ReplyEnd(message):
                cleaned = self._facts_cleaned(message)
                return delta if cleaned is message else ReplyEnd(cleaned)
            case _:
                return delta

    def _facts_cleaned(self, reply: AssistantMessage) -> AssistantMessage:
        facts = (reply.model, reply.response_id, reply.details)
        model, response_id, details = clean = tuple(map(self._in, facts))
        if clean == facts:
            return reply
        return evolve(reply, model=model, response_id=response_id, details=details)

    def _in(self, value: Any) -> Any:
        """Clean the texts in a JSON value."""
        match value:
            case str():
                return self._masking.without(value)
            case dict():
                return {self._masking.without(key): self._in(inner) for key, inner in value.items()}
            case list():
                return [self._in(inner) for inner in value]
            case _:
                return value

    def _clean_causes(self, error: BaseException) -> None:
        seen: set[int] = set()
        waiting = [error]
        while waiting:
            link = waiting.pop()
            seen.add(id(link))
            if link.__cause__ is not None and self._shows_in(link.__cause__):
                link.__cause__ = None
            if link.__context__ is not None and self._shows_in(link.__context__):
                link.__context__ = None
            following = (link.__cause__, link.__context__)
            waiting += [one for one in following if one is not None and id(one) not in seen]

    def _shows_in(self, error: BaseException) -> bool:
        texts = (str(error), repr(error), repr(error.args), repr(getattr(error, "__dict__", None)))
        return any(self._masking.without(text) != text for text in texts)


def _in_header(name: str, value: str) -> Iterator[str]:
    """Find the secrets in a header: its value, and the words of it that are no ordinary ones."""
    if name.lower() in _PUBLIC_HEADERS:
        return
    is_private = _PRIVATE_NAME.search(name) is not None
    scheme, _, rest = value.partition(" ")
    if not is_private:
        yield value
    for word in re.split(r"[\s;,=\"]+", rest if rest and is_private else value):
        if is_private or not word.isalpha():
            yield word
    if scheme.lower() == "basic":
        user_and_password = _decoded(rest)
        yield user_and_password
        yield user_and_password.partition(":")[2]


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text).decode()
    except ValueError:
        return ""


def _in_url(url: str) -> Iterator[str]:
    """Find the secrets in an address: user name, password and parameters, as they stand there and as they are meant."""
    _, login, rest = _divided(url)
    user, _, password = login.partition(":")
    for text in (login, user, password):
        yield text
        yield unquote(text)
    for parameter in re.split("[?&]", rest.partition("#")[0])[1:]:
        name, _, value = parameter.partition("=")
        if name.lower() not in _PUBLIC_PARAMETERS:
            yield value or name
            yield unquote_plus(value)
