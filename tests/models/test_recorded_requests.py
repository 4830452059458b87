"""Real requests whose history holds replies and results: ours, for the same history, mean the same."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from tether import (
    AssistantMessage,
    Audio,
    Image,
    ModelOptions,
    ModelRequest,
    Text,
    Thinking,
    ToolCall,
    ToolResultMessage,
    UserMessage,
)
from tether.messages import ProviderItem, UserBlock
from tether.model import ToolSpec
from tether.models.catalogue import PROVIDERS, model_from_name

FOLDER = Path(__file__).parents[2].parent / "shared" / "recordings"


@frozen
class Api:
    """How the requests of an API are read back, and what of them means nothing."""

    has_history: Callable[[Any], bool]
    read: Callable[[Any], ModelRequest]
    normal: Callable[[Any], Any]
    model: Callable[[str], str]
    """The provider's host, to the name of a model of ours."""


# Chat completions.

CHAT_HOSTS = {
    "api.groq.com": "groq:m",
    "openrouter.ai": "openrouter:m",
    "api.mistral.ai": "mistral:m",
    "router.huggingface.co": "huggingface:m",
    "api.deepseek.com": "deepseek:m",
}
CHAT_OPTIONS = {"temperature", "stop", "tool_choice", "max_tokens", "max_completion_tokens"}
CHAT_OURS = {"model", "messages", "tools", "stream", "stream_options"}


def _chat_request(body: Any) -> ModelRequest:
    names: dict[str, str] = {}
    system = [m["content"] for m in body["messages"] if m["role"] in {"system", "developer"}]
    if any(not isinstance(text, str) for text in system):
        raise AssertionError("our messages have no word for it")
    return ModelRequest(
        system="\n\n".join(system) or None,
        messages=[
            _chat_message(m, names)
            for m in body["messages"]
            if m["role"] not in {"system", "developer"}
        ],
        tools=[
            ToolSpec(f["name"], f.get("description", ""), f.get("parameters", {}))
            for f in (tool["function"] for tool in body.get("tools", ()))
        ],
        options=ModelOptions(
            temperature=body.get("temperature"),
            max_output_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
            stop_sequences=body.get("stop") or (),
            tool_choice=_chat_choice(body.get("tool_choice")),
            extra={k: v for k, v in body.items() if k not in CHAT_OPTIONS | CHAT_OURS},
        ),
    )


def _chat_choice(choice: Any) -> Any:
    return ("tool", choice["function"]["name"]) if isinstance(choice, dict) else choice


def _chat_message(message: Any, names: dict[str, str]) -> Any:
    content = message.get("content")
    match message["role"]:
        case "user":
            return UserMessage(_chat_blocks(content))
        case "assistant":
            calls = message.get("tool_calls") or ()
            names |= {call["id"]: call["function"]["name"] for call in calls}
            return AssistantMessage(
                [
                    *(_chat_blocks(content) if content else ()),
                    *(
                        ToolCall(
                            c["id"], c["function"]["name"], json.loads(c["function"]["arguments"])
                        )
                        for c in calls
                    ),
                ]
            )
        case "tool":
            call_id = message["tool_call_id"]
            return ToolResultMessage(call_id, names[call_id], _chat_blocks(content))
    raise AssertionError("our messages have no word for it")


def _chat_blocks(content: Any) -> Any:
    if isinstance(content, str):
        return [Text(content)]
    return [_chat_block(part) for part in content]


def _chat_block(part: Any) -> UserBlock:
    match part:
        case {"type": "text", "text": text}:
            return Text(text)
        case {"type": "image_url", "image_url": {"url": url}} if url.startswith("data:"):
            head, _, data = url.removeprefix("data:").partition(";base64,")
            return Image(base64.b64decode(data), head)
        case {"type": "input_audio", "input_audio": {"data": data, "format": kind}}:
            return Audio(base64.b64decode(data), f"audio/{kind}")
    raise AssertionError(f"our messages have no word for {part}")


def _normal_chat(body: Any) -> Any:
    """Leave out what is the same said otherwise, or only asks for the usage to be told."""
    fields = {
        k: v for k, v in body.items() if k not in {"model", "stream_options", "messages", "tools"}
    }
    if "max_tokens" in fields:
        fields["max_completion_tokens"] = fields.pop("max_tokens")
    fields["messages"] = [_normal_chat_message(m) for m in body["messages"]]
    fields["tools"] = [
        {k: v for k, v in tool["function"].items() if k != "strict"}
        for tool in body.get("tools", ())
    ]
    return fields


def _normal_chat_message(message: Any) -> Any:
    normal = {k: v for k, v in message.items() if v}
    match normal:
        case {"content": [{"type": "text", "text": text}]}:
            normal["content"] = text
    for call in normal.get("tool_calls", ()):
        call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return normal


# Anthropic Messages.

ANTHROPIC_OPTIONS = {"temperature", "stop_sequences", "tool_choice", "max_tokens"}
ANTHROPIC_OURS = {"model", "messages", "tools", "stream", "system"}
OWN_KINDS = ("_tool_use", "_tool_result")


