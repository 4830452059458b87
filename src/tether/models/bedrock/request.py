"""The encoder of Bedrock's Converse API.

After Amazon's API reference (`ConverseStream`). Signed and sealed reasoning goes back as it came, in its place, and so
do blocks that only the API understands; those of another API are left out. What only some models know is asked for in
`additionalModelRequestFields`.

No I/O.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from tether.media import Audio
from tether.messages import (
    AssistantMessage,
    Message,
    ProviderItem,
    Text,
    Thinking,
    ToolCall,
    ToolResultMessage,
    UserBlock,
    UserMessage,
)
from tether.model import ModelOptions, ModelRequest, ThinkingLevel, ToolSpec
from tether.models._wire.cached_prefix import (
    CachedPrefix,
    Segment,
    before_call,
    write_conversation,
)
from tether.models._wire.ids import unique_call_ids, valid_tool_name
from tether.models._wire.media import with_media_behind_results
from tether.models._wire.turns import GO_ON, in_turns, is_blank
from tether.models.bedrock.media import block_of
from tether.models.bedrock.reply import NAME
from tether.transcript import repaired

__all__ = ("encode",)

_BUDGETS: Final[Mapping[ThinkingLevel, int]] = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 24_576,
}
"""Tokens of thinking, for models that take a budget."""
_LEAST_BUDGET: Final = 1024
_ROOM_FOR_THE_REPLY: Final = 8192
"""Tokens beside the budget, where no limit is asked for: the API's own may be smaller than the budget."""

_CACHES: Final = re.compile(r"claude|amazon\.nova")
"""Models that keep a prefix of the request, if it is marked."""
_CACHE_POINT: Final = {"cachePoint": {"type": "default"}}

_GO_ON: Final = {"text": GO_ON}
_BEGINNING: Final = {"role": "user", "content": [_GO_ON]}
_EMPTY_RESULT: Final = {"text": "(no output)"}


def encode(request: ModelRequest, model: str, cache: CachedPrefix | None = None) -> dict[str, Any]:
    """Write a request.

    Args:
        request: the request. The `tools` of its `extra` are added to the request's own; objects in it, such as
            `inferenceConfig`, are merged with what would be sent; anything else in it replaces that.
        model: the model's name or ARN; it stands in the address.
        cache: keeps what was written of the conversation; see `Encode`.

    Returns:
        The body of the request.
    """
    options, extra = request.options, dict(request.options.extra)
    before, turns = write_conversation(
        repaired(request.messages), cache, _turns, boundary=partial(before_call, replies=1)
    )
    turns = list(turns)
    body: dict[str, Any] = {}
    if request.system and request.system.strip():
        body["system"] = [{"text": request.system}]
    tools = [*map(_tool, request.tools), *(extra.pop("tools", None) or ())]
    if tools := tools or _tools_called(request.messages):
        body["toolConfig"] = {"tools": tools} | _choice(options)
    thinking = _thinking(options, model) if _goes_on_thinking(turns) else {}
    if config := _config(options, thinking):
        body["inferenceConfig"] = config
    if thinking:
        body["additionalModelRequestFields"] = thinking
    if options.cache and _CACHES.search(model):
        _mark(body, turns, tools_too="claude" in model)
    body["messages"] = [*before, *turns]
    for key, value in extra.items():
        both = isinstance(value, Mapping) and isinstance(body.get(key), dict)
        body[key] = {**body[key], **value} if both else value
    return body


def _tool(tool: ToolSpec) -> dict[str, Any]:
    about = {"description": tool.description} if tool.description else {}
    schema = {"inputSchema": {"json": tool.parameters}}
    return {"toolSpec": {"name": tool.name, **about, **schema}}


