"""A small server of the protocol of 2025, on its standard input and output, that misbehaves as it is told.

It imports next to nothing, so that many can be started. Its argument is a JSON object: see `Manner`.
"""

import json
import os
import sys
import time
from typing import Any

ECHO = {
    "name": "echo",
    "description": "Say it again.",
    "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}},
}


def main() -> None:
    manner: dict[str, Any] = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
    if marker := manner.get("started"):  # a file that counts the starts
        with open(marker, "a") as file:
            file.write("x")
    sys.stderr.write(manner.get("stderr", ""))
    sys.stderr.flush()
    sys.stdout.write(manner.get("noise", ""))
    sys.stdout.flush()
    if "exit" in manner:
        raise SystemExit(manner["exit"])
    if manner.get("ignores_the_end"):
        import signal

        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for line in sys.stdin:
        if not manner.get("mute"):
            answer(json.loads(line), manner)
    while manner.get("ignores_the_end"):
        time.sleep(1)


def answer(message: dict[str, Any], manner: dict[str, Any]) -> None:
    method, params = message.get("method"), message.get("params", {})
    if "id" not in message:
        if method == "notifications/cancelled" and (marker := manner.get("cancelled")):
            with open(marker, "a") as file:
                file.write("x")
        return
    if method == "initialize":
        reply(
            message,
            {
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {"listChanged": True}},
                "serverInfo": {"name": "raw", "version": "1"},
                "instructions": manner.get("instructions", "Be kind."),
            },
        )
    elif method == "tools/list":
        if manner.get("mute_listing"):
            return
        tools = json.dumps(manner.get("tools", [ECHO])).replace("LARGE", "x" * 400_000)
        reply(message, {"tools": json.loads(tools)})
    elif method == "tools/call":
        call(message, params["name"], params.get("arguments", {}), params.get("_meta", {}), manner)
    else:
        send({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "?"}})


def call(
    message: dict[str, Any], name: str, arguments: Any, meta: dict[str, Any], manner: dict[str, Any]
) -> None:
    if marker := manner.get("called"):
        with open(marker, "a") as file:
            file.write("x")
    match name:
        case "hang":
            return
        case "die":
            sys.stderr.write("it hurts\n")
            sys.stderr.flush()
            os._exit(3)
        case "die_once":
            once = manner["once"]
            if not os.path.exists(once):
                open(once, "w").close()
                os._exit(3)
            text = "alive"
        case "environment":
            text = json.dumps(dict(os.environ))
        case "large":
            text = "x" * arguments["size"]
        case "endless":
            while True:
                sys.stdout.write("x" * 1024 * 1024)
        case "change":
            manner["tools"] = [ECHO, {**ECHO, "name": "new"}]
            send({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
            text = "changed"
        case "progress":
            for done in range(3):
                send(
                    {
                        "jsonrpc": "2.0",
                        "method": "notifications/progress",
                        "params": {
                            "progressToken": meta.get("progressToken"),
                            "progress": done,
                            "total": 3,
                        },
                    }
                )
            text = "done"
        case _:
            text = json.dumps(arguments)
    reply(message, {"content": [{"type": "text", "text": text}]})


def reply(message: dict[str, Any], result: Any) -> None:
    send({"jsonrpc": "2.0", "id": message["id"], "result": result})


def send(message: Any) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
