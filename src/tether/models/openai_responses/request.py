"""The encoder of OpenAI Responses, and of compatible servers.

After OpenAI's API reference (`POST /responses`). The server stores nothing: the whole conversation is sent each time,
and with it what only the server understands - sealed reasoning, searches, compactions - as it came, in its place. Such
parts from another API are left out.

No I/O.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any, Final

from tether.media import Document, Image, Media
from tether.messages import (
    AssistantBlock,
    AssistantMessage,
    ProviderItem,
    Text,
    Thinking,
    ToolCall,
    ToolResultMessage,
    UserBlock,
    UserMessage,
)
from tether.model import ModelOptions, ModelRequest, ToolSpec
from tether.models._wire.cached_prefix import (
    CachedPrefix,
    Segment,
    all_of_it,
    write_conversation,
)
from tether.models._wire.ids import unique_call_ids, valid_call_id, valid_tool_name
from tether.models._wire.media import data_url, file_name, unsupported, url_or_data_url
from tether.models._wire.turns import said
from tether.models.openai_responses.items import NAME
from tether.transcript import repaired

__all__ = ("encode",)

_WITHOUT_REASONING: Final = re.compile(r"\bgpt-[34]|chatgpt")
"""Models that refuse a request for sealed reasoning."""

_TAKES: Final = "pictures and documents: as bytes, by URL and by the id of an upload"


def encode(request: ModelRequest, model: str, cache: CachedPrefix | None = None) -> dict[str, Any]:
    """Write a request. Stop sequences are left out, since the API has none.

    Args:
        request: the request. The `tools` of its `extra`, which the server runs itself, are added to the request's
            own; anything else in `extra` replaces what would be sent.
        model: the model's name for the server.
        cache: keeps what was written of the conversation; see `Encode`.

    Returns:
        The body of the request.
    """
    extra = dict(request.options.extra)
    body: dict[str, Any] = {"model": model, "stream": True, "store": False}
    if request.system and request.system.strip():
        body["instructions"] = request.system
    if not _WITHOUT_REASONING.search(model):
        body["include"] = ["reasoning.encrypted_content"]
    body |= _options(request.options) | extra
    if tools := [*map(_tool, request.tools), *(extra.get("tools") or ())]:
        body["tools"] = tools
    if "input" not in extra:
        body["input"] = _input(request, cache, stored=body["store"] is not False)
    return body


def _options(options: ModelOptions) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    if options.temperature is not None:
        chosen["temperature"] = options.temperature
    if options.max_output_tokens is not None:
        chosen["max_output_tokens"] = options.max_output_tokens
    match options.thinking:
        case None:
            pass
        case "off":
            chosen["reasoning"] = {"effort": "none"}
        case level:
            chosen["reasoning"] = {"effort": level, "summary": "auto"}
    match options.tool_choice:
        case None:
            pass
        case ("tool", name):
            chosen["tool_choice"] = {"type": "function", "name": name}
        case choice:
            chosen["tool_choice"] = choice
    return chosen


def _tool(tool: ToolSpec) -> dict[str, Any]:
    # The API takes a tool to be strict by default, and most schemas are not.
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": False,
    }


def _input(request: ModelRequest, cache: CachedPrefix | None, *, stored: bool) -> list[Any]:
    before, items = write_conversation(
        repaired(request.messages),
        cache,
        partial(_segment, stored=stored),
        boundary=all_of_it,
        about=stored,
    )
    return [*before, *items]


def _segment(segment: Segment, *, stored: bool) -> tuple[list[Any], set[str]]:
    """Write a segment; its note is the ids that are taken."""
    items: list[Any] = []
    taken: set[str] = set(segment.note or ())
    call_ids: dict[str, str] = {}
    for message in segment.messages:
        match message:
            case UserMessage():
                items.append({"role": "user", "content": _content(said(message.content))})
            case ToolResultMessage():
                # A valid conversation has the result right behind the reply that made the call.
                items.append(_result(message, call_ids[message.call_id]))
            case AssistantMessage():
                call_ids = unique_call_ids(message, taken)
                items += _reply(message, call_ids, stored=stored)
    return items, taken


def _result(message: ToolResultMessage, call_id: str) -> dict[str, Any]:
    output = _content(message.content) if message.content else ""
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def _content(content: Sequence[UserBlock]) -> str | list[dict[str, Any]]:
    match content:
        case [Text(text)]:
            return text
    return [_part(block) for block in content]


def _part(block: UserBlock) -> dict[str, Any]:
    match block:
        case Text(text):
            return {"type": "input_text", "text": text}
        case _:
            return _media(block)


def _media(block: Media) -> dict[str, Any]:
    match block:
        case Image(file_id=str(file_id)):
            return {"type": "input_image", "file_id": file_id}
        case Image() if (address := url_or_data_url(block)) is not None:
            return {"type": "input_image", "image_url": address}
        case Document(file_id=str(file_id)):
            return {"type": "input_file", "file_id": file_id}
        case Document(url=str(url)) if url.startswith("http"):
            return {"type": "input_file", "file_url": url}
        case Document(data) if data:
            given = {"filename": file_name(block), "file_data": data_url(block)}
            return {"type": "input_file", **given}
        case _:
            raise unsupported("OpenAI (Responses)", block, _TAKES)


def _reply(
    message: AssistantMessage, call_ids: Mapping[str, str], *, stored: bool
) -> Iterator[dict[str, Any]]:
    own = message.api == NAME and all(
        _is_sendable(block, stored=stored)
        for block in message.content
        if isinstance(block, Thinking)
    )
    items = list(_items(message, call_ids, own=own))
    followed = False
    for place in reversed(range(len(items))):
        if items[place].get("type") != "reasoning":
            # The last item of a reply that was cut off is not the one its reasoning led to.
            followed = "id" in items[place] or not message.incomplete
        elif not followed:
            del items[place]
    yield from items


def _is_sendable(thinking: Thinking, *, stored: bool) -> bool:
    """Return False for reasoning that only refers to what the server did not store."""
    return stored or thinking.signature is not None or "content" in (thinking.details or {})


def _items(
    message: AssistantMessage, call_ids: Mapping[str, str], *, own: bool
) -> Iterator[dict[str, Any]]:
    """Write the items of a reply; the parts of one message stand side by side.

    Args:
        message: the reply.
        call_ids: the ids of its calls on the wire.
        own: whether it came over this API, and whole, so that items keep their ids and reasoning is sent.
    """
    for _, group in groupby(message.content, _item_of):
        match list(group):
            case [Text(), *_] as texts:
                yield from _said([block for block in texts if isinstance(block, Text)], own=own)
            case [ToolCall() as call]:
                yield _call(call, call_ids[call.id], own=own)
            case [Thinking() as thinking] if own:
                yield _reasoning(thinking)
            case [ProviderItem(api, data)] if api == NAME:
                yield dict(data)
            case _:
                pass


def _item_of(block: AssistantBlock) -> object:
    return _item_id(block.details) if isinstance(block, Text) else id(block)


def _item_id(details: Any) -> str | None:
    id_ = details.get("id") if isinstance(details, Mapping) else None
    return id_ if isinstance(id_, str) and id_ == valid_call_id(id_) else None


def _said(texts: Sequence[Text], *, own: bool) -> Iterator[dict[str, Any]]:
    """Write a message; one without an id, which only the server can give, in the API's plainer form."""
    details = texts[0].details or {}
    phase = {"phase": details["phase"]} if own and "phase" in details else {}
    id_ = _item_id(details)
    if own and id_:
        content = [_said_part(text) for text in texts]
        message = {"type": "message", "id": id_, "role": "assistant", "status": "completed"}
        yield {**message, "content": content, **phase}
    elif (text := "".join(text.text for text in texts)).strip():
        yield {"role": "assistant", "content": text, **phase}


def _said_part(text: Text) -> dict[str, Any]:
    details = text.details or {}
    if "refusal" in details:
        return {"type": "refusal", "refusal": text.text}
    annotations = list(details.get("annotations") or ())
    return {"type": "output_text", "text": text.text, "annotations": annotations}


def _call(call: ToolCall, call_id: str, *, own: bool) -> dict[str, Any]:
    details = dict(call.details or {}) if own else {}
    if _item_id(details) is None:
        details.pop("id", None)
    arguments = json.dumps(call.arguments, ensure_ascii=False, separators=(",", ":"))
    made = {"type": "function_call", "call_id": call_id, "arguments": arguments}
    return details | made | {"name": valid_tool_name(call.name)}


def _reasoning(thinking: Thinking) -> dict[str, Any]:
    details = dict(thinking.details or {})
    if _item_id(details) is None:
        details.pop("id", None)
    item = {"summary": [], **details, "type": "reasoning"}
    if thinking.signature is not None:
        item["encrypted_content"] = thinking.signature
    return item
