"""Clouds: where a request goes, who it says is asking, and what is said if that is not known."""

import hashlib
import hmac
import json
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
from botocore.credentials import Credentials
from tests.models.bedrock import streams as bedrock
from tests.models.streams import CHAT, GOOGLE, RESPONSES, WHOLE

from tether import AssistantMessage, Model, ModelError, ModelRequest, UsageError, UserMessage
from tether.cli.default_model import default_model
from tether.deltas import PartialReply
from tether.models.catalogue import model_from_name
from tether.models.clouds import vertex as vertex_module
from tether.models.knowledge import context_window, price_of

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Nothing of the machine's own: no keys, no configuration, no server to ask."""
    import os

    for name in os.environ:
        if name.startswith(("AWS_", "AZURE_", "OPENAI_", "GOOGLE_", "GCLOUD_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("HOME", str(tmp_path))


def events(*data: Any) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(item).encode() for item in data)


class Server:
    """Answers each request alike, and keeps them."""

    def __init__(self, body: bytes, kind: str = "text/event-stream", status: int = 200) -> None:
        self._answer = (status, body, kind)
        self.asked: list[httpx.Request] = []

    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._handle)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.asked.append(request)
        status, body, kind = self._answer
        stream = httpx.ByteStream(body)
        return httpx.Response(status, headers={"content-type": kind}, stream=stream)


async def ask(model: Model) -> AssistantMessage:
    partial = PartialReply()
    async with model.stream(ModelRequest(messages=[UserMessage("hi")])) as deltas:
        async for delta in deltas:
            partial.add(delta)
    assert partial.complete is not None
    return partial.complete


async def asked_by(
    name: str, body: bytes, kind: str = "text/event-stream", **settings: Any
) -> httpx.Request:
    """The one request of a model."""
    server = Server(body, kind)
    reply = await ask(model_from_name(name, transport=server.transport, **settings))
    assert [call.name for call in reply.tool_calls] == ["f"]
    return server.asked[0]


# Azure.

ENDPOINT = "https://me.openai.azure.com"


@pytest.mark.parametrize(
    ("base_url", "settings", "url"),
    [
        (ENDPOINT, {}, "/openai/v1/chat/completions"),
        (ENDPOINT + "/", {}, "/openai/v1/chat/completions"),
        (ENDPOINT + "/openai/v1/", {}, "/openai/v1/chat/completions"),
        (ENDPOINT, {"api_version": "v1"}, "/openai/v1/chat/completions"),
        (
            ENDPOINT,
            {"api_version": "2024-10-21"},
            "/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21",
        ),
        (
            ENDPOINT + "/openai/deployments/x?api-version=2024-10-21",
            {},
            "/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21",
        ),
    ],
)
async def test_azure_is_asked_at_its_endpoint(base_url: str, settings: Any, url: str) -> None:
    request = await asked_by(
        "azure:my gpt", events(*CHAT), base_url=base_url, api_key="k" * 32, **settings
    )
    assert str(request.url) == ENDPOINT + url
    assert request.headers["api-key"] == "k" * 32
    assert json.loads(request.content)["model"] == "my gpt"


async def test_azure_responses_have_their_own_path() -> None:
    request = await asked_by(
        "azure-responses:gpt-5", events(*RESPONSES), base_url=ENDPOINT, api_key="k" * 32
    )
    assert str(request.url) == f"{ENDPOINT}/openai/v1/responses"


JWT = "eyJhbGciOiJub25lIn0.e30."


async def _token() -> str:
    return "opaque-token"


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        ({"api_key": lambda: "secret-key"}, ("api-key", "secret-key")),
        ({"api_key": JWT}, ("authorization", f"Bearer {JWT}")),
        ({"token": _token}, ("authorization", "Bearer opaque-token")),
    ],
)
async def test_azure_takes_a_key_or_a_token(settings: Any, header: tuple[str, str]) -> None:
    request = await asked_by("azure:gpt", events(*CHAT), base_url=ENDPOINT, **settings)
    assert request.headers[header[0]] == header[1]
    assert ("api-key" in request.headers) is (header[0] == "api-key")


async def test_azure_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", ENDPOINT)
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    with pytest.raises(ModelError, match="set AZURE_OPENAI_API_KEY or AZURE_OPENAI_AD_TOKEN"):
        await ask(model_from_name("azure:gpt"))
    monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", JWT)
    request = await asked_by("azure:gpt", events(*CHAT))
    assert request.url.params["api-version"] == "2024-10-21"
    assert request.headers["authorization"] == f"Bearer {JWT}"