def _tools_called(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Declare the tools that were called: the API refuses calls in a request without tools."""
    called = dict.fromkeys(
        valid_tool_name(call.name)
        for message in messages
        if isinstance(message, AssistantMessage)
        for call in message.tool_calls
    )
    anything = {"type": "object"}
    return [_tool(ToolSpec(name, "No longer available.", anything)) for name in called]


def _choice(options: ModelOptions) -> dict[str, Any]:
    match options.tool_choice:
        case ("tool", name):
            return {"toolChoice": {"tool": {"name": name}}}
        case "required":
            return {"toolChoice": {"any": {}}}
        case "auto":
            return {"toolChoice": {"auto": {}}}
        case _:
            return {}  # the API cannot forbid calls


def _config(options: ModelOptions, thinking: Mapping[str, Any]) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    budget = thinking.get("thinking", {}).get("budget_tokens")
    if options.max_output_tokens is not None:
        chosen["maxTokens"] = options.max_output_tokens
    elif budget is not None:
        chosen["maxTokens"] = budget + _ROOM_FOR_THE_REPLY
    if options.temperature is not None and "thinking" not in thinking:
        chosen["temperature"] = options.temperature
    if options.stop_sequences:
        chosen["stopSequences"] = list(options.stop_sequences)
    return chosen


def _thinking(options: ModelOptions, model: str) -> dict[str, Any]:
    """Ask for thinking as the model's maker has it; nothing for models of which that is not known."""
    level = options.thinking
    if level is None:
        return {}
    if "claude" in model:
        return _thinking_of_claude(level, options, model)
    if "gpt-oss" in model:
        return {"reasoning_effort": "low" if level in {"off", "minimal"} else level}
    if "nova-2" in model:
        if level == "off":
            return {"reasoningConfig": {"type": "disabled"}}
        effort = "low" if level == "minimal" else level
        return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": effort}}
    return {}


def _thinking_of_claude(level: ThinkingLevel, options: ModelOptions, model: str) -> dict[str, Any]:
    forced = options.tool_choice not in {None, "auto", "none"}
    limit = options.max_output_tokens
    if level == "off" or forced or (limit is not None and limit <= _LEAST_BUDGET):
        return {}
    if _decides_itself(model):
        effort = "low" if level == "minimal" else level
        return {"thinking": {"type": "adaptive"}, "output_config": {"effort": effort}}
    budget = _BUDGETS[level] if limit is None else min(_BUDGETS[level], limit - 1)
    return {"thinking": {"type": "enabled", "budget_tokens": max(_LEAST_BUDGET, budget)}}


def _decides_itself(model: str) -> bool:
    """Return True for models from 4.6 on, which take no budget."""
    version = re.search(r"claude-[a-z]+-(\d+)(?:[-.](\d{1,2}))?(?!\d)", model)
    return version is not None and (int(version[1]), int(version[2] or 0)) >= (4, 6)


def _goes_on_thinking(turns: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether a reply that made calls, and now gets their results, began with thinking: models insist on it."""
    for turn in reversed(turns):
        kinds = [next(iter(block)) for block in turn["content"]]
        if turn["role"] == "assistant":
            return "toolUse" not in kinds or kinds[0] == "reasoningContent"
        if "toolResult" not in kinds:
            return True
    return True


def _mark(body: dict[str, Any], turns: list[dict[str, Any]], *, tools_too: bool) -> None:
    """Mark what the next request repeats: the system prompt, or else the tools, and the conversation so far."""
    if "system" in body:
        body["system"] = [*body["system"], _CACHE_POINT]
    elif "toolConfig" in body and tools_too:
        tools = [*body["toolConfig"]["tools"], _CACHE_POINT]
        body["toolConfig"] = {**body["toolConfig"], "tools": tools}
    if turns and turns[-1]["role"] == "user":
        turns[-1] = {**turns[-1], "content": [*turns[-1]["content"], _CACHE_POINT]}


# Messages.


def _turns(segment: Segment) -> tuple[list[dict[str, Any]], set[str]]:
    """Write a segment; its note is the ids of calls and the names of documents that are taken."""
    taken: set[str] = set(segment.note or ())
    turns = in_turns(_spoken(segment.messages, taken), "content", go_on=_GO_ON)
    if segment.note is None and turns and turns[0]["role"] == "assistant":
        turns = [_BEGINNING, *turns]
    return turns, taken


def _spoken(
    messages: Iterable[Message], taken: set[str]
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    call_ids: dict[str, str] = {}
    for message in with_media_behind_results(messages, _stays_outside):
        match message:
            case UserMessage(content):
                yield "user", _with_words([_block(b, taken) for b in content if not is_blank(b)])
            case ToolResultMessage():
                yield "user", [_result(message, call_ids[message.call_id], taken)]
            case AssistantMessage():
                call_ids = unique_call_ids(message, taken)
                if blocks := list(_reply(message, call_ids)):
                    yield "assistant", blocks
            case _:
                pass


def _with_words(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The API takes no document without a text beside it."""
    lacks = any("document" in block for block in blocks) and not any("text" in b for b in blocks)
    return [_GO_ON, *blocks] if lacks else blocks


def _stays_outside(block: UserBlock) -> bool:
    """Say of a block whether it follows a result, which holds no sound."""
    return isinstance(block, Audio)


def _block(block: UserBlock, taken: set[str]) -> dict[str, Any]:
    return {"text": block.text} if isinstance(block, Text) else block_of(block, taken)


def _result(message: ToolResultMessage, call_id: str, taken: set[str]) -> dict[str, Any]:
    content = [
        _block(block, taken)
        for block in message.content
        if not (is_blank(block) or _stays_outside(block))
    ]
    status = {"status": "error"} if message.is_error else {}
    result = {"toolUseId": call_id, "content": content or [_EMPTY_RESULT], **status}
    return {"toolResult": result}


def _reply(message: AssistantMessage, call_ids: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    own = message.api == NAME
    for block in message.content:
        match block:
            case Text(text) if not is_blank(block):
                yield {"text": text}
            case Thinking(_, str(sealed), redacted=True) if own:
                yield {"reasoningContent": {"redactedContent": sealed}}
            case Thinking(text, str(signature)) if own:
                told = {"text": text, "signature": signature}
                yield {"reasoningContent": {"reasoningText": told}}
            case ToolCall(id_, name, arguments):
                made = {"toolUseId": call_ids[id_], "name": valid_tool_name(name)}
                yield {"toolUse": {**made, "input": arguments}}
            case ProviderItem(api, data) if api == NAME:
                yield dict(data)
            case _:
                pass
