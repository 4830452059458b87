"""Answers of models, recorded once through the real provider and replayed from then on.

    async def test_weather(cassette):
        agent = Agent(cassette("openai:gpt-5"), tools=[weather])
        ...

    pytest --cassettes=record      asks the provider where nothing is recorded yet
    pytest                         asks nobody: a request that has changed fails, and shows how
    pytest --cassettes=rewrite     asks the provider anew

What is recorded stands in a file beside the test. It is taken at the transport of HTTP, so that everything above it is
what runs in production. Keys are taken out of whole texts, before they are cut into the pieces in which they came, also
where a model says one token by token; of headers, only those on a list are kept.
"""

import base64
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, TypedDict, cast

import httpx
import msgspec
from anyio.lowlevel import checkpoint
from attrs import define, field

from tether.errors import UsageError
from tether.model import Model
from tether.models.catalogue import model_from_name
from tether.replay.masking import Masking, checked_secrets, likely_secrets
from tether.replay.replaying import diff
from tether.testing._answers import masked_answer
from tether.transport import StreamingTransport

__all__ = ("Cassette", "CassetteError", "Mode", "path_for")

Mode: TypeAlias = Literal["replay", "record", "rewrite"]
"""Replay what was recorded; also record what is missing; or record all anew."""

_VERSION: Final = 1
_ASKED: Final = ("content-type", "accept", "anthropic-version", "anthropic-beta", "openai-beta")
"""Headers of requests that are kept."""
_ANSWERED: Final = ("content-type", "retry-after", "retry-after-ms", "x-request-id", "request-id")
"""Headers of answers that are kept."""
_KEYS: Final = ("authorization", "x-api-key", "api-key", "x-goog-api-key", "x-amz-security-token")
"""Headers whose values are secrets."""
_IN_ADDRESSES: Final = {"key", "api_key", "access_token", "token"}


class CassetteError(AssertionError):
    """A model was asked what is not recorded. The text shows what differs, and what to do."""


