"""Real traffic, replayed by a real server, decoded as the providers' own SDKs decode it."""

import json
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.models.replay import Exchange, pieces, serving

from tether import Agent, AssistantMessage, ModelError, ModelRequest, UserMessage
from tether.deltas import PartialReply, ReplyEnd
from tether.messages import ProviderItem
from tether.model import RetryPolicy
from tether.models.catalogue import PROVIDERS, model_from_name

FOLDER = Path(__file__).parents[2].parent / "shared" / "recordings"

APIS = {
    "openai-chat": "openai-chat",
    "openai-responses": "openai",
    "anthropic-messages": "anthropic",
    "google-generate": "google",
}
"""Folder, and the provider whose model speaks that API."""

DIFFERENCES: dict[tuple[str, str], str] = {
    ("openai-chat/openrouter-stream-error-0", "stop_reason"): (
        "an error came after the reason; the reply is marked as failed"
    ),
}
"""What is deliberately not as the SDK has it, and why."""

STOP_REASONS = {
    None: "stop",
    "stop": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "pause",
    "completed": "stop",
    "STOP": "stop",
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "MAX_TOKENS": "length",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
}

KINDS = {
    "AuthenticationError": {"authentication"},
    "PermissionDeniedError": {"permission", "rate_limit"},
    "NotFoundError": {"not_found"},
    "RateLimitError": {"rate_limit"},
    "BadRequestError": {"invalid_request", "context_overflow", "content_filter"},
    "ClientError": {"invalid_request", "not_found", "rate_limit", "permission"},
    "UnprocessableEntityError": {"invalid_request", "context_overflow"},
    "ConflictError": {"invalid_request"},
    "InternalServerError": {"server", "overloaded", "timeout"},
    "ServerError": {"server", "overloaded", "timeout"},
    "APIError": {"invalid_request", "server"},
}
"""The SDKs' exceptions, and the kinds they may be here."""


def _recordings() -> Iterator[Any]:
    for folder, provider in APIS.items():
        for path in sorted((FOLDER / folder).glob("*/meta.json")):
            name = f"{folder}/{path.parent.name}"
            marks = (
                [] if provider in PROVIDERS else [pytest.mark.skip(f"{provider}: is not there yet")]
            )
            yield pytest.param(path.parent, provider, id=name, marks=marks)


RECORDINGS = list(_recordings())
if not RECORDINGS:
    pytest.skip("the folder shared/recordings is not here", allow_module_level=True)


