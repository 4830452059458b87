"""Replies as providers stream them: server-sent events of four wire APIs, with many pieces of text or tool calls."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen

__all__ = ("APIS", "Api", "words")

Calls = Sequence[tuple[str, Any]]
"""The ids of calls of the tool `add`, and their arguments."""


def words(count: int) -> list[str]:
    """Make up pieces of text; some libraries take it amiss if they are all the same."""
    return [f"word{number % 100} " for number in range(count)]


def fragments(arguments: Any) -> list[str]:
    """Cut the arguments of a call as models do, which write a few characters at a time."""
    text = json.dumps(arguments)
    return [text[at : at + 5] for at in range(0, len(text), 5)]


@frozen
class Api:
    """How one provider says it."""

    text: Callable[[int], list[bytes]]
    """A number of pieces, to the events of a reply with that many."""
    calls: Callable[[Calls], list[bytes]] | None = None
    """The events of a reply that calls tools."""
    asked: Callable[[Any], int] = lambda _: 0
    """How often a request says that the model has answered already."""


def sse(data: Any, *, named: bool = False) -> bytes:
    """Write a server-sent event."""
    name = f"event: {data['type']}\n" if named else ""
    return f"{name}data: {json.dumps(data)}\n\n".encode()


# Chat completions.


def chat(delta: Any, reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    return sse(
        {
            "id": "chatcmpl-BTKqHqGjKzKQ0QWqVwDOmzqQqYxYB",
            "object": "chat.completion.chunk",
            "created": 1746530000,
            "model": "gpt-4o-mini-2024-07-18",
            "service_tier": "default",
            "system_fingerprint": "fp_0392822090",
            "choices": [choice],
        }
    )


CHAT_DONE = b"data: [DONE]\n\n"


def chat_text(count: int) -> list[bytes]:
    first = chat({"role": "assistant", "content": ""})
    pieces = [chat({"content": word}) for word in words(count)]
    return [first, *pieces, chat({}, "stop"), CHAT_DONE]


def chat_calls(calls: Calls) -> list[bytes]:
    events = [chat({"role": "assistant", "content": None})]
    for index, (id_, arguments) in enumerate(calls):
        function = {"name": "add", "arguments": ""}
        call = {"index": index, "id": id_, "type": "function", "function": function}
        events.append(chat({"tool_calls": [call]}))
        for fragment in fragments(arguments):
            more = {"index": index, "function": {"arguments": fragment}}
            events.append(chat({"tool_calls": [more]}))
    return [*events, chat({}, "tool_calls"), CHAT_DONE]


def chat_asked(body: Any) -> int:
    return sum(message["role"] == "assistant" for message in body["messages"])


# Responses.


def response_events(*items: tuple[Any, list[Any]]) -> list[bytes]:
    """Write output items, each whole, and with the events that stream it."""
    response = {
        "id": "r",
        "object": "response",
        "created_at": 1,
        "model": "m",
        "status": "completed",
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
    data: list[Any] = [{"type": "response.created", "response": response}]
    for index, (item, streamed) in enumerate(items):
        empty = {**item, **({"content": []} if "content" in item else {"arguments": ""})}
        data.append({"type": "response.output_item.added", "output_index": index, "item": empty})
        data += [{**event, "output_index": index} for event in streamed]
        data.append({"type": "response.output_item.done", "output_index": index, "item": item})
    whole = {**response, "output": [item for item, _ in items]}
    data.append({"type": "response.completed", "response": whole})
    return [sse({**one, "sequence_number": n}, named=True) for n, one in enumerate(data)]


def responses_text(count: int) -> list[bytes]:
    whole = "".join(words(count))
    part = {"type": "output_text", "text": whole, "annotations": []}
    item = {"id": "m", "type": "message", "role": "assistant", "status": "completed"}
    at = {"item_id": "m", "content_index": 0}
    streamed: list[Any] = [
        {"type": "response.content_part.added", **at, "part": {**part, "text": ""}},
        *(
            {"type": "response.output_text.delta", **at, "delta": word, "logprobs": []}
            for word in words(count)
        ),
        {"type": "response.output_text.done", **at, "text": whole, "logprobs": []},
        {"type": "response.content_part.done", **at, "part": part},
    ]
    return response_events(({**item, "content": [part]}, streamed))


# Messages.


def messages_events(blocks: list[list[Any]], reason: str, count: int) -> list[bytes]:
    message = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    data: list[Any] = [{"type": "message_start", "message": message}]
    for index, [block, *deltas] in enumerate(blocks):
        data.append({"type": "content_block_start", "index": index, "content_block": block})
        data += [
            {"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas
        ]
        data.append({"type": "content_block_stop", "index": index})
    data += [
        {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": None},
            "usage": {"output_tokens": count},
        },
        {"type": "message_stop"},
    ]
    return [sse(one, named=True) for one in data]


def messages_text(count: int) -> list[bytes]:
    deltas = [{"type": "text_delta", "text": word} for word in words(count)]
    return messages_events([[{"type": "text", "text": ""}, *deltas]], "end_turn", count)


def messages_calls(calls: Calls) -> list[bytes]:
    blocks = [
        [
            {"type": "tool_use", "id": id_, "name": "add", "input": {}},
            *({"type": "input_json_delta", "partial_json": one} for one in fragments(arguments)),
        ]
        for id_, arguments in calls
    ]
    return messages_events(blocks, "tool_use", len(calls))


# Gemini.


def google_text(count: int) -> list[bytes]:
    def chunk(text: str, **more: Any) -> bytes:
        content = {"role": "model", "parts": [{"text": text}]}
        usage = {"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3}
        about = {"modelVersion": "m", "responseId": "r", "usageMetadata": usage}
        return sse({"candidates": [{"content": content, "index": 0, **more}], **about})

    return [*map(chunk, words(count)), chunk("", finishReason="STOP")]


APIS = {
    "chat": Api(chat_text, chat_calls, chat_asked),
    "responses": Api(responses_text),
    "messages": Api(messages_text, messages_calls, chat_asked),
    "google": Api(google_text),
}
