"""Event streams as Bedrock sends them, after Amazon's specification of `application/vnd.amazon.eventstream`."""

import json
import struct
import zlib
from typing import Any

KIND = "application/vnd.amazon.eventstream"


def message(payload: bytes, **headers: str) -> bytes:
    """Write a message: lengths, headers of type string, payload, and both checksums."""
    written = b"".join(
        struct.pack("!B", len(name) + 1)
        + b":"
        + name.replace("_", "-").encode()
        + struct.pack("!BH", 7, len(value.encode()))
        + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack("!II", 16 + len(written) + len(payload), len(written))
    body = prelude + struct.pack("!I", zlib.crc32(prelude)) + written + payload
    return body + struct.pack("!I", zlib.crc32(body))


def event(name: str, content: Any) -> bytes:
    payload = json.dumps(content).encode()
    return message(payload, event_type=name, content_type="application/json", message_type="event")


def exception(name: str, content: Any) -> bytes:
    payload = json.dumps(content).encode()
    return message(
        payload, exception_type=name, content_type="application/json", message_type="exception"
    )


def start(number: int, **fields: Any) -> Any:
    return {"contentBlockStart": {"contentBlockIndex": number, "start": fields}}


def delta(number: int, **fields: Any) -> Any:
    return {"contentBlockDelta": {"contentBlockIndex": number, "delta": fields, "p": "abcd"}}


def stop(number: int) -> Any:
    return {"contentBlockStop": {"contentBlockIndex": number}}


def end(reason: str = "end_turn", **usage: int) -> list[Any]:
    counts = {"inputTokens": 5, "outputTokens": 3, "totalTokens": 8, **usage}
    return [
        {"messageStop": {"stopReason": reason}},
        {"metadata": {"usage": counts, "metrics": {"latencyMs": 9}}},
    ]


STREAM: list[Any] = [
    {"messageStart": {"role": "assistant"}},
    delta(0, reasoningContent={"text": "H"}),
    delta(0, reasoningContent={"text": "m."}),
    delta(0, reasoningContent={"signature": "sig"}),
    stop(0),
    delta(1, text="Hel"),
    delta(1, text="lo"),
    stop(1),
    start(2, toolUse={"toolUseId": "c", "name": "f"}),
    delta(2, toolUse={"input": '{"x":'}),
    delta(2, toolUse={"input": " 1}"}),
    stop(2),
    *end("tool_use"),
]
"""One reply: reasoning, a text, a call, counts."""

WHOLE: Any = {
    "output": {
        "message": {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "sig"}}},
                {"text": "Hello"},
                {"toolUse": {"toolUseId": "c", "name": "f", "input": {"x": 1}}},
            ],
        }
    },
    "stopReason": "tool_use",
    "usage": {"inputTokens": 5, "outputTokens": 3, "totalTokens": 8},
    "metrics": {"latencyMs": 9},
}
"""The same in one piece."""


def framed(events: list[Any]) -> bytes:
    return b"".join(event(*next(iter(one.items()))) for one in events)
