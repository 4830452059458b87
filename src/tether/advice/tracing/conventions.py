"""The names of OpenTelemetry's conventions for generative AI, in one table, and how our words are said in theirs.

The conventions are still in development: names move, and this is the one place that has them.
"""

from typing import Final

from tether import Model
from tether.models.catalogue import own_server

__all__ = (
    "DETAILS_EVENT",
    "FINISH_REASONS",
    "SCHEMA_URL",
    "VERSION",
    "Name",
    "provider_and_model",
    "server_of",
)

VERSION: Final = "1.44.0"
"""Of the semantic conventions."""

SCHEMA_URL: Final = f"https://opentelemetry.io/schemas/{VERSION}"


class Name:
    """Names of attributes."""

    OPERATION: Final = "gen_ai.operation.name"
    PROVIDER: Final = "gen_ai.provider.name"
    AGENT: Final = "gen_ai.agent.name"
    CONVERSATION: Final = "gen_ai.conversation.id"
    REQUEST_MODEL: Final = "gen_ai.request.model"
    TEMPERATURE: Final = "gen_ai.request.temperature"
    MAX_TOKENS: Final = "gen_ai.request.max_tokens"
    STOP_SEQUENCES: Final = "gen_ai.request.stop_sequences"
    STREAM: Final = "gen_ai.request.stream"
    RESPONSE_MODEL: Final = "gen_ai.response.model"
    RESPONSE_ID: Final = "gen_ai.response.id"
    FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
    FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
    INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
    OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
    CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
    CACHE_WRITE_TOKENS: Final = "gen_ai.usage.cache_creation.input_tokens"
    REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
    TOKEN_TYPE: Final = "gen_ai.token.type"
    TOOL: Final = "gen_ai.tool.name"
    TOOL_TYPE: Final = "gen_ai.tool.type"
    TOOL_DESCRIPTION: Final = "gen_ai.tool.description"
    CALL_ID: Final = "gen_ai.tool.call.id"
    CALL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
    CALL_RESULT: Final = "gen_ai.tool.call.result"
    SYSTEM: Final = "gen_ai.system_instructions"
    TOOLS: Final = "gen_ai.tool.definitions"
    INPUT: Final = "gen_ai.input.messages"
    OUTPUT: Final = "gen_ai.output.messages"
    ERROR: Final = "error.type"
    SERVER: Final = "server.address"
    PORT: Final = "server.port"
    # The conventions have none for these.
    COST: Final = "tether.cost"
    STOP_REASON: Final = "tether.run.stop_reason"
    DEPTH: Final = "tether.run.depth"


DETAILS_EVENT: Final = "gen_ai.client.inference.operation.details"
"""The event that carries the content of a request, where it is not in the span."""

FINISH_REASONS: Final = {
    "tool_calls": "tool_call",
    "refusal": "content_filter",
    "aborted": "error",
}
"""From our stop reasons of a reply to theirs, where those differ."""

_PROVIDERS: Final = {
    "openai-chat": "openai",
    "google": "gcp.gemini",
    "vertex": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "xai": "x_ai",
    "bedrock": "aws.bedrock",
    "azure": "azure.ai.openai",
}


def provider_and_model(model: Model) -> tuple[str, str]:
    """Take the name of a model apart: the provider, as the conventions call it, and the model's own name."""
    provider, _, name = model.name.partition(":")
    return _PROVIDERS.get(provider, provider), name or provider


def server_of(model: Model) -> dict[str, str | int]:
    """Say where a model is, if it is at an address of its own."""
    from urllib.parse import urlsplit  # noqa: PLC0415 - few models have one

    address = own_server(model)
    if address is None:
        return {}
    try:
        split = urlsplit(address)
        host, port = split.hostname, split.port
    except ValueError:
        return {}
    found: dict[str, str | int] = {} if host is None else {Name.SERVER: host}
    return found if port is None else {**found, Name.PORT: port}