def _cuts(body: bytes, how: str) -> Iterable[int]:
    if how == "whole":
        return []
    if how == "bytes":
        return range(len(body))
    if how == "small pieces":
        return range(0, len(body), 1 + len(body) // 3_000)
    return random.Random(len(body)).sample(range(len(body)), min(50, len(body)))


@pytest.fixture(scope="module")
def replayed(tell: Callable[[str], None]) -> Iterator[dict[str, set[str]]]:
    """Note what was replayed, and say so at the end."""
    seen: dict[str, set[str]] = {}
    yield seen
    told = ", ".join(f"{api} {len(names)}" for api, names in sorted(seen.items()))
    tell(f"recordings replayed: {told}")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """The two; that tasks may begin eagerly is tried elsewhere."""
    return request.param


@pytest.mark.parametrize(
    "how",
    ["whole", "small pieces", "random", pytest.param("bytes", marks=pytest.mark.thorough)],
)
@pytest.mark.parametrize(("folder", "provider"), RECORDINGS)
async def test_a_recording_is_decoded_as_by_its_providers_sdk(
    folder: Path, provider: str, how: str, replayed: dict[str, set[str]]
) -> None:
    meta = json.loads((folder / "meta.json").read_text())
    expected = json.loads((folder / "expected.json").read_text())
    answer = folder / ("response.sse" if (folder / "response.sse").exists() else "response.json")
    body = answer.read_bytes()

    async def handler(exchange: Exchange) -> None:
        kind = meta["content_type"] or "application/json"
        await exchange.answer(*pieces(body, _cuts(body, how)), status=meta["status"], kind=kind)

    message, error = None, None
    partial = PartialReply()
    async with serving(handler) as server:
        model = model_from_name(
            f"{provider}:{meta['model'] or 'model'}",
            base_url=server.url,
            api_key="secret",
            retry=RetryPolicy(attempts=1),
        )
        try:
            async with model.stream(ModelRequest(messages=[UserMessage("hi")])) as deltas:
                async for delta in deltas:
                    partial.add(delta)
                    if isinstance(delta, ReplyEnd):
                        message = delta.message
        except ModelError as caught:
            error = caught
    replayed.setdefault(folder.parent.name, set()).add(folder.name)
    if "error_status" in expected:
        assert error is not None
        assert error.message == expected["error_message"]
        assert error.kind in KINDS[expected["sdk_exception"]]
        return
    if "error_message" in expected:
        assert error is not None
        assert error.message == expected["error_message"]
        message = partial.incomplete("error", error.failure)
        assert error.partial is not None
        assert error.partial.content == message.content
    elif error is not None:
        raise error
    assert message is not None
    assert _found(message) == _wanted(expected, message, f"{folder.parent.name}/{folder.name}")


PAUSED = [
    FOLDER / "anthropic-messages" / f"anthropic-pause-turn-web-search-streaming-vcr-{part}"
    for part in range(2)
]


@pytest.mark.skipif(not all(map(Path.exists, PAUSED)), reason="the recording is not here")
async def test_a_run_goes_on_where_the_provider_paused() -> None:
    left = list(PAUSED)
    asked: list[Any] = []

    async def handler(exchange: Exchange) -> None:
        asked.append(json.loads(exchange.body)["messages"])
        await exchange.answer((left.pop(0) / "response.sse").read_bytes())

    async with serving(handler) as server:
        agent = Agent(model_from_name("anthropic:claude", base_url=server.url, api_key="secret"))
        result = await agent.prompt("Search.")
        left += PAUSED[1:]
        await agent.prompt("And now?")
    assert result.stop_reason == "stop"
    assert [(m.role, getattr(m, "stop_reason", "")) for m in result.messages] == [
        ("user", ""),
        ("assistant", "pause"),
        ("assistant", "stop"),
    ]
    recorded = json.loads((PAUSED[1] / "request.json").read_text())["messages"][1]["content"]
    continued, later = ([block["type"] for block in talk[1]["content"]] for talk in asked[1:])
    assert continued == [block["type"] for block in recorded]
    # Afterwards both parts are one turn, in which nothing that was begun lacks its result.
    assert later[: len(continued)] == continued
    assert later.count("server_tool_use") == later.count("web_search_tool_result")
    assert [talk["role"] for talk in asked[2]] == ["user", "assistant", "user"]


def _found(message: AssistantMessage) -> dict[str, Any]:
    return {
        "text": message.text,
        "thinking": message.thinking,
        "tool_calls": [(call.name, dict(call.arguments)) for call in message.tool_calls],
        "ids": [call.id for call in message.tool_calls],
        "other_items": [block.data for block in message.content if isinstance(block, ProviderItem)],
        "stop_reason": message.stop_reason,
        "usage": (
            message.usage.input_tokens,
            message.usage.output_tokens,
            message.usage.cache_read_tokens,
            message.usage.reasoning_tokens,
        ),
        "response_id": message.response_id or "",
        "model": message.model,
    }


def _wanted(expected: dict[str, Any], message: AssistantMessage, name: str) -> dict[str, Any]:
    found = _found(message)
    wanted = {
        "text": expected["text"] + (expected.get("refusal") or ""),
        "thinking": expected["thinking"],
        "tool_calls": [(call["name"], call["arguments"]) for call in expected["tool_calls"]],
        # Where the provider sends no id, ours is as good as any.
        "ids": [
            call["id"] or ours
            for call, ours in zip(expected["tool_calls"], found["ids"], strict=False)
        ],
        "other_items": found["other_items"]
        if [_type(item) for item in found["other_items"]] == expected["other_items"]
        else expected["other_items"],
        "stop_reason": _stop_reason(expected),
        "usage": _usage(expected["usage_raw"] or {}),
        "response_id": expected["response_id"] or "",
        "model": expected["model"],
    }
    for aspect in wanted:
        if (name, aspect) in DIFFERENCES:
            wanted[aspect] = found[aspect]
    return wanted


def _type(item: Any) -> str:
    return str(item["type"]) if "type" in item else next(iter(item))


def _stop_reason(expected: dict[str, Any]) -> str:
    if "error_message" in expected:
        return "error"
    if expected["tool_calls"]:
        return "tool_calls"
    return STOP_REASONS[expected["stop_reason_raw"]]


def _usage(raw: dict[str, Any]) -> tuple[int, int, int, int]:
    """Count the provider's own numbers by our rule, written here once more and independently."""
    raw = {key: value for key, value in raw.items() if value is not None}
    if "prompt_tokens" in raw:
        asked, answered = raw["prompt_tokens"], raw["completion_tokens"]
        cached = _inner(raw, "prompt_tokens_details", "cached_tokens")
        thought = _inner(raw, "completion_tokens_details", "reasoning_tokens")
        if thought and raw.get("total_tokens") == asked + answered + thought:
            answered += thought
        return asked, answered, cached or raw.get("prompt_cache_hit_tokens", 0), thought
    if "promptTokenCount" in raw:
        thought, tools = raw.get("thoughtsTokenCount", 0), raw.get("toolUsePromptTokenCount", 0)
        asked, answered = raw["promptTokenCount"] + tools, raw.get("candidatesTokenCount", 0)
        return asked, answered + thought, raw.get("cachedContentTokenCount", 0), thought
    thought = _inner(raw, "output_tokens_details", "thinking_tokens")
    if "cache_read_input_tokens" in raw:
        read, written = (raw.get(f"cache_{how}_input_tokens", 0) for how in ("read", "creation"))
        return raw["input_tokens"] + read + written, raw["output_tokens"], read, thought
    if "input_tokens_details" in raw or "output_tokens_details" in raw:
        cached = _inner(raw, "input_tokens_details", "cached_tokens")
        thought = _inner(raw, "output_tokens_details", "reasoning_tokens")
        return raw["input_tokens"], raw["output_tokens"], cached, thought
    return raw.get("input_tokens", 0), raw.get("output_tokens", 0), 0, 0


def _inner(raw: dict[str, Any], details: str, name: str) -> int:
    return int((raw.get(details) or {}).get(name) or 0)
