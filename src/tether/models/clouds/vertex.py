"""Vertex AI: Google's models, and Anthropic's, in a project of Google Cloud.

After Google's reference (Vertex AI, `models.streamGenerateContent`), and Anthropic's ("Claude on Vertex AI").
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import anyio.to_thread
from attrs import define, evolve

from tether.errors import ModelError, UsageError
from tether.model import ModelRequest
from tether.models._wire.cached_prefix import CachedPrefix
from tether.models._wire.protocol import WireApi, join_url
from tether.models.anthropic.api import ANTHROPIC_MESSAGES
from tether.models.clouds.settings import Given, chosen, needed
from tether.models.google.api import GOOGLE_GENERATE

__all__ = ("vertex",)

_PROJECTS: Final = ("GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT")
_REGIONS: Final = ("GOOGLE_CLOUD_LOCATION", "GOOGLE_CLOUD_REGION")
_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_CLAUDE_VERSION: Final = "vertex-2023-10-16"
_MULTI_REGIONS: Final = ("us", "eu")


def vertex(
    model: str,
    *,
    base_url: str | None = None,
    api_key: Given = None,
    token: Given = None,
    project: str | None = None,
    region: str | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Reach a model in a project.

    Args:
        model: the model, such as `gemini-2.5-flash` or `claude-sonnet-4-5@20250929`; or, with slashes, its path behind
            the location, such as `publishers/google/models/gemini-2.5-flash` or `endpoints/123`.
        base_url: the address up to the version, `.../v1`, in place of the region's own.
        api_key: like `token`.
        token: an access token, or a function, plain or async, that returns one; if None, google-auth finds the
            credentials of the environment (`GOOGLE_APPLICATION_CREDENTIALS`, `gcloud`, the machine's own).
        project: the project; GOOGLE_CLOUD_PROJECT if None.
        region: the location; GOOGLE_CLOUD_LOCATION if None, else `global`.
        **settings: of the model.

    Returns:
        The fields of the model.

    Raises:
        UsageError: no project is named, or there is no token and google-auth is not installed.
    """
    place = chosen(region, *_REGIONS) or "global"
    key = token if token is not None else api_key
    within = f"projects/{needed(project, 'vertex', 'project', *_PROJECTS)}/locations/{place}"
    is_claude = re.search(r"(?:^|/)claude-", model) is not None
    return {
        "api": _claude(within, model) if is_claude else _gemini(within, model),
        "base_url": base_url or f"https://{_host(place)}/v1",
        "key": key if key is not None else _tokens_of_google(),
        "key_from": "found by google-auth" if key is None else "passed as token",
        **settings,
    }


def _gemini(within: str, model: str) -> WireApi:
    path = f"{within}/{_place(model, 'google')}"
    url, whole_url = GOOGLE_GENERATE.url, GOOGLE_GENERATE.whole_url
    assert whole_url is not None
    return evolve(
        GOOGLE_GENERATE,
        url=lambda base, _: url(base, path),
        whole_url=lambda base, _: whole_url(base, path),
        headers=_headers,
    )


def _claude(within: str, model: str) -> WireApi:
    """The Messages API, with the model in the address and the version in the body."""
    path = f"/{within}/{_place(model, 'anthropic')}"

    def encode(
        request: ModelRequest, model: str, cache: CachedPrefix | None = None
    ) -> dict[str, Any]:
        body = ANTHROPIC_MESSAGES.encode(request, model, cache)
        del body["model"]
        return {"anthropic_version": _CLAUDE_VERSION, **body}

    return evolve(
        ANTHROPIC_MESSAGES,
        encode=encode,
        url=lambda base, _: join_url(base, f"{path}:streamRawPredict"),
        whole_url=lambda base, _: join_url(base, f"{path}:rawPredict"),
        headers=_headers,
        at=None,
    )


def _place(model: str, publisher: str) -> str:
    return model if "/" in model else f"publishers/{publisher}/models/{model}"


def _headers(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"} if key else {}


def _host(region: str) -> str:
    if region == "global":
        return "aiplatform.googleapis.com"
    if region in _MULTI_REGIONS:
        return f"aiplatform.{region}.rep.googleapis.com"
    return f"{region}-aiplatform.googleapis.com"


def _tokens_of_google() -> Callable[[], Any]:
    """Make the function that returns a token at each request; google-auth keeps it for as long as it is valid."""
    try:
        import google.auth  # noqa: PLC0415 - few programs need it
        import google.auth.transport.requests  # noqa: PLC0415
    except ImportError as error:
        raise UsageError(
            "vertex needs a token: pip install 'tether[vertex]'",
            hint=", or pass token= a function that returns one",
        ) from error
    tokens = _Tokens(partial(google.auth.default, scopes=[_SCOPE]), google.auth.transport.requests)

    async def token() -> str:
        return await anyio.to_thread.run_sync(tokens.current, abandon_on_cancel=True)

    return token


@define(eq=False, repr=False)
class _Tokens:
    """The tokens of the credentials that google-auth finds. It asks files and servers, so in a thread."""

    find: Callable[[], Any]
    transport: Any
    credentials: Any = None

    def current(self) -> str:
        """Return a token that is valid.

        Raises:
            ModelError: there are no credentials, or they give no token.
        """
        from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415 - it is there by now

        try:
            if self.credentials is None:
                self.credentials, _ = self.find()
            if not self.credentials.valid:
                self.credentials.refresh(self.transport.Request())
        except GoogleAuthError as error:
            raise ModelError(
                f"no token for Vertex AI: {error}; set GOOGLE_APPLICATION_CREDENTIALS, or pass token=",
                kind="authentication",
            ) from error
        return str(self.credentials.token)