def _anthropic_request(body: Any) -> ModelRequest:
    names: dict[str, str] = {}
    local = [tool for tool in body.get("tools", ()) if "input_schema" in tool]
    served = [tool for tool in body.get("tools", ()) if tool not in local]
    rest = {k: v for k, v in body.items() if k not in ANTHROPIC_OPTIONS | ANTHROPIC_OURS}
    if any(tool.keys() - {"name", "description", "input_schema"} for tool in local):
        # What our tools have no word for is sent as it stands.
        local, served = [], list(body["tools"])
    return ModelRequest(
        system=_anthropic_system(body.get("system")),
        messages=[part for m in body["messages"] for part in _anthropic_message(m, names)],
        tools=[ToolSpec(t["name"], t.get("description", ""), t["input_schema"]) for t in local],
        options=ModelOptions(
            temperature=body.get("temperature"),
            max_output_tokens=body["max_tokens"],
            stop_sequences=body.get("stop_sequences") or (),
            tool_choice=(body.get("tool_choice") or {}).get("type"),
            cache=False,
            extra=rest | ({"tools": served} if served else {}),
        ),
    )


def _anthropic_system(system: Any) -> Any:
    if isinstance(system, list):
        return "\n\n".join(block["text"] for block in system)
    return system


def _anthropic_message(message: Any, names: dict[str, str]) -> Iterator[Any]:
    content = message["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if message["role"] == "assistant":
        names |= {b["id"]: b["name"] for b in blocks if b["type"] == "tool_use"}
        yield AssistantMessage([_anthropic_said(b) for b in blocks], api="anthropic-messages")
        return
    for block in blocks:
        if block["type"] == "tool_result":
            call_id, told = block["tool_use_id"], block.get("content") or ()
            told = [{"type": "text", "text": told}] if isinstance(told, str) else told
            outcome = "error" if block.get("is_error") else "ok"
            parts = [_anthropic_block(b) for b in told]
            yield ToolResultMessage(call_id, names[call_id], parts, outcome=outcome)  # type: ignore[arg-type]  # one of the two
    asked = [_anthropic_block(b) for b in blocks if b["type"] != "tool_result"]
    if asked:
        yield UserMessage(asked)


def _anthropic_block(block: Any) -> Text | Image:
    match block:
        case {"type": "text", "text": text}:
            return Text(text)
        case {"type": "image", "source": {"type": "base64", "data": data, "media_type": kind}}:
            return Image(base64.b64decode(data), kind)
    raise AssertionError(f"our messages have no word for {block}")


def _anthropic_said(block: Any) -> Any:
    match block:
        case {"type": "text", "text": text}:
            return Text(text, {"citations": block["citations"]} if block.get("citations") else None)
        case {"type": "thinking", "thinking": text, "signature": signature}:
            return Thinking(text, signature)
        case {"type": "redacted_thinking", "data": data}:
            return Thinking("", data, redacted=True)
        case {"type": "tool_use"}:
            return ToolCall(block["id"], block["name"], block["input"])
        case {"type": kind} if kind.endswith(OWN_KINDS):
            return ProviderItem("anthropic-messages", block)
    raise AssertionError("our messages have no word for it")


def _normal_anthropic(body: Any) -> Any:
    """Leave out what is the same said otherwise: nulls, texts as one block, marks for caches."""
    fields = {k: v for k, v in body.items() if k != "model" and v is not None}
    if isinstance(fields.get("system"), list):
        fields["system"] = _anthropic_system(fields["system"])
    fields["messages"] = [
        {"role": m["role"], "content": _normal_content(m["content"])} for m in body["messages"]
    ]
    return _without_marks(fields)


def _normal_content(content: Any) -> Any:
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return [
        {**block, "content": _normal_content(block.get("content") or [])}
        if block["type"] == "tool_result"
        else block
        for block in blocks
    ]


def _without_marks(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_marks(item) for item in value]
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if k not in {"cache_control", "citations"} or v}
        kept.pop("cache_control", None)
        if kept.get("is_error") is False:
            del kept["is_error"]
        return {key: _without_marks(item) for key, item in kept.items()}
    return value


# Google Gemini.

GOOGLE_OURS = {"contents", "systemInstruction", "tools"}
VERBATIM = {"args", "response", "parameters", "parametersJsonSchema"}


def _google_request(body: Any) -> ModelRequest:
    body = _camel(body)
    names: dict[str, str] = {}
    tools = body.get("tools", ())
    declared = [f for tool in tools for f in tool.get("functionDeclarations", ())]
    served = [tool for tool in tools if "functionDeclarations" not in tool]
    rest = {k: v for k, v in body.items() if k not in GOOGLE_OURS}
    return ModelRequest(
        system="".join(p["text"] for p in body.get("systemInstruction", {}).get("parts", ()))
        or None,
        messages=[part for c in body["contents"] for part in _google_message(c, names)],
        tools=[ToolSpec(f["name"], f["description"], _google_schema(f)) for f in declared],
        options=ModelOptions(extra=rest | ({"tools": served} if served else {})),
    )