async def test_other_makers_deployments_get_the_older_fields() -> None:
    from tether import ModelOptions

    server = Server(events(*CHAT))
    for name, limit in (
        ("azure:gpt-5", "max_completion_tokens"),
        ("azure:DeepSeek-V3", "max_tokens"),
    ):
        model = model_from_name(
            name, base_url=ENDPOINT, api_key="k" * 32, transport=server.transport
        )
        request = ModelRequest(
            messages=[UserMessage("hi")], options=ModelOptions(max_output_tokens=5)
        )
        async with model.stream(request) as deltas:
            async for _ in deltas:
                pass
        assert limit in json.loads(server.asked[-1].content)


# Vertex AI.


@pytest.mark.parametrize(
    ("name", "region", "url"),
    [
        (
            "gemini-2.5-flash",
            None,
            "https://aiplatform.googleapis.com/v1/projects/p/locations/global/publishers/google/models/gemini-2.5-flash",
        ),
        (
            "gemini-2.5-flash",
            "europe-west4",
            "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4/publishers/google/models/gemini-2.5-flash",
        ),
        (
            "gemini-2.5-flash",
            "eu",
            "https://aiplatform.eu.rep.googleapis.com/v1/projects/p/locations/eu/publishers/google/models/gemini-2.5-flash",
        ),
        (
            "endpoints/123",
            "us-central1",
            "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1/endpoints/123",
        ),
    ],
)
async def test_vertex_is_asked_in_its_region(name: str, region: str | None, url: str) -> None:
    settings: dict[str, Any] = {"project": "p", "region": region, "token": _token}
    request = await asked_by(f"vertex:{name}", events(*GOOGLE), **settings)
    assert str(request.url) == f"{url}:streamGenerateContent?alt=sse"
    assert request.headers["authorization"] == "Bearer opaque-token"
    body = json.dumps(WHOLE["google"]).encode()
    request = await asked_by(f"vertex:{name}", body, "application/json", stream=False, **settings)
    assert str(request.url) == f"{url}:generateContent"


class _Credentials:
    """What google-auth gives out."""

    def __init__(self) -> None:
        self.valid, self.token, self.refreshed = False, "", 0

    def refresh(self, _: object) -> None:
        self.valid, self.token = True, f"token-{self.refreshed}"
        self.refreshed += 1


async def test_vertex_keeps_the_token_of_google_auth(monkeypatch: pytest.MonkeyPatch) -> None:
    import google.auth

    found = _Credentials()
    monkeypatch.setattr(google.auth, "default", lambda scopes: (found, "project"))
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    server = Server(events(*GOOGLE))
    model = model_from_name("vertex:gemini-2.5-flash", transport=server.transport)
    for _ in range(2):
        await ask(model)
    found.valid = False
    await ask(model)
    sent = [request.headers["authorization"] for request in server.asked]
    assert sent == ["Bearer token-0", "Bearer token-0", "Bearer token-1"]


async def test_vertex_without_credentials_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError

    def nothing(scopes: object) -> Any:
        raise DefaultCredentialsError("none")  # type: ignore[no-untyped-call, unused-ignore]

    monkeypatch.setattr(google.auth, "default", nothing)
    with pytest.raises(ModelError, match="set GOOGLE_APPLICATION_CREDENTIALS") as caught:
        await ask(model_from_name("vertex:gemini-2.5-flash", project="p"))
    assert caught.value.kind == "authentication"


# Bedrock.

AWS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG"}


def signature(request: httpx.Request, secret: str, region: str) -> str:
    """Sign a request once more, after Amazon's description of Signature Version 4."""
    date = request.headers["x-amz-date"]
    names = request.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0]
    signed = "".join(f"{name}:{request.headers[name]}\n" for name in names.split(";"))
    path = quote(urlsplit(str(request.url)).path, safe="/~")
    canonical = ["POST", path, "", signed, names, hashlib.sha256(request.content).hexdigest()]
    scope = f"{date[:8]}/{region}/bedrock/aws4_request"
    digest = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", date, scope, digest])
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


async def test_bedrock_requests_are_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session-token")
    body = bedrock.framed(bedrock.STREAM)
    request = await asked_by(f"bedrock:{CLAUDE}", body, bedrock.KIND, region="eu-central-1")
    model = quote(CLAUDE, safe="")
    assert str(request.url) == (
        f"https://bedrock-runtime.eu-central-1.amazonaws.com/model/{model}/converse-stream"
    )
    assert request.headers["x-amz-security-token"] == "session-token"
    told = request.headers["authorization"]
    assert told.startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert told.endswith(
        f"Signature={signature(request, AWS['AWS_SECRET_ACCESS_KEY'], 'eu-central-1')}"
    )


