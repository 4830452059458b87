"""The encoder of Anthropic's Messages API.

After Anthropic's API reference (`POST /v1/messages`). What only the provider understands - signed and sealed thinking,
searches and other tools of its servers - goes back as it came, in its place. Such parts from another API are left out.

No I/O.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from attrs import define, field

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
from tether.models._wire.ids import unique_call_ids, valid_tool_name
from tether.models._wire.media import base64_of, is_common_picture, text_of_document, unsupported
from tether.models._wire.turns import GO_ON, in_turns, is_blank
from tether.models.anthropic.reply import NAME, SERVER
from tether.transcript import repaired

__all__ = ("encode",)

_OUTPUT_LIMITS: Final = ((r"claude-(instant|2|3-(opus|sonnet|haiku))", 4096), (r"claude-3-5", 8192))
"""The API requires a limit. Older models refuse more than their own; all others accept the one below."""
_OUTPUT_LIMIT: Final = 32_000

_BUDGETS: Final[Mapping[ThinkingLevel, int]] = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 24_576,
}
"""Tokens of thinking, for models that take a budget."""
_LEAST_BUDGET: Final = 1024

_EFFORTS: Final[Mapping[ThinkingLevel, str]] = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
}
"""For models that decide how much they think."""

_TAKES: Final = "pictures (png, jpeg, gif, webp), PDFs and texts; pictures and PDFs also by URL, and files by id"
_LONGEST_NAME: Final = 128
"""Characters of the name of a tool."""

_MARK: Final = {"cache_control": {"type": "ephemeral"}}
_OPEN_REPLIES: Final = 3
"""The last replies that are written anew each time: the marks for caches, and results still to come, are among them."""

_GO_ON: Final = {"type": "text", "text": GO_ON}
_BEGINNING: Final = {"role": "user", "content": [_GO_ON]}


def encode(
    request: ModelRequest,
    model: str,
    cache: CachedPrefix | None = None,
    *,
    server: str | None = None,
) -> dict[str, Any]:
    """Write a request.

    Thinking is left out when the API refuses it: together with a tool that must be called, with an output limit that
    has no room for it, and after a reply that made calls without it. With thinking, the temperature is left out.

    Args:
        request: the request. The `tools` of its `extra`, which the server runs itself, are added to the request's
            own; anything else in `extra` replaces what would be sent.
        model: the model's name for the server.
        cache: keeps what was written of the conversation; see `Encode`.
        server: the host that is asked, if it is not Anthropic's: it gets back its thinking without signatures.

    Returns:
        The body of the request.
    """
    options = request.options
    extra = dict(options.extra)
    before, messages = _messages(request.messages, cache, server)
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": options.max_output_tokens or _output_limit(model),
        "stream": True,
    }
    if request.system and request.system.strip():
        body["system"] = [{"type": "text", "text": request.system}]
    if tools := [*map(_tool, request.tools), *(extra.pop("tools", None) or ())]:
        body["tools"] = tools
    body |= _chosen(options, has_tools=bool(tools))
    thinking = _thinking(options, model, body["max_tokens"], messages)
    if thinking:
        body.pop("temperature", None)
    if options.cache:
        _mark(body, messages)
    return body | {"messages": [*before, *messages]} | thinking | extra


def _output_limit(model: str) -> int:
    found = (limit for pattern, limit in _OUTPUT_LIMITS if re.search(pattern, model))
    return next(found, _OUTPUT_LIMIT)


def _tool(tool: ToolSpec) -> dict[str, Any]:
    about = {"description": tool.description} if tool.description else {}
    return {"name": tool.name, **about, "input_schema": tool.parameters}


def _chosen(options: ModelOptions, *, has_tools: bool) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    if options.temperature is not None:
        chosen["temperature"] = options.temperature
    if options.stop_sequences:
        chosen["stop_sequences"] = list(options.stop_sequences)
    match options.tool_choice:
        case ("tool", name):
            chosen["tool_choice"] = {"type": "tool", "name": name}
        case "required":
            chosen["tool_choice"] = {"type": "any"}
        case str(choice) if has_tools:
            chosen["tool_choice"] = {"type": choice}
        case _:
            pass
    return chosen


def _thinking(
    options: ModelOptions, model: str, limit: int, messages: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    level = options.thinking
    if level in {None, "off"} or options.tool_choice not in {None, "auto", "none"}:
        return {}
    assert level is not None
    if _decides_itself(model):
        thinking = {"type": "adaptive", "display": "summarized"}
        return {"thinking": thinking, "output_config": {"effort": _EFFORTS[level]}}
    if limit <= _LEAST_BUDGET or not _goes_on_thinking(messages):
        return {}
    budget = max(_LEAST_BUDGET, min(_BUDGETS[level], limit - 1))
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


def _decides_itself(model: str) -> bool:
    """Return True for models from 4.6 on, which take no budget; older ones take nothing else."""
    if "claude" not in model or re.search(r"claude-(instant|[23])", model):
        return False
    version = re.search(r"claude-[a-z]+-(\d+)(?:[-.](\d{1,2}))?(?!\d)", model)
    return version is None or (int(version[1]), int(version[2] or 0)) >= (4, 6)


def _goes_on_thinking(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether a reply that made calls, and now gets their results, began with thinking: the API insists."""
    for message in reversed(messages):
        types = [block["type"] for block in message["content"]]
        if message["role"] == "assistant":
            return "tool_use" not in types or types[0] in {"thinking", "redacted_thinking"}
        if "tool_result" not in types:
            return True
    return True


