"""Options that a server refuses are left out, and stay so for the connection."""

import json
from typing import Any

import pytest
from tests.models.canned import Answer, Canned, events
from tests.models.streams import PROVIDERS, STREAMS

from tether import Model, ModelError, ModelOptions, ModelRequest, UserMessage
from tether.model import ConnectableModel, ToolSpec
from tether.models._wire.refusals import option_refused, without_options

TOOLS = [ToolSpec("f", "", {"type": "object"})]
SUMMARY = "Your organization must be verified to generate reasoning summaries."
NO_EFFORT = "Unsupported value: 'none' is not supported with the 'gpt-5' model."
FORCED = "Thinking mode does not support this tool_choice"


def refused(message: str, status: int = 400, **more: Any) -> Answer:
    error = {"message": message, "type": "invalid_request_error", **more}
    return Answer(json.dumps({"error": error}).encode(), status, "application/json")


def whole(api: str) -> Answer:
    return Answer(events(*STREAMS[api][1]))


async def ask(model: Model, **options: Any) -> None:
    request = ModelRequest(
        messages=[UserMessage("hi")], tools=TOOLS, options=ModelOptions(**options)
    )
    async with model.stream(request) as deltas:
        async for _ in deltas:
            pass


ROWS: list[tuple[str, dict[str, Any], Answer, Any, Any]] = [
    (
        "responses",
        {"thinking": "low"},
        refused(SUMMARY, param="reasoning.summary", code="unsupported_value"),
        {"effort": "low", "summary": "auto"},
        {"effort": "low"},
    ),
    (
        "responses",
        {},
        refused("Encrypted content is not supported with this model.", param="include"),
        ["reasoning.encrypted_content"],
        None,
    ),
    (
        "responses",
        {"thinking": "off"},
        refused(NO_EFFORT, param="reasoning.effort"),
        {"effort": "none"},
        None,
    ),
    (
        "responses",
        {"temperature": 0.5},
        refused("Unsupported parameter: 'temperature' is not supported with this model."),
        0.5,
        None,
    ),
    ("chat", {"thinking": "minimal"}, refused("reasoning_effort: unsupported"), "minimal", None),
    ("chat", {"tool_choice": "required"}, refused(FORCED), "required", None),
    (
        "chat",
        {},
        refused("stream_options: Extra inputs are not permitted", 422),
        {"include_usage": True},
        None,
    ),
    (
        "anthropic",
        {"tool_choice": ("tool", "f")},
        refused(FORCED),
        {"type": "tool", "name": "f"},
        None,
    ),
    (
        "google",
        {"thinking": "low"},
        refused("Thinking level is not supported for this model."),
        {"includeThoughts": True, "thinkingLevel": "low"},
        None,
    ),
]
FIELDS = [
    *("reasoning", "include", "reasoning", "temperature", "reasoning_effort", "tool_choice"),
    *("stream_options", "tool_choice", "thinkingConfig"),
]


@pytest.mark.parametrize(("row", "field"), list(zip(ROWS, FIELDS, strict=True)))
async def test_a_refused_option_is_left_out_and_stays_out(row: Any, field: str) -> None:
    api, options, refusal, before, after = row
    server = Canned([refusal, whole(api)])
    model = server.model(PROVIDERS[api].replace("google:m", "google:gemini-3-flash"))
    assert isinstance(model, ConnectableModel)
    async with model.connected() as connected:
        await ask(connected, **options)
        await ask(connected, **options)
    sent = [{**body, **body.get("generationConfig", {})}.get(field) for body in server.asked]
    assert sent == [before, after, after]
    # Another connection may be another organisation's, or a week later.
    await ask(model, **options)
    assert {**server.asked[-1], **server.asked[-1].get("generationConfig", {})}[field] == before


async def test_each_option_is_refused_in_its_turn() -> None:
    sealed = refused("Encrypted content is not supported with this model.", param="include")
    server = Canned([refused(SUMMARY, param="reasoning.summary"), sealed, whole("responses")])
    await ask(server.model("openai:m"), thinking="low")
    assert len(server.asked) == 3
    assert "include" not in server.asked[2]
    assert server.asked[2]["reasoning"] == {"effort": "low"}


@pytest.mark.parametrize(
    "answer",
    [
        refused("Invalid value: 'messages'"),
        refused(FORCED, 403),
        # What was not sent cannot be left out.
        refused("tool_choice is not supported"),
        refused("temperature is not supported"),
    ],
)
async def test_any_other_refusal_is_raised_at_once(answer: Answer) -> None:
    server = Canned([answer])
    with pytest.raises(ModelError):
        await ask(server.model("openai-chat:m"), tool_choice="auto")
    assert len(server.asked) == 1