def _camel(value: Any) -> Any:
    if isinstance(value, list):
        return [_camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    named = {re.sub(r"_(\w)", lambda m: m[1].upper(), key): item for key, item in value.items()}
    return {key: item if key in VERBATIM else _camel(item) for key, item in named.items()}


def _google_schema(function: Any) -> Any:
    return function.get("parametersJsonSchema") or _lower(function.get("parameters"))


def _lower(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_lower(item) for item in schema]
    if isinstance(schema, dict):
        return {k: v.lower() if k == "type" else _lower(v) for k, v in schema.items()}
    return schema


def _google_message(content: Any, names: dict[str, str]) -> Iterator[Any]:
    parts = content["parts"]
    if content["role"] == "model":
        yield AssistantMessage([_google_said(part) for part in parts], api="google-generate")
        return
    for part in parts:
        if told := part.get("functionResponse"):
            text = next(iter(told["response"].values()), None)
            images = [_google_block(image) for image in told.get("parts", ())]
            blocks = [*([Text(text)] if isinstance(text, str) else []), *images]
            yield ToolResultMessage(told["id"], told["name"], blocks)
    asked = [_google_block(part) for part in parts if "functionResponse" not in part]
    if asked:
        yield UserMessage(asked)


def _google_block(part: Any) -> UserBlock:
    match part:
        case {"text": text}:
            return Text(text)
        case {"inlineData": {"data": data, "mimeType": kind}}:
            return Image(base64.urlsafe_b64decode(data), kind)
        case {"fileData": {"fileUri": url, "mimeType": kind}}:
            return Image(url=url, media_type=kind)
    raise AssertionError("our messages have no word for it")


def _google_said(part: Any) -> Any:
    signature = part.get("thoughtSignature")
    sealed = {"thoughtSignature": signature} if signature else None
    match part:
        case {"functionCall": {"id": id_, "name": name, "args": arguments}}:
            return ToolCall(id_, name, arguments, details=sealed)
        case {"text": text, "thought": True}:
            return Thinking(text, signature)
        case {"text": text}:
            return Text(text, sealed)
    raise AssertionError("our messages have no word for it")


def _normal_google(body: Any) -> Any:
    """Leave out what is the same said otherwise: spelling, the two alphabets of base64, how a result is wrapped."""
    body = _camel(body)
    fields = {k: v for k, v in body.items() if v and k != "stream"}
    fields.get("systemInstruction", {}).pop("role", None)
    for tool in fields.get("tools", ()):
        for function in tool.get("functionDeclarations", ()):
            function["parametersJsonSchema"] = _google_schema(function)
            function.pop("parameters", None)
    for content in fields["contents"]:
        for part in content["parts"]:
            told = part.get("functionResponse", {})
            if "response" in told:
                told["response"] = [*told["response"].values()]
            for image in [part, *told.get("parts", ())]:
                if "inlineData" in image:
                    data = image["inlineData"]["data"]
                    image["inlineData"]["data"] = data.replace("-", "+").replace("_", "/")
    return fields


APIS = {
    "openai-chat": Api(
        has_history=lambda body: (
            {"assistant", "tool"} <= {m["role"] for m in body.get("messages", ())}
        ),
        read=_chat_request,
        normal=_normal_chat,
        model=lambda host: CHAT_HOSTS.get(host, "openai-chat:m"),
    ),
    "anthropic-messages": Api(
        has_history=lambda body: "assistant" in {m["role"] for m in body.get("messages", ())},
        read=_anthropic_request,
        normal=_normal_anthropic,
        model=lambda _: "anthropic:m",
    ),
    "google-generate": Api(
        has_history=lambda body: "model" in {c["role"] for c in body.get("contents", ())},
        read=_google_request,
        normal=_normal_google,
        model=lambda _: "google:gemini-3-flash",
    ),
}


def _requests() -> Iterator[Any]:
    for folder, api in APIS.items():
        for path in sorted((FOLDER / folder).glob("*/request.json")):
            if api.has_history(json.loads(path.read_text())):
                yield pytest.param(path.parent, api, id=f"{folder}/{path.parent.name}")


REQUESTS = list(_requests())
if not REQUESTS:
    pytest.skip("the folder shared/recordings is not here", allow_module_level=True)


@pytest.fixture(scope="module")
def meant(tell: Callable[[str], None]) -> Iterator[set[str]]:
    """The requests that were compared; how many is said at the end."""
    names: set[str] = set()
    yield names
    tell(f"recorded requests compared: {len(names)} of {len(REQUESTS)}")


@pytest.mark.parametrize(("folder", "api"), REQUESTS)
def test_our_request_means_the_same_as_the_recorded_one(
    folder: Path, api: Api, meant: set[str]
) -> None:
    recorded = json.loads((folder / "request.json").read_text())
    meta = json.loads((folder / "meta.json").read_text())
    name = api.model(meta["vendor"])
    assert name.partition(":")[0] in PROVIDERS
    model: Any = model_from_name(name)
    request = api.read(recorded)
    body = json.loads(json.dumps(model.api.encode(request, meta["model"] or "m")))
    meant.add(folder.name)
    assert api.normal(body) == api.normal(recorded | {"stream": True})