def _mark(body: dict[str, Any], messages: list[dict[str, Any]]) -> None:
    """Mark what the next request repeats: the tools, the system prompt, and the conversation so far."""
    if "system" in body:
        body["system"] = [body["system"][0] | _MARK]
    elif "tools" in body:
        body["tools"] = [*body["tools"][:-1], body["tools"][-1] | _MARK]
    spoken = [place for place, message in enumerate(messages) if message["role"] == "user"]
    for place in spoken[-2:]:
        *before, last = messages[place]["content"]
        messages[place] = {"role": "user", "content": [*before, last | _MARK]}


# Messages.


@define(eq=False, repr=False)
class _Written:
    """What is written of a conversation."""

    call_ids: set[str] = field(factory=set[str])
    """The ids that are taken."""
    server_calls: set[str] = field(factory=set[str])
    """The ids of what the server was to run."""

    def copy(self) -> "_Written":
        return _Written(set(self.call_ids), set(self.server_calls))


def _messages(
    messages: Sequence[Message], cache: CachedPrefix | None, server: str | None
) -> tuple[Sequence[Any], list[dict[str, Any]]]:
    """Write the turns of a conversation.

    Returns:
        Those that were written before, and those behind them, among which the marks for caches go.
    """
    boundary = partial(before_call, replies=_OPEN_REPLIES, may_begin=_answers_itself)
    before, turns = write_conversation(
        repaired(messages),
        cache,
        partial(_turns, server=server),
        boundary=boundary,
        about=server,
    )
    return before, list(turns)


def _turns(segment: Segment, server: str | None) -> tuple[list[dict[str, Any]], _Written]:
    """Write a segment; its note is what later ones must know of it."""
    written = _Written() if segment.note is None else segment.note.copy()
    turns = in_turns(_spoken(segment.messages, written.call_ids, server), "content", go_on=_GO_ON)
    turns = list(_paired(turns, written.server_calls, is_last=segment.is_last))
    if segment.note is None and turns and turns[0]["role"] == "assistant":
        turns = [_BEGINNING, *turns]
    return turns, written