async def test_a_refusal_that_goes_on_is_raised() -> None:
    server = Canned([refused(FORCED)])
    with pytest.raises(ModelError, match="Thinking mode"):
        await ask(server.model("openai-chat:m"), tool_choice="required", thinking="low")
    assert 2 <= len(server.asked) <= 3


def test_the_name_of_the_output_limit_is_the_one_that_the_server_knows() -> None:
    older = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    newer = "max_completion_tokens: Extra inputs are not permitted"
    for before, answer, after in (
        ("max_tokens", older, "max_completion_tokens"),
        ("max_completion_tokens", newer, "max_tokens"),
    ):
        name = option_refused({before: 9}, answer.encode(), ())
        assert name is not None
        assert without_options({before: 9}, [name]) == {after: 9}


@pytest.mark.parametrize(
    ("body", "answer", "name"),
    [
        ({"reasoning_effort": "low"}, '"qwen2.5" does not support thinking', "thinking"),
        ({"reasoning_effort": "low"}, "Argument not supported: reasoningEffort", "effort"),
        (
            {"reasoning_effort": "high"},
            '{"loc":["body","reasoning_effort"],"msg":"Extra inputs are not permitted"}',
            "effort",
        ),
        (
            {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}},
            "Budget 0 is invalid. This model only works in thinking mode.",
            "thinking",
        ),
        (
            {"thinking": {"type": "adaptive"}},
            "adaptive thinking is not supported on this model",
            "thinking",
        ),
        (
            {"tool_choice": {"type": "any"}},
            "Thinking may not be enabled when tool_choice forces tool use.",
            "forced call",
        ),
        ({"tool_choice": {"type": "auto"}}, "tool_choice is not supported", None),
        ({"temperature": 3}, "temperature: range: 0..1", None),
        (
            {"max_completion_tokens": 99999},
            "max_completion_tokens is too large: this model supports at most 16384",
            None,
        ),
        ({"messages": []}, "messages: at least one is required", None),
    ],
)
def test_an_option_is_found_by_the_words_that_refuse_it(
    body: Any, answer: str, name: str | None
) -> None:
    assert option_refused(body, answer.encode(), ()) == name
    if name is not None:
        assert without_options(body, [name]) == {}


# DeepSeek thinks by default, and then cannot be forced to call a tool.


@pytest.mark.parametrize("choice", ["required", ("tool", "f")])
@pytest.mark.parametrize("level", [None, "high"])
async def test_thinking_is_off_beside_a_forced_call(choice: Any, level: Any) -> None:
    server = Canned([whole("chat")])
    await ask(server.model("deepseek:deepseek-chat"), tool_choice=choice, thinking=level)
    [body] = server.asked
    assert body["thinking"] == {"type": "disabled"}
    assert "reasoning_effort" not in body
    await ask(server.model("deepseek:deepseek-chat"), tool_choice="auto", thinking=level)
    assert server.asked[-1].get("thinking") == (None if level is None else {"type": "enabled"})


# Hints.


@pytest.mark.parametrize(
    ("name", "settings", "hint"),
    [
        ("groq:m", {"api_key": None}, "the key for groq is read from GROQ_API_KEY"),
        ("google:m", {"api_key": None}, "is read from GEMINI_API_KEY or GOOGLE_API_KEY"),
        ("groq:m", {"api_key": "secret"}, "the key for groq is passed as api_key"),
        ("ollama:m", {"api_key": None}, "the key for ollama is not set: pass api_key"),
    ],
)
async def test_a_refused_key_says_whose_it_is_and_where_it_is_from(
    name: str, settings: Any, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("GROQ_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.setenv(variable, "wrong")
    with pytest.raises(ModelError) as caught:
        await ask(Canned([refused("bad key", 401)]).model(name, **settings))
    assert caught.value.message == "bad key"
    assert hint in str(caught.value)


async def test_what_is_not_found_has_its_address() -> None:
    model = Canned([refused("no", 404)]).model("groq:m", base_url="http://u:p@127.0.0.1:1/v1?k=1")
    with pytest.raises(ModelError) as caught:
        await ask(model)
    assert "POST http://127.0.0.1:1/v1/chat/completions" in str(caught.value)
    assert "u:p" not in str(caught.value)