async def test_bedrock_takes_credentials_of_botocore() -> None:
    given = Credentials("AKIDOTHER", "other-secret")
    body = json.dumps(bedrock.WHOLE).encode()
    request = await asked_by(
        f"bedrock:{CLAUDE}",
        body,
        "application/json",
        region="us-east-1",
        credentials=given,
        stream=False,
    )
    assert str(request.url).endswith("/converse")
    assert "Credential=AKIDOTHER/" in request.headers["authorization"]
    assert request.headers["authorization"].endswith(
        f"Signature={signature(request, 'other-secret', 'us-east-1')}"
    )


@pytest.mark.parametrize("from_environment", [True, False])
async def test_bedrock_takes_a_key(monkeypatch: pytest.MonkeyPatch, from_environment: bool) -> None:
    settings = {"api_key": "bedrock-api-key"}
    if from_environment:
        monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", settings.pop("api_key"))
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    body = bedrock.framed(bedrock.STREAM)
    request = await asked_by("bedrock:amazon.nova-pro-v1:0", body, bedrock.KIND, **settings)
    assert request.headers["authorization"] == "Bearer bedrock-api-key"
    assert request.url.host == "bedrock-runtime.us-west-2.amazonaws.com"
    assert "x-amz-date" not in request.headers


async def test_bedrock_reads_the_profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "config").write_text(
        "[profile work]\nregion = cn-north-1\naws_access_key_id = AKIDWORK\n"
        "aws_secret_access_key = s\n"
    )
    body = bedrock.framed(bedrock.STREAM)
    request = await asked_by(f"bedrock:{CLAUDE}", body, bedrock.KIND, profile="work")
    assert request.url.host == "bedrock-runtime.cn-north-1.amazonaws.com.cn"
    assert "Credential=AKIDWORK/" in request.headers["authorization"]


async def test_bedrock_without_credentials_says_what_to_set() -> None:
    with pytest.raises(ModelError, match="set AWS_ACCESS_KEY_ID and AWS_SECRET") as caught:
        await ask(model_from_name(f"bedrock:{CLAUDE}", region="us-east-1"))
    assert caught.value.kind == "authentication"


async def test_no_credential_stands_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-session-token")
    text = (
        "The request signature we calculated does not match; x-amz-security-token:a-session-token"
    )
    server = Server(json.dumps({"message": text}).encode(), "application/json", 403)
    with pytest.raises(ModelError) as caught:
        await ask(
            model_from_name(f"bedrock:{CLAUDE}", region="us-east-1", transport=server.transport)
        )
    assert caught.value.kind == "authentication"
    assert "a-session-token" not in str(caught.value)


# What is missing is named.


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: model_from_name("azure:gpt"), "set AZURE_OPENAI_ENDPOINT, or pass base_url="),
        (lambda: model_from_name("vertex:gemini", token="t"), "set GOOGLE_CLOUD_PROJECT or"),
        (
            lambda: model_from_name("bedrock:m"),
            "set AWS_REGION or AWS_DEFAULT_REGION, or pass region=",
        ),
        (lambda: model_from_name("azure:gpt", base_url="me.azure.com"), "http:// or https://"),
    ],
)
def test_what_is_missing_is_named(make: Callable[[], Model], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        make()
    assert words in str(caught.value)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tether.models.clouds.aws", raising=False)
    monkeypatch.setitem(sys.modules, "botocore.auth", None)
    with pytest.raises(UsageError, match=r"pip install 'tether\[bedrock\]'"):
        model_from_name("bedrock:m", region="us-east-1")
    monkeypatch.setitem(sys.modules, "google.auth", None)
    with pytest.raises(UsageError, match=r"pip install 'tether\[vertex\]', or pass token="):
        vertex_module.vertex("gemini", project="p")
    vertex_module.vertex("gemini", project="p", token="t")


# What is known of them.


@pytest.mark.parametrize(
    "name",
    [f"bedrock:{CLAUDE}", "azure:gpt-4o", "azure-responses:gpt-5", "vertex:gemini-2.5-flash"],
)
def test_prices_and_windows_are_known(name: str) -> None:
    from tether import Usage

    provider, _, model = name.partition(":")
    reply = AssistantMessage("x", model=model, usage=Usage(input_tokens=1000, output_tokens=1000))
    assert price_of(reply, provider) > 0
    assert (context_window(name) or 0) >= 100_000


def test_the_command_knows_a_default_for_their_keys() -> None:
    azure = {"AZURE_OPENAI_API_KEY": "k", "AZURE_OPENAI_ENDPOINT": ENDPOINT}
    assert default_model(azure) is None
    assert default_model({**azure, "AZURE_OPENAI_DEPLOYMENT": "prod"}) == "azure:prod"
    aws = {"AWS_BEARER_TOKEN_BEDROCK": "k", "AWS_REGION": "us-east-1"}
    assert (default_model(aws) or "").startswith("bedrock:global.anthropic.claude")