def _spoken(
    messages: Sequence[Message], taken: set[str], server: str | None
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    call_ids: dict[str, str] = {}
    for message in messages:
        match message:
            case UserMessage(content):
                yield "user", [_block(block) for block in content if not is_blank(block)]
            case ToolResultMessage():
                # A valid conversation has the result right behind the reply that made the call.
                yield "user", [_result(message, call_ids[message.call_id])]
            case AssistantMessage():
                call_ids = unique_call_ids(message, taken)
                if blocks := list(_reply(message, call_ids, server)):
                    yield "assistant", blocks
            case _:
                pass


def _block(block: UserBlock) -> dict[str, Any]:
    match block:
        case Text(text):
            return {"type": "text", "text": text}
        case _:
            return _media(block)


def _media(block: Media) -> dict[str, Any]:
    source = _source(block)
    if source is None:
        raise unsupported("Anthropic", block, _TAKES)
    title = {"title": block.name} if isinstance(block, Document) and block.name else {}
    return {"type": block.type, "source": source, **title}


def _source(block: Media) -> dict[str, Any] | None:
    """Say where a picture or a document comes from; None for what the API does not take."""
    match block:
        case Image(file_id=str(file_id)) | Document(file_id=str(file_id)):
            return {"type": "file", "file_id": file_id}
        case Image(url=str(url)) | Document(url=str(url)) if url.startswith("http"):
            return {"type": "url", "url": url}
        case Image(data, media_type) if data and is_common_picture(block):
            return {"type": "base64", "media_type": media_type, "data": base64_of(block)}
        case Document(data, "application/pdf") if data:
            return {"type": "base64", "media_type": block.media_type, "data": base64_of(block)}
        case Document(data) if text_of_document(block) is not None:
            text = data.decode(errors="replace")
            return {"type": "text", "media_type": "text/plain", "data": text}
        case _:
            return None


def _result(message: ToolResultMessage, call_id: str) -> dict[str, Any]:
    result: dict[str, Any] = {"type": "tool_result", "tool_use_id": call_id}
    if content := [_block(block) for block in message.content if not is_blank(block)]:
        result["content"] = content
    if message.is_error:
        result["is_error"] = True
    return result


def _reply(
    message: AssistantMessage, call_ids: Mapping[str, str], server: str | None
) -> Iterator[dict[str, Any]]:
    own = message.api == NAME
    for block in message.content:
        match block:
            case Text(text, details) if not is_blank(block):
                cited = (details or {}).get("citations") if own else None
                yield {"type": "text", "text": text, **({"citations": cited} if cited else {})}
            case Thinking(_, str(signature), redacted=True) if own:
                yield {"type": "redacted_thinking", "data": signature}
            case Thinking(text, str(signature)) if own:
                yield {"type": "thinking", "thinking": text, "signature": signature}
            case Thinking(text, None, details=details) if own and _is_from(server, details):
                yield {"type": "thinking", "thinking": text, "signature": ""}
            case ToolCall(id_, name, arguments):
                made = {"type": "tool_use", "id": call_ids[id_], "input": arguments}
                named = {"name": valid_tool_name(name, longest=_LONGEST_NAME)}
                yield {**(block.details or {} if own else {}), **made, **named}
            case ProviderItem(api, data) if api == NAME:
                yield dict(data)
            case _:
                pass


def _is_from(server: str | None, details: Mapping[str, Any] | None) -> bool:
    return server is not None and details is not None and details.get(SERVER) == server


def _answers_itself(message: AssistantMessage) -> bool:
    """Return False for a reply that brings the result of what the server began to run in an earlier one."""
    items = [block.data for block in message.content if isinstance(block, ProviderItem)]
    return {item.get("tool_use_id") for item in items} <= {
        None,
        *(item.get("id") for item in items),
    }


def _paired(
    turns: Sequence[dict[str, Any]], called: set[str], *, is_last: bool
) -> Iterator[dict[str, Any]]:
    """Leave out what the server began to run and gave no result for, because a reply was cut off; and the reverse.

    The server may give the result in the next reply: it first waits for the results of the calls made beside.

    Args:
        turns: the turns of a segment.
        called: the ids of what the server was to run so far; those of these turns are added.
        is_last: whether nothing follows.
    """
    answered = [{block.get("tool_use_id") for block in turn["content"]} for turn in turns]
    for place, turn in enumerate(turns):
        # The user's turn stands between two replies.
        results = set().union(*answered[place : place + 3 : 2])
        waits = is_last and all(
            block["type"] == "tool_result"
            for later in turns[place + 1 :]
            for block in later["content"]
        )
        content = []
        for block in turn["content"]:
            type_ = str(block.get("type"))
            if type_.endswith("_tool_use"):
                if not waits and block.get("id") not in results:
                    continue
                called.add(str(block.get("id")))
            elif type_.endswith("_tool_result") and block.get("tool_use_id") not in called:
                continue
            content.append(block)
        if content:
            yield {**turn, "content": content}
