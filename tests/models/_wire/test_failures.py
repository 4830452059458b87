"""What providers say when they fail, and the kinds it is sorted into."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tether.models._wire.failures import error_from_response, error_from_stream


def openai(message: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", **fields}}


OVERFLOWS: list[Any] = [
    openai("Your input exceeds the context window of this model", code="context_length_exceeded"),
    openai(
        "This model's maximum context length is 65536 tokens. However, you requested 70000 tokens"
    ),
    openai("This endpoint's maximum context length is 8192 tokens.", code=400),
    openai("prompt is too long: 208310 tokens > 200000 maximum"),
    openai("input length and `max_tokens` exceed context limit: 199000 + 20000 > 200000"),
    openai(
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
    ),
    openai("Please reduce the length of the messages or completion."),
    openai("the request exceeds the available context size", type="exceed_context_size_error"),
    openai("prompt token count of 130000 exceeds the limit of 128000"),
    openai("The input (9000 tokens) is longer than the model's context length (8192 tokens)."),
    {"message": "Input is too long for requested model."},
    {"code": "x", "error": "This model's maximum prompt length is 131072 but it contains 537812"},
    {"object": "error", "message": "Prompt contains 65673 tokens, too large for model with 32768"},
    {"message": "too many tokens: total number of tokens in the prompt cannot exceed 4081"},
    {"error": "Input validation error: `inputs` must have less than 1024 tokens. Given: 2000"},
    {"error": "`inputs` tokens + `max_new_tokens` must be <= 4097. Given: 5000 `inputs` tokens"},
    {"error": "The decoder prompt (length 5000) is longer than the maximum model length of 4096."},
    {"error": "prompt too long; exceeded max context length by 512 tokens"},
    openai("<400> InternalError.Algo: Range of input length should be [1, 129024]"),
    openai("Prompt exceeds max length", code="1261"),
    openai("Prompt tokens limit exceeded: 8194 > 7462"),
    openai("total message size 4500000 exceeds limit 4194304"),
]


@pytest.mark.parametrize("body", OVERFLOWS)
def test_too_long_a_conversation_is_told_from_other_mistakes(body: Any) -> None:
    assert error_from_response(400, {}, json.dumps(body).encode()).kind == "context_overflow"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (
            413,
            openai("Request exceeds the maximum size", type="request_too_large"),
            "context_overflow",
        ),
        # Limits per minute are not overflow, whatever they speak of.
        (
            413,
            openai("Request too large: tokens per minute", code="rate_limit_exceeded"),
            "rate_limit",
        ),
        (429, openai("Rate limit reached for your context window"), "rate_limit"),
        # Money that is spent does not come back by waiting, whatever the status.
        (429, openai("You exceeded your current quota", code="insufficient_quota"), "quota"),
        (429, openai("check your plan", type="exceeded_current_quota_error"), "quota"),
        (429, openai("Insufficient balance or no resource package. Please recharge."), "quota"),
        (400, openai("Your credit balance is too low to access the Anthropic API."), "quota"),
        (400, openai("You have reached your specified API usage limits."), "quota"),
        (400, openai("Billing hard limit has been reached"), "quota"),
        (402, {"error": "You have exceeded your monthly included credits"}, "quota"),
        (402, openai("This request requires more credits, or fewer max_tokens"), "quota"),
        (402, {}, "quota"),
        (403, {"code": "x", "error": "Your team has used all available credits"}, "quota"),
        (429, openai("You exceeded your current quota", code=429), "rate_limit"),
        (429, openai("Quota exceeded for requests per minute"), "rate_limit"),
        (
            400,
            openai("max_tokens is too large: 100000. This model supports at most 16384"),
            "invalid_request",
        ),
        # Words in the name of a tool mean nothing.
        (
            400,
            openai(
                "Invalid schema for function 'check_permission': quota, billing, authentication"
            ),
            "invalid_request",
        ),
        (400, openai("filtered", code="content_filter"), "content_filter"),
        (400, openai("triggered our content management policy"), "content_filter"),
        (400, openai("API key not valid. Please pass a valid API key."), "authentication"),
        (
            400,
            {"code": "invalid-argument", "error": "Incorrect API key provided: x"},
            "authentication",
        ),
        (401, {}, "authentication"),
        (403, openai("no", type="permission_error"), "permission"),
        (403, openai("You do not have access to this model"), "permission"),
        (402, openai("Insufficient credits", code=402), "quota"),
        (404, openai("The model `x` does not exist", code="model_not_found"), "not_found"),
        (400, openai("foo is not a valid model ID", code=400), "not_found"),
        (404, {"error": "model 'x' not found, try pulling it first"}, "not_found"),
        (500, openai("the request exceeds the available context size"), "context_overflow"),
        (500, {}, "server"),
        (502, {}, "server"),
        (503, openai("The model is overloaded"), "overloaded"),
        (
            529,
            {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
            "overloaded",
        ),
        (408, {}, "timeout"),
        (504, {}, "timeout"),
        (418, {}, "invalid_request"),
    ],
)
def test_a_failure_is_sorted_by_status_code_and_words(status: int, body: Any, kind: str) -> None:
    assert error_from_response(status, {}, json.dumps(body).encode()).kind == kind


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "m"}}, "m"),
        ([{"error": {"message": "m", "status": "X"}}], "m"),
        ({"error": "m"}, "m"),
        ({"error": ["m", "n"]}, "m"),
        ({"errors": [{"message": "m"}]}, "m"),
        ({"message": "m"}, "m"),
        ({"detail": "m"}, "m"),
        ({"detail": [{"loc": ["body"], "msg": "m"}, {"msg": "n"}]}, "m; n"),
        ({"object": "error", "message": {"detail": [{"msg": "m"}]}}, "m"),
        ("m", "m"),
        ({}, "the server answered HTTP 400 with: {}"),
        ({"error": {"message": "x" * 100_000}}, f"{'x' * 8_000} ..."),
    ],
)
def test_the_message_is_found_in_whatever_shape_it_comes(body: Any, message: str) -> None:
    assert error_from_response(400, {}, json.dumps(body).encode()).message == message


@pytest.mark.parametrize(
    ("headers", "body", "request_id"),
    [
        ({"x-request-id": "a", "cf-ray": "b"}, {"request_id": "c"}, "a"),
        ({"cf-ray": "b"}, {}, "b"),
        ({}, {"request_id": "c", "error": {"message": "m"}}, "c"),
        ({}, {}, None),
    ],
)
def test_the_name_of_a_request_is_kept(headers: Any, body: Any, request_id: str | None) -> None:
    assert error_from_response(400, headers, json.dumps(body).encode()).request_id == request_id


NOW = datetime(2026, 11, 20, 22, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "Fri, 20 Nov 2026 22:00:30 GMT"}, 30.0),
        ({"retry-after": "Fri, 20 Nov 2026 23:00:30 +0100"}, 1830.0 - 1800.0),
        ({"retry-after": "Fri, 20 Nov 2026 21:00:00 GMT"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "Fri, 99 Nov 99999 99:99:99 GMT"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_both_its_forms(headers: Any, seconds: float | None) -> None:
    assert error_from_response(429, headers, b"", now=NOW).retry_after == seconds


def test_a_wait_that_stands_in_the_body_is_read() -> None:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.07s"}
    body = [{"error": {"code": 429, "message": "m", "details": [{}, info]}}]
    assert error_from_response(429, {}, json.dumps(body).encode()).retry_after == 34.07


def test_what_a_service_behind_the_provider_said_counts_for_the_kind() -> None:
    metadata = {"raw": '{"error": "prompt is too long: 3 tokens > 2"}', "provider_name": "x"}
    error = error_from_stream(
        {"code": 400, "message": "Provider returned error", "metadata": metadata}
    )
    assert (error.kind, error.message) == ("context_overflow", "Provider returned error")


@pytest.mark.parametrize(
    ("error", "kind", "message", "status"),
    [
        ({"type": "overloaded_error", "message": "Overloaded"}, "overloaded", "Overloaded", None),
        ({"code": 502, "message": "m"}, "server", "m", 502),
        (
            {"status_code": 400, "code": "tool_use_failed", "message": "m"},
            "invalid_request",
            "m",
            400,
        ),
        ({"code": "429", "message": "m"}, "rate_limit", "m", 429),
        ("m", "server", "m", None),
        ({}, "server", "the server reported an error without a message", None),
        (None, "server", "the server reported an error without a message", None),
    ],
)
def test_an_error_inside_a_stream_is_sorted_likewise(
    error: Any, kind: str, message: str, status: int | None
) -> None:
    found = error_from_stream(error)
    assert (found.kind, found.message, found.status) == (kind, message, status)


@given(st.sampled_from([200, 301, 400, 401, 429, 500]), st.binary(max_size=80))
def test_any_body_gives_an_error_of_bounded_length(status: int, body: bytes) -> None:
    assert len(error_from_response(status, {}, body).message) < 500


@pytest.mark.parametrize("nested", ["[", '{"error":', '{"message":{"detail":'])
def test_a_body_nested_without_end_gives_an_error(nested: str) -> None:
    for depth in (10, 500, 900, 100_000):
        assert error_from_response(400, {}, (nested * depth).encode()).kind == "invalid_request"
        closed = (
            nested * depth + "1" + "".join({"[": "]", "{": "}"}.get(c, "") for c in nested) * depth
        )
        assert error_from_response(400, {}, closed.encode()).kind == "invalid_request"


def test_what_the_model_wrote_in_place_of_a_call_is_told() -> None:
    error = {
        "message": "Failed to call a function.",
        "type": "invalid_request_error",
        "code": "tool_use_failed",
        "failed_generation": '<function=f>{"x": 1</function>',
    }
    answer = error_from_response(400, {}, json.dumps({"error": error}).encode())
    for found in (answer, error_from_stream(error)):
        assert found.kind == "invalid_request"
        assert found.failed_generation == error["failed_generation"]
    assert error_from_response(400, {}, b"{}").failed_generation is None
