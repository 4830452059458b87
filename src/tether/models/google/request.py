"""The encoder of Google's Gemini API.

After Google's API reference (`models.streamGenerateContent`, v1beta). Signatures go back at the part they came with,
and so does what only the provider understands, such as code it ran. Such parts from another API are left out.

No I/O.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from tether.media import Document, Image, Media
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
from tether.models._wire.ids import valid_tool_name
from tether.models._wire.media import (
    base64_of,
    follow_results,
    text_of_document,
    unsupported,
    with_media_behind_results,
)
from tether.models._wire.turns import GO_ON, in_turns, is_blank
from tether.models.google.reply import NAME, SIGNATURE, is_made_up
from tether.transcript import repaired

__all__ = ("encode",)

_BUDGETS: Final[Mapping[ThinkingLevel, int]] = {
    "off": 0,
    "minimal": 512,
    "low": 2048,
    "medium": 8192,
    "high": 24_576,
}
"""Tokens of thinking, for models that take a budget."""
_LEAST_BUDGET_OF_PRO: Final = 128
"""The larger of those models always thinks."""

_FOREIGN: Final = "skip_thought_signature_validator"
"""Stands for the signature of a call that another model made; newer models refuse a call without one."""

_TAKES: Final = (
    "pictures, PDFs, texts, sound and video; also by URL (https:, gs:) and by the id of an upload"
)
_FILES: Final = "https://generativelanguage.googleapis.com/v1beta/files/"

_GO_ON: Final = {"text": GO_ON}
_BEGINNING: Final = {"role": "user", "parts": [_GO_ON]}


def encode(request: ModelRequest, model: str, cache: CachedPrefix | None = None) -> dict[str, Any]:
    """Write a request.

    Args:
        request: the request. The `tools` of its `extra`, which the server runs itself, are added to the request's
            own; objects in it, such as `generationConfig`, are merged with what would be sent; anything else in it
            replaces that.
        model: the model's name for the server.
        cache: keeps what was written of the conversation; see `Encode`.

    Returns:
        The body of the request.
    """
    extra = dict(request.options.extra)
    body: dict[str, Any] = {"contents": _contents(request.messages, model, cache)}
    if request.system and request.system.strip():
        body["systemInstruction"] = {"parts": [{"text": request.system}]}
    own = [{"functionDeclarations": [*map(_tool, request.tools)]}] if request.tools else []
    if tools := [*own, *(extra.pop("tools", None) or ())]:
        body["tools"] = tools
    if choice := _choice(request.options):
        body["toolConfig"] = {"functionCallingConfig": choice}
    if config := _config(request.options, model):
        body["generationConfig"] = config
    for key, value in extra.items():
        both = isinstance(value, Mapping) and isinstance(body.get(key), dict)
        body[key] = {**body[key], **value} if both else value
    return body


def _tool(tool: ToolSpec) -> dict[str, Any]:
    # `parameters` would be a dialect of JSON Schema that knows neither references nor unions.
    return {
        "name": tool.name,
        "description": tool.description,
        "parametersJsonSchema": tool.parameters,
    }


def _choice(options: ModelOptions) -> dict[str, Any]:
    match options.tool_choice:
        case None:
            return {}
        case ("tool", name):
            return {"mode": "ANY", "allowedFunctionNames": [name]}
        case "required":
            return {"mode": "ANY"}
        case choice:
            return {"mode": str(choice).upper()}


def _config(options: ModelOptions, model: str) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    if options.temperature is not None:
        chosen["temperature"] = options.temperature
    if options.max_output_tokens is not None:
        chosen["maxOutputTokens"] = options.max_output_tokens
    if options.stop_sequences:
        chosen["stopSequences"] = list(options.stop_sequences)
    if options.thinking is not None and (thinking := _thinking(options.thinking, model)):
        shown = {} if options.thinking == "off" else {"includeThoughts": True}
        chosen["thinkingConfig"] = shown | thinking
    return chosen


def _thinking(level: ThinkingLevel, model: str) -> dict[str, Any]:
    """Ask for thinking as the model takes it: a number of tokens, a level, or not at all."""
    if "gemini-2.5" in model:
        least = _LEAST_BUDGET_OF_PRO if "pro" in model else 0
        return {"thinkingBudget": max(least, _BUDGETS[level])}
    if not _has_levels(model):
        return {}
    wanted = "minimal" if level == "off" else level
    if "pro" in model and wanted == "minimal":
        wanted = "low"
    if "gemini-3-pro" in model and wanted == "medium":
        wanted = "high"
    return {"thinkingLevel": wanted}


def _has_levels(model: str) -> bool:
    """Return True for models from Gemini 3 on."""
    version = re.search(r"gemini-(\d+)", model)
    return int(version[1]) >= 3 if version else "gemini" in model


# Messages.


def _contents(messages: Sequence[Message], model: str, cache: CachedPrefix | None) -> list[Any]:
    signed = _has_levels(model)
    before, turns = write_conversation(
        repaired(messages),
        cache,
        partial(_turns, signed=signed),
        boundary=partial(before_call, replies=1),
        about=signed,
    )
    return [*before, *turns]


def _turns(segment: Segment, *, signed: bool) -> tuple[list[dict[str, Any]], bool]:
    """Write a segment; its note only says that it is not the first."""
    turns = in_turns(_spoken(segment.messages, signed=signed), "parts", go_on=_GO_ON)
    if segment.note is None and turns and turns[0]["role"] == "model":
        turns = [_BEGINNING, *turns]
    return turns, True


def _spoken(
    messages: Iterable[Message], *, signed: bool
) -> Iterator[tuple[str, Sequence[dict[str, Any]]]]:
    given: dict[str, dict[str, str]] = {}
    follows = _stays_outside if signed else follow_results
    for message in with_media_behind_results(messages, follows):
        match message:
            case UserMessage(content):
                yield "user", [_part(block) for block in content if not is_blank(block)]
            case ToolResultMessage():
                id_ = given[message.call_id]
                yield "user", [{"functionResponse": id_ | _result(message, follows)}]
            case AssistantMessage():
                given = {call.id: _given_id(call, message) for call in message.tool_calls}
                if parts := list(_reply(message, signed=signed)):
                    yield "model", parts


def _part(block: UserBlock) -> dict[str, Any]:
    match block:
        case Text(text):
            return {"text": text}
        case _:
            return _media(block)


def _media(block: Media) -> dict[str, Any]:
    if isinstance(block, Document) and block.data and block.media_type != "application/pdf":
        text = text_of_document(block)
        if text is None:
            raise unsupported("Google", block, _TAKES)
        return {"text": text}
    if block.data:
        return {"inlineData": {"mimeType": block.media_type, "data": base64_of(block)}}
    address = block.url or _address(block.file_id or "")
    if address.startswith("s3:"):
        raise unsupported("Google", block, _TAKES)
    kind = {"mimeType": block.media_type} if block.media_type else {}
    return {"fileData": {"fileUri": address, **kind}}


def _address(file_id: str) -> str:
    """Return the address of an uploaded file; its name alone is that of one of the Gemini API."""
    return file_id if "://" in file_id else f"{_FILES}{file_id.removeprefix('files/')}"


def _stays_outside(block: UserBlock) -> bool:
    """Say of a block whether it follows a result: models that want signatures take pictures and PDFs inside."""
    is_pdf = isinstance(block, Document) and block.media_type == "application/pdf"
    return not (is_pdf or isinstance(block, Text | Image))


def _result(message: ToolResultMessage, follows: Callable[[UserBlock], bool]) -> dict[str, Any]:
    key = "error" if message.is_error else "output"
    result = {"name": _valid_name(message.name)}
    inside = [
        _media(block)
        for block in message.content
        if not isinstance(block, Text) and not follows(block)
    ]
    if not inside:
        return {**result, "response": {key: message.text}}
    said = {key: message.text} if message.text or message.is_error else {}
    return {**result, "response": said, "parts": inside}


def _reply(message: AssistantMessage, *, signed: bool) -> Iterator[dict[str, Any]]:
    own = message.api == NAME
    # Of several calls side by side the first alone is signed.
    unsigned = signed and bool(message.tool_calls)
    for block in message.content:
        match block:
            case Text(text) if text.strip() or (own and _signature(block)):
                yield {"text": text} | (_signature(block) if own else {})
            case Thinking(text, signature) if own and (text or signature):
                sealed = {SIGNATURE: signature} if signature else {}
                yield {"text": text, "thought": True} | sealed
            case ToolCall(_, name, arguments):
                sealed = _signature(block) if own else {}
                if unsigned and not sealed:
                    sealed = {SIGNATURE: _FOREIGN}
                unsigned = False
                made = {"name": _valid_name(name), "args": arguments}
                yield {"functionCall": _given_id(block, message) | made} | sealed
            case Image():
                yield _media(block)
            case ProviderItem(api, data) if api == NAME:
                yield dict(data)
            case _:
                pass


def _given_id(call: ToolCall, message: AssistantMessage) -> dict[str, str]:
    """Return the id of a call if its server gave it: Vertex AI gives none, and takes none."""
    is_given = not message.api or (
        message.api == NAME and not is_made_up(call.id, message.response_id)
    )
    return {"id": call.id} if is_given else {}


def _valid_name(name: str) -> str:
    """Names begin with a letter or _, too."""
    return valid_tool_name(name if re.match("[a-zA-Z_]", name) or not name else f"_{name}")


def _signature(block: Text | ToolCall) -> dict[str, Any]:
    signature = (block.details or {}).get(SIGNATURE)
    return {SIGNATURE: signature} if signature else {}