class Cassette:
    """What was recorded for one test, and makes models of it.

    Args:
        path: the file.
        mode: what to do.
    """

    def __init__(self, path: Path, mode: Mode = "replay") -> None:
        self._path = path
        self._mode = mode
        self._exchanges: list[dict[str, Any]] = []
        self._used: set[int] = set()
        self._changed = False
        if mode != "rewrite" and path.exists():
            self._exchanges = _read(path)

    def __call__(self, name: str, *, secrets: Sequence[str] = (), **settings: Any) -> Model:
        """Make a model that is asked through the cassette.

        Args:
            name: its name, such as `openai:gpt-5`.
            secrets: what is taken out of what is recorded, besides the keys.
            **settings: as for `tether.model_from_name`.

        Raises:
            UsageError: a secret is no string, has fewer than 4 characters, or is such that no cassette could be read
                without it.
            Exception: as `tether.model_from_name`.
        """
        named = checked_secrets(secrets)
        if self._mode == "replay":
            settings.setdefault("api_key", "a key that nobody sees")
        key = settings.get("api_key")
        known = (*named, *likely_secrets([key] if isinstance(key, str) else []))
        return model_from_name(name, transport=lambda: _Transport(self, known), **settings)

    def save(self) -> bool:
        """Write what was recorded, if something was; say whether."""
        if not self._changed:
            return False
        self._path.parent.mkdir(parents=True, exist_ok=True)
        data = msgspec.json.encode({"version": _VERSION, "exchanges": self._exchanges})
        self._path.write_bytes(msgspec.json.format(data, indent=1) + b"\n")
        return True

    # For the transport.

    def find(self, asked: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Find the recorded answer to a request: the first that was not used yet; None where it is to be recorded.

        Raises:
            CassetteError: there is none, and it is not to be recorded.
        """
        left = [n for n in range(len(self._exchanges)) if n not in self._used]
        for number in left:
            if self._exchanges[number]["request"] == asked:
                self._used.add(number)
                answer: Mapping[str, Any] = self._exchanges[number]["response"]
                return answer
        if self._mode == "rewrite" or (self._mode == "record" and not left):
            return None
        again = "pytest --cassettes=rewrite asks the provider anew"
        if left:
            expected = self._exchanges[left[0]]["request"]
            raise CassetteError(
                f"another request than {self._path.name} has; {again}:\n{diff(expected, asked)}"
            )
        if not self._exchanges:
            raise CassetteError(
                f"nothing is recorded in {self._path}; pytest --cassettes=record asks the provider"
            )
        count = len(self._exchanges)
        raise CassetteError(
            f"{self._path.name} has {count} requests, and this is one more; {again}"
        )

    def keep(self, asked: Mapping[str, Any], answered: Mapping[str, Any]) -> None:
        """Record an exchange."""
        self._used.add(len(self._exchanges))
        self._exchanges.append({"request": asked, "response": answered})
        self._changed = True


class _Transport(httpx.AsyncBaseTransport):
    """Carries requests to a cassette, and from there to the provider where that is wanted."""

    def __init__(self, cassette: Cassette, secrets: Sequence[str]) -> None:
        self._cassette = cassette
        self._secrets = secrets
        self._real: StreamingTransport | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        body = await request.aread()
        masking = Masking(_secrets_of(request, self._secrets))
        asked = _written(request, body, masking)
        answer = self._cassette.find(asked)
        if answer is not None:
            await checkpoint()
            stream = _Replayed([_read_piece(piece) for piece in answer["pieces"]])
            return httpx.Response(answer["status"], headers=answer["headers"], stream=stream)
        if self._real is None:
            self._real = StreamingTransport()
        response = await self._real.handle_async_request(request)
        if (packed := response.headers.get("content-encoding", "identity")) != "identity":
            await response.aclose()
            raise CassetteError(f"the answer is packed ({packed}): keys in it could not be found")
        assert isinstance(response.stream, httpx.AsyncByteStream)
        recorded = _Recorded(response.stream, self._cassette, asked, response, masking)
        return httpx.Response(response.status_code, headers=response.headers, stream=recorded)

    async def aclose(self) -> None:
        """Close the connections to the provider."""
        if self._real is not None:
            await self._real.aclose()


class _Replayed(httpx.AsyncByteStream):
    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            await checkpoint()
            yield piece


@define(eq=False)
class _Recorded(httpx.AsyncByteStream):
    """The body of an answer, recorded as it passes; where it is left early, as far as it came."""

    _stream: httpx.AsyncByteStream
    _cassette: Cassette
    _asked: Mapping[str, Any]
    _response: httpx.Response
    _masking: Masking
    _pieces: list[bytes] = field(factory=list[bytes])
    _is_kept: bool = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            self._pieces.append(piece)
            yield piece

    async def aclose(self) -> None:
        if not self._is_kept:
            self._is_kept = True
            self._cassette.keep(
                self._asked,
                {
                    "status": self._response.status_code,
                    "headers": _kept_headers(self._response.headers, _ANSWERED, self._masking),
                    "pieces": [
                        _written_piece(piece)
                        for piece in masked_answer(self._pieces, self._masking)
                    ],
                },
            )
        await self._stream.aclose()


def _secrets_of(request: httpx.Request, known: Sequence[str]) -> Sequence[str]:
    sent = (request.headers.get(name, "") for name in _KEYS)
    words = [word for value in sent for word in (value, value.rpartition(" ")[2])]
    asked = [value for name, value in request.url.params.items() if name in _IN_ADDRESSES]
    return (*known, *likely_secrets((*words, *asked)))


def _written(request: httpx.Request, body: bytes, masking: Masking) -> dict[str, Any]:
    try:
        said: Any = msgspec.json.decode(body)
    except ValueError:
        said = body.decode("utf-8", "replace")
    return {
        "method": request.method,
        "url": masking.text(str(request.url)),
        "headers": _kept_headers(request.headers, _ASKED, masking),
        "body": masking.value(said),
    }


def _kept_headers(headers: httpx.Headers, kept: Sequence[str], masking: Masking) -> dict[str, str]:
    return {name: masking.text(headers[name]) for name in kept if name in headers}


def _written_piece(piece: bytes) -> Any:
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(piece).decode()}


def _read_piece(piece: Any) -> bytes:
    if isinstance(piece, str):
        return piece.encode()
    return base64.b64decode(piece["base64"])


class _Answer(TypedDict):
    status: int
    headers: dict[str, str]
    pieces: list[str | dict[Literal["base64"], str]]


class _Exchange(TypedDict):
    request: dict[str, Any]
    response: _Answer


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        kept = msgspec.json.decode(path.read_bytes())
        version, exchanges = kept["version"], kept["exchanges"]
        if version == _VERSION:
            return cast("list[dict[str, Any]]", msgspec.convert(exchanges, list[_Exchange]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f"{path} is no cassette: {error}") from None
    raise UsageError(f"{path} is a cassette of version {version}; this tether reads {_VERSION}")


def path_for(test: Any) -> Path:
    """Say where the cassette of a test stands: one for all event loops that the test runs on.

    Args:
        test: a function of pytest, as `request.node` gives it.
    """
    given: Mapping[str, Any] = getattr(getattr(test, "callspec", None), "params", {})
    plain = (str(value) for name, value in given.items() if name != "anyio_backend")
    name = "-".join([getattr(test, "originalname", None) or test.name, *plain])
    place = Path(test.path)
    legal = re.sub(r"[^\w.-]+", "_", name)
    return place.parent / "cassettes" / place.stem / f"{legal}.json"
