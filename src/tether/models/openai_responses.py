"""OpenAI Responses, and whatever speaks it: request encoder and stream decoder.

After OpenAI's API reference (`POST /responses`). Nothing is left with the server: the whole conversation is sent each
time, and with it what only the server understands - sealed reasoning, searches, compactions - as it came, in its
place. What another API brought of that kind is left out.

No I/O.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any, Final

import msgspec

from tether.messages import (
    AssistantBlock,
    AssistantMessage,
    Image,
    Text,
    Thinking,
    ToolCall,
    ToolResultMessage,
    UserBlock,
    UserMessage,
    VendorItem,
)
from tether.model import ModelOptions, ModelRequest, ToolSpec
from tether.models._responses_reply import NAME, Event, MoreText, Reply
from tether.models._typed_events import read_typed_events
from tether.models._wire import (
    AFRESH,
    LONGEST_ID,
    Decoder,
    WireApi,
    Write,
    at,
    unique_call_ids,
)
from tether.transcript import repaired

__all__ = ("OPENAI_RESPONSES", "decode", "encode")

_WITHOUT_REASONING: Final = re.compile(r"\bgpt-[34]|chatgpt")
"""Models that refuse to be asked for sealed reasoning."""


def encode(request: ModelRequest, model: str, write: Write = AFRESH) -> dict[str, Any]:
    """Write a request. Stop sequences are left out, since the API has none.

    Args:
        request: what is asked. The `tools` of its `extra`, which are those that the server runs by itself, are
            added to the request's own; whatever else is in `extra` takes the place of what would be sent.
        model: the model's name for the server.
        write: writes each message; see `Write`.

    Returns:
        The body of the request.
    """
    extra = dict(request.options.extra)
    body: dict[str, Any] = {"model": model, "stream": True, "store": False}
    if request.system:
        body["instructions"] = request.system
    if not _WITHOUT_REASONING.search(model):
        body["include"] = ["reasoning.encrypted_content"]
    body |= _options(request.options) | extra
    if tools := [*map(_tool, request.tools), *(extra.get("tools") or ())]:
        body["tools"] = tools
    if "input" not in extra:
        body["input"] = _input(request, write, stored=body["store"] is not False)
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
    # Strict is what the API takes a tool to be unless told, and most schemas are not.
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": False,
    }


def _input(request: ModelRequest, write: Write, *, stored: bool) -> list[Any]:
    messages = repaired(request.messages)
    count, items, note = write.begun(messages)
    was_stored, known_ids = note or (stored, frozenset[str]())
    if was_stored != stored:
        count, items, known_ids = 0, [], frozenset()
    call_ids: dict[str, str] = {}
    taken = set(known_ids)
    for place in range(count, len(messages)):
        match message := messages[place]:
            case UserMessage():
                items += write(message, None, partial(_asked, message))
            case ToolResultMessage():
                # A valid conversation has the result right behind the reply that made the call.
                call_id = call_ids[message.call_id]
                items += write(message, call_id, partial(_result, message, call_id))
            case AssistantMessage():
                # What comes before a reply stays as it is, whatever follows.
                write.remember(messages[:place], tuple(items), (stored, frozenset(taken)))
                call_ids = unique_call_ids(message, taken, own=message.api == NAME)
                about = (stored, tuple(call_ids.values()))
                items += write(message, about, partial(_reply, message, call_ids, stored=stored))
            case _:
                pass
    return items


def _asked(message: UserMessage) -> Iterator[dict[str, Any]]:
    yield {"role": "user", "content": _content(message.content)}


def _result(message: ToolResultMessage, call_id: str) -> Iterator[dict[str, Any]]:
    output = _content(message.content) if message.content else ""
    yield {"type": "function_call_output", "call_id": call_id, "output": output}


def _content(content: Sequence[UserBlock]) -> str | list[dict[str, Any]]:
    match content:
        case [Text(text)]:
            return text
    return [_part(block) for block in content]


def _part(block: UserBlock) -> dict[str, Any]:
    match block:
        case Text(text):
            return {"type": "input_text", "text": text}
        case Image(data, media_type):
            url = f"data:{media_type};base64,{base64.b64encode(data).decode()}"
            return {"type": "input_image", "image_url": url}


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
            # The item that a cut-off reply ends in is not the one its reasoning led to.
            followed = "id" in items[place] or not message.incomplete
        elif not followed:
            del items[place]
    yield from items


def _is_sendable(thinking: Thinking, *, stored: bool) -> bool:
    """Tell reasoning that can be sent from what is a mere reference to what the server did not keep."""
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
            case [VendorItem(api, data)] if api == NAME:
                yield dict(data)
            case _:
                pass


def _item_of(block: AssistantBlock) -> object:
    return _item_id(block.details) if isinstance(block, Text) else id(block)


def _item_id(details: Any) -> str | None:
    id_ = details.get("id") if isinstance(details, Mapping) else None
    return id_ if isinstance(id_, str) and 0 < len(id_) <= LONGEST_ID else None


def _said(texts: Sequence[Text], *, own: bool) -> Iterator[dict[str, Any]]:
    """Write a message; one without an id, which only the server can give, in the API's plainer form."""
    details = texts[0].details or {}
    phase = {"phase": details["phase"]} if own and "phase" in details else {}
    id_ = _item_id(details)
    if own and id_:
        content = [_said_part(text) for text in texts]
        message = {"type": "message", "id": id_, "role": "assistant", "status": "completed"}
        yield {**message, "content": content, **phase}
    elif text := "".join(text.text for text in texts):
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
    made = {"type": "function_call", "call_id": call_id, "name": call.name, "arguments": arguments}
    return details | made


def _reasoning(thinking: Thinking) -> dict[str, Any]:
    details = dict(thinking.details or {})
    if _item_id(details) is None:
        details.pop("id", None)
    item = {"summary": [], **details, "type": "reasoning"}
    if thinking.signature is not None:
        item["encrypted_content"] = thinking.signature
    return item


def decode(model: str) -> Decoder:
    """Read a reply.

    Args:
        model: the model asked for, until the reply says.

    Returns:
        A decoder; see `Decoder`.
    """
    read = msgspec.json.Decoder(Event).decode
    return read_typed_events(Reply(model), read, msgspec.json.Decoder(MoreText).decode)


OPENAI_RESPONSES: Final = WireApi(
    name=NAME,
    encode=encode,
    decode=decode,
    url=lambda base_url, _: at(base_url, "/responses"),
    headers=lambda key: {"authorization": f"Bearer {key}"} if key else {},
)
"""The wire API."""
